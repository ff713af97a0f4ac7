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
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from asgard import __version__
from asgard.core.console import to_plain
from asgard.kafka.connection import Connection
from asgard.kafka.model import Acl
from asgard.odin.engine.goals import Goal
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.steps import PROVIDER_PREFIX
from asgard.odin.resources import identity
from asgard.odin.resources.kinds import ACL, BROKER, CLUSTER, CONFIG, QUOTA, QUOTA_NAMES, READY, TOPIC, USER
from asgard.odin.resources.values import Secret, Values
from asgard.odin.spec.model import QuotaSpec, StackSpec

if TYPE_CHECKING:
    import pulumi

HOST = "127.0.0.1"
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


Pack = Callable[[str], tuple[str, str]]


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
        if external is not None:
            _on_external_cluster(spec, within, external)
        elif spec.aws is not None:
            _on_aws(spec, within, pack)
        else:
            _on_local_cluster(spec, within)

    return register


def goals(spec: StackSpec, within: Iterable[Declared], ref: StackRef) -> list[Goal]:
    """The same resources in a cluster as `program` would register, without Pulumi's SDK."""
    ready = ref.child(ref.urn, READY, spec.name) if spec.target == "local" else ""
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


def _on_external_cluster(spec: StackSpec, within: Iterable[Declared], cluster: Connection) -> None:
    import pulumi

    inputs: dict[str, Any] = {"bootstrapServers": cluster.bootstrap_servers}
    if cluster.properties:
        inputs["clientProperties"] = pulumi.Output.secret(dict(cluster.properties))
    if spec.external is not None and spec.external.cluster_id is not None:
        inputs["clusterId"] = spec.external.cluster_id
    _register_kafka(within, pulumi.ProviderResource("asgard", PROVIDER, inputs), None)
    pulumi.export("bootstrapServers", cluster.bootstrap_servers)


def _on_aws(spec: StackSpec, within: Iterable[Declared], pack: Pack | None) -> None:
    import pulumi

    from asgard.odin.targets.aws import distribution
    from asgard.odin.targets.aws import program as aws

    here = pulumi.ProviderResource("asgard", "here", {})
    reached = aws.register(spec, pack or distribution.packed, here)
    inputs: dict[str, Any] = {"bootstrapServers": reached.servers, "clientProperties": reached.properties}
    if reached.cluster_id is not None:
        inputs["clusterId"] = reached.cluster_id
    _register_kafka(within, pulumi.ProviderResource("asgard", PROVIDER, inputs), reached.ready)
    pulumi.export("bootstrapServers", reached.servers)
    pulumi.export("clientProperties", reached.properties)


def _on_local_cluster(spec: StackSpec, within: Iterable[Declared]) -> None:
    import pulumi

    here = pulumi.ProviderResource("asgard", "here", {})
    kafka = spec.kafka
    # What the provider computes is declared as None.
    outputs = [
        *("clusterId", "nodes", "adminPassword", "controllerPassword", "bootstrapServers", "clientProperties"),
        *(("certificateServers",) if spec.security.tls != "off" else ()),
    ]
    cluster = pulumi.CustomResource(
        CLUSTER,
        spec.name,
        {
            "name": spec.name,
            "version": kafka.version,
            "brokers": kafka.brokers,
            "controllers": kafka.controllers,
            "racks": max(1, kafka.racks),
            "sasl": spec.security.sasl,
            "authorizer": spec.security.authorizer,
            **_tls(spec),
            **dict.fromkeys(outputs),
        },
        pulumi.ResourceOptions(provider=here),
    )
    static = dict(kafka.static_config)
    if kafka.min_insync_replicas is not None:
        # Read only at the very first start: from then on the cluster-level dynamic config applies (KIP-966).
        static["min.insync.replicas"] = str(kafka.min_insync_replicas)
    brokers = [_broker(spec, cluster, here, index, static) for index in range(kafka.brokers)]
    ready = pulumi.CustomResource(
        READY,
        spec.name,
        {
            "clusterId": pulumi.get(cluster, "clusterId"),
            "brokerIds": [pulumi.get(broker, "nodeId") for broker in brokers],
            "bootstrapServers": pulumi.get(cluster, "bootstrapServers"),
            "clientProperties": pulumi.get(cluster, "clientProperties"),
            "version": kafka.version,
            "brokers": None,
        },
        pulumi.ResourceOptions(provider=here, depends_on=brokers),
    )
    # Known only once the brokers have started: until then Kafka is not asked for anything.
    servers = pulumi.Output.all(pulumi.get(ready, "bootstrapServers"), pulumi.get(ready, "brokers")).apply(
        lambda v: v[0]
    )
    _register_kafka(
        within,
        pulumi.ProviderResource(
            "asgard",
            PROVIDER,
            {
                "bootstrapServers": servers,
                "clientProperties": pulumi.get(cluster, "clientProperties"),
                "clusterId": pulumi.get(ready, "clusterId"),
            },
        ),
        ready,
    )
    pulumi.export("bootstrapServers", servers)
    pulumi.export("clusterId", pulumi.get(cluster, "clusterId"))
    pulumi.export("clientProperties", pulumi.get(cluster, "clientProperties"))
    if spec.security.tls != "off":
        pulumi.export("certificateServers", pulumi.get(cluster, "certificateServers"))


def _tls(spec: StackSpec) -> dict[str, str]:
    """A stack without TLS is declared as before: it has no such property."""
    return {} if spec.security.tls == "off" else {"tls": spec.security.tls}


def _broker(
    spec: StackSpec, cluster: pulumi.Resource, here: pulumi.ProviderResource, index: int, static: dict[str, str]
) -> Any:
    import pulumi

    nodes = pulumi.get(cluster, "nodes")

    def of_node(key: str) -> Any:
        # In the preview of a growing stack, the existing nodes are known and the new one is not.
        return nodes.apply(lambda known: known[index][key] if index < len(known) else pulumi.runtime.rpc.UNKNOWN)

    tls: dict[str, Any] = dict(_tls(spec))
    if tls:
        tls |= {name: of_node(name) for name in ("tlsPort", "certificatePort", "tlsControllerPort")}
        tls["tlsControllers"] = nodes.apply(partial(initial_controllers, port="tlsControllerPort"))
    return pulumi.CustomResource(
        BROKER,
        f"{spec.name}-{index + 1}",
        {
            **tls,
            "cluster": spec.name,
            "clusterId": pulumi.get(cluster, "clusterId"),
            "nodeId": of_node("id"),
            "roles": of_node("roles"),
            "rack": of_node("rack"),
            "brokerPort": of_node("brokerPort"),
            "controllerPort": of_node("controllerPort"),
            "directoryId": of_node("directoryId"),
            "initialControllers": nodes.apply(initial_controllers),
            "version": spec.kafka.version,
            "heap": f"{spec.kafka.heap_bytes}B",
            "logDirs": spec.kafka.log_dirs,
            "staticConfig": static,
            "sasl": spec.security.sasl,
            "authorizer": spec.security.authorizer,
            "adminPassword": pulumi.get(cluster, "adminPassword"),
            "controllerPassword": pulumi.get(cluster, "controllerPassword"),
        },
        pulumi.ResourceOptions(provider=here),
    )


def initial_controllers(nodes: list[Values], port: str = "controllerPort") -> str:
    """The controllers that form the quorum, in Kafka's own form."""
    voters = [node for node in nodes if "controller" in node["roles"]]
    # Numbers come back from Pulumi's wire format as floats.
    return ",".join(f"{int(node['id'])}@{HOST}:{int(node[port])}:{node['directoryId']}" for node in voters)


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
