"""A stack as a Pulumi program: its resources, their inputs and their dependencies.

`program(spec, …)` gives a function for Pulumi's runtime; the same spec and passwords register the same resources,
whichever engine runs it. What lives in Kafka (`declared`) depends on nothing but the cluster before it, and all of its
inputs are known: the Pulumi CLI gets it from the program like the rest, the embedded engine as a list of goals
(`goals`), because Pulumi's SDK would spend a millisecond on each of thousands of topics to hand back what it was given.
Nothing here talks to a cluster.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from asgard import __version__
from asgard.core.console import to_plain
from asgard.kafka.connection import Connection
from asgard.kafka.model import Acl
from asgard.odin import targets
from asgard.odin.engine.goals import Goal
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.steps import PROVIDER_PREFIX
from asgard.odin.resources import identity
from asgard.odin.resources.kinds import ACL, CONFIG, QUOTA, QUOTA_NAMES, READY, TOPIC, USER
from asgard.odin.resources.values import Secret, Values
from asgard.odin.spec.model import QuotaSpec, StackSpec
from asgard.odin.targets.reached import Pack

if TYPE_CHECKING:
    import pulumi

PROVIDER = "kafka"
"""Name of the provider resource that all Kafka resources use."""
PROJECT = "asgard"
"""The Pulumi project of every stack."""


class Declared(NamedTuple):
    """A resource in Kafka; passwords among its inputs are secrets."""

    type: str
    name: str
    inputs: Values
    protect: bool = False


def fingerprint(spec: StackSpec, external: Connection | None) -> str:
    """A hash of everything that decides what the program registers; if it is unchanged, there is nothing to do."""
    reached = None if external is None else [external.bootstrap_servers, dict(external.properties)]
    document = json.dumps({"asgard": __version__, "spec": to_plain(spec), "cluster": reached}, sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()


def program(
    spec: StackSpec, within: Iterable[Declared] = (), external: Connection | None = None, pack: Pack | None = None
) -> Callable[[], None]:
    """The program of a stack: its cluster, and what is `within` it.

    `external` is the cluster of a stack whose target is external. `pack` gives the archive of a Kafka version for machines on
    AWS, and its SHA-256.
    """

    def register() -> None:
        import pulumi

        reached = targets.of(spec.target).register(spec, external, pack)
        _register_kafka(within, pulumi.ProviderResource("asgard", PROVIDER, dict(reached.provider)), reached.ready)
        for name, value in reached.outputs.items():
            pulumi.export(name, value)

    return register


def goals(spec: StackSpec, within: Iterable[Declared], ref: StackRef) -> list[Goal]:
    """The same resources in a cluster as `program` would register, without Pulumi's SDK."""
    ready = ref.child(ref.urn, READY, spec.name) if spec.external is None else ""
    found: list[Goal] = []
    first: list[str] = []
    for thing in within:
        urn = ref.child(ref.urn, thing.type, thing.name)
        found.append(
            Goal(
                urn,
                thing.type,
                True,
                thing.inputs,
                parent=ref.urn,
                provider=f"{ref.child(ref.urn, f'{PROVIDER_PREFIX}asgard', PROVIDER)}::",
                dependencies=first,
                property_dependencies={name: [] for name in thing.inputs},
                protect=thing.protect,
                deleted_with=ready,
            )
        )
        if thing.type == CONFIG:
            # Topics are created under the defaults that the stack sets for them.
            first = [urn]
    return found


def cluster_config(spec: StackSpec) -> dict[str, str]:
    """The cluster-wide dynamic configs (broker `""`) that the stack sets."""
    config = dict(spec.kafka.dynamic_config)
    if spec.kafka.min_insync_replicas is not None:
        config["min.insync.replicas"] = str(spec.kafka.min_insync_replicas)
    return config


def declared(spec: StackSpec, passwords: Mapping[str, str | None]) -> Iterator[Declared]:
    """Everything of a stack that lives in Kafka, in the order of the file. `passwords` by user; None leaves the credential as
    it is (a user that was imported)."""
    config = cluster_config(spec)
    if config:
        yield Declared(CONFIG, "cluster", {"broker": "", "config": config})
    for topic in spec.topics:
        values: Values = {
            "name": topic.name,
            "partitions": topic.partitions,
            "replication": topic.replication,
            "config": topic.config,
        }
        if spec.limits.throttle_bytes_per_s is not None:
            values["throttle"] = spec.limits.throttle_bytes_per_s
        yield Declared(TOPIC, topic.name, values, topic.protect)
    for user in spec.users:
        mechanisms = spec.mechanisms_of(user)
        if not mechanisms:
            continue
        values = {"name": user.name, "mechanism": mechanisms[0]}
        if mechanisms[1:]:
            values["otherMechanisms"] = list(mechanisms[1:])
        if (password := passwords.get(user.name)) is not None:
            values["password"] = Secret(password)
        yield Declared(USER, user.name, values)
    for acl in spec.all_acls():
        yield Declared(ACL, acl_name(acl), identity.acl_values(acl))
    for quota in spec.all_quotas():
        values = quota_values(quota)
        yield Declared(QUOTA, identity.resource_id(QUOTA, values), values)


def acl_name(acl: Acl) -> str:
    """The resource name of an ACL: its content."""
    return identity.resource_id(ACL, identity.acl_values(acl))


def quota_values(quota: QuotaSpec) -> Values:
    """The properties of a quota."""
    entity = {"user": quota.entity.user, "clientId": quota.entity.client_id, "ip": quota.entity.ip}
    values: Values = {name: value for name, value in entity.items() if value is not None}
    return values | {ours: quota.values[kafka] for ours, kafka in QUOTA_NAMES.items() if kafka in quota.values}


def _register_kafka(
    within: Iterable[Declared], provider: pulumi.ProviderResource, goes_with: pulumi.Resource | None
) -> None:
    """What lives in Kafka. If the stack owns the cluster, these resources are deleted with `goes_with`, without a
    call."""
    import pulumi

    first: list[pulumi.Resource] = []
    for token, name, values, protect in within:
        inputs = {k: pulumi.Output.secret(v.value) if isinstance(v, Secret) else v for k, v in values.items()}
        options = pulumi.ResourceOptions(
            provider=provider, protect=protect or None, depends_on=first or None, deleted_with=goes_with
        )
        made = pulumi.CustomResource(token, name, inputs, options)
        if token == CONFIG:
            # Topics are created under the defaults that the stack sets for them.
            first = [made]
