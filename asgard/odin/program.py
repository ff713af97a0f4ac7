"""A stack as a Pulumi program: which resources there are, what each is made of and what depends on what.

`program(spec, …)` gives a function for Pulumi's runtime; the same spec and passwords register the same resources, whichever
engine runs it. Nothing here talks to a cluster.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from asgard import __version__
from asgard.core.console import to_plain
from asgard.kafka.connection import Connection
from asgard.kafka.model import Acl
from asgard.odin.resources import identity
from asgard.odin.resources.kinds import ACL, BROKER, CLUSTER, CONFIG, QUOTA, QUOTA_NAMES, READY, TOPIC, USER
from asgard.odin.resources.values import Values
from asgard.odin.spec.model import QuotaSpec, StackSpec

if TYPE_CHECKING:
    import pulumi

HOST = "127.0.0.1"
PROVIDER = "kafka"
"""Name of the provider resource that everything of Kafka goes through."""
PROJECT = "asgard"
"""The Pulumi project of every stack."""

Declared = tuple[str, str, Values]
"""Type, name and inputs of a resource."""
Pack = Callable[[str], tuple[str, str]]


def fingerprint(spec: StackSpec, external: Connection | None) -> str:
    """A hash of all that decides what the program registers: that there is nothing to do is told from it."""
    reached = None if external is None else [external.bootstrap_servers, dict(external.properties)]
    document = json.dumps({"asgard": __version__, "spec": to_plain(spec), "cluster": reached}, sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()


def program(
    spec: StackSpec,
    passwords: Mapping[str, str | None],
    external: Connection | None = None,
    leave_out: Collection[tuple[str, str]] = (),
    pack: Pack | None = None,
) -> Callable[[], None]:
    """The program of a stack.

    `passwords` by user; None leaves the credential as it is (a user that was imported). `external` is the cluster of a stack
    whose target is external. `leave_out`: resources, by type and name, that the engine is told to keep (`lifecycle.unchanged`).
    `pack` gives the archive of a Kafka version for machines on AWS, and its SHA-256.
    """

    def register() -> None:
        if external is not None:
            _on_external_cluster(spec, passwords, external, leave_out)
        elif spec.aws is not None:
            _on_aws(spec, passwords, leave_out, pack)
        else:
            _on_local_cluster(spec, passwords, leave_out)

    return register


def cluster_config(spec: StackSpec) -> dict[str, str]:
    """The cluster-wide dynamic configs (broker `""`) that the stack sets."""
    config = dict(spec.kafka.dynamic_config)
    if spec.kafka.min_insync_replicas is not None:
        config["min.insync.replicas"] = str(spec.kafka.min_insync_replicas)
    return config


def declared(spec: StackSpec, passwords: Mapping[str, str | None]) -> Iterator[Declared]:
    """Everything of a stack that lives in Kafka, in the order of the file. Passwords are plain text here."""
    config = cluster_config(spec)
    if config:
        yield CONFIG, "cluster", {"broker": "", "config": config}
    for topic in spec.topics:
        values: Values = {
            "name": topic.name,
            "partitions": topic.partitions,
            "replication": topic.replication,
            "config": topic.config,
        }
        if spec.limits.throttle_bytes_per_s is not None:
            values["throttle"] = spec.limits.throttle_bytes_per_s
        yield TOPIC, topic.name, values
    for user in spec.users:
        mechanisms = spec.mechanisms_of(user)
        if not mechanisms:
            continue
        values = {"name": user.name, "mechanism": mechanisms[0]}
        if mechanisms[1:]:
            values["otherMechanisms"] = list(mechanisms[1:])
        if (password := passwords.get(user.name)) is not None:
            values["password"] = password
        yield USER, user.name, values
    for acl in spec.all_acls():
        yield ACL, acl_name(acl), identity.acl_values(acl)
    for quota in spec.all_quotas():
        values = quota_values(quota)
        yield QUOTA, identity.resource_id(QUOTA, values), values


def acl_name(acl: Acl) -> str:
    """The resource name of an ACL: its content."""
    return identity.resource_id(ACL, identity.acl_values(acl))


def quota_values(quota: QuotaSpec) -> Values:
    """The properties of a quota."""
    entity = {"user": quota.entity.user, "clientId": quota.entity.client_id, "ip": quota.entity.ip}
    values: Values = {name: value for name, value in entity.items() if value is not None}
    return values | {ours: quota.values[kafka] for ours, kafka in QUOTA_NAMES.items() if kafka in quota.values}


def _on_external_cluster(
    spec: StackSpec, passwords: Mapping[str, str | None], cluster: Connection, leave_out: Collection[tuple[str, str]]
) -> None:
    import pulumi

    inputs: dict[str, Any] = {"bootstrapServers": cluster.bootstrap_servers}
    if cluster.properties:
        inputs["clientProperties"] = pulumi.Output.secret(dict(cluster.properties))
    if spec.external is not None and spec.external.cluster_id is not None:
        inputs["clusterId"] = spec.external.cluster_id
    _register_kafka(spec, passwords, pulumi.ProviderResource("asgard", PROVIDER, inputs), None, leave_out)
    pulumi.export("bootstrapServers", cluster.bootstrap_servers)


def _on_aws(
    spec: StackSpec,
    passwords: Mapping[str, str | None],
    leave_out: Collection[tuple[str, str]],
    pack: Pack | None,
) -> None:
    import pulumi

    from asgard.odin.targets.aws import distribution
    from asgard.odin.targets.aws import program as aws

    here = pulumi.ProviderResource("asgard", "here", {})
    reached = aws.register(spec, pack or distribution.packed, _resource, here)
    inputs: dict[str, Any] = {"bootstrapServers": reached.servers, "clientProperties": reached.properties}
    if reached.cluster_id is not None:
        inputs["clusterId"] = reached.cluster_id
    _register_kafka(spec, passwords, pulumi.ProviderResource("asgard", PROVIDER, inputs), reached.ready, leave_out)
    pulumi.export("bootstrapServers", reached.servers)
    pulumi.export("clientProperties", reached.properties)


def _on_local_cluster(
    spec: StackSpec, passwords: Mapping[str, str | None], leave_out: Collection[tuple[str, str]]
) -> None:
    import pulumi

    here = pulumi.ProviderResource("asgard", "here", {})
    kafka = spec.kafka
    cluster = _resource(
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
        },
        here,
        outputs=(
            *("clusterId", "nodes", "adminPassword", "controllerPassword", "bootstrapServers", "clientProperties"),
            *(("certificateServers",) if spec.security.tls != "off" else ()),
        ),
    )
    static = dict(kafka.static_config)
    if kafka.min_insync_replicas is not None:
        # Read at the very first start only: from then on the cluster-level dynamic config is the one in force (KIP-966).
        static["min.insync.replicas"] = str(kafka.min_insync_replicas)
    brokers = [_broker(spec, cluster, here, index, static) for index in range(kafka.brokers)]
    ready = _resource(
        READY,
        spec.name,
        {
            "clusterId": pulumi.get(cluster, "clusterId"),
            "brokerIds": [pulumi.get(broker, "nodeId") for broker in brokers],
            "bootstrapServers": pulumi.get(cluster, "bootstrapServers"),
            "clientProperties": pulumi.get(cluster, "clientProperties"),
            "version": kafka.version,
        },
        here,
        outputs=("brokers",),
        depends_on=brokers,
    )
    # Known only once the brokers were there: until then nothing of Kafka is asked.
    servers = pulumi.Output.all(pulumi.get(ready, "bootstrapServers"), pulumi.get(ready, "brokers")).apply(
        lambda v: v[0]
    )
    _register_kafka(
        spec,
        passwords,
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
        leave_out,
    )
    pulumi.export("bootstrapServers", servers)
    pulumi.export("clusterId", pulumi.get(cluster, "clusterId"))
    pulumi.export("clientProperties", pulumi.get(cluster, "clientProperties"))
    if spec.security.tls != "off":
        pulumi.export("certificateServers", pulumi.get(cluster, "certificateServers"))


def _tls(spec: StackSpec) -> dict[str, str]:
    """A stack without TLS is declared as ever: it has no such property."""
    return {} if spec.security.tls == "off" else {"tls": spec.security.tls}


def _broker(
    spec: StackSpec, cluster: pulumi.Resource, here: pulumi.ProviderResource, index: int, static: dict[str, str]
) -> Any:
    import pulumi

    nodes = pulumi.get(cluster, "nodes")

    def of_node(key: str) -> Any:
        # In the preview of a stack that grows, the nodes that are there are known and the new one is not.
        return nodes.apply(lambda known: known[index][key] if index < len(known) else pulumi.runtime.rpc.UNKNOWN)

    tls: dict[str, Any] = dict(_tls(spec))
    if tls:
        tls |= {name: of_node(name) for name in ("tlsPort", "certificatePort", "tlsControllerPort")}
        tls["tlsControllers"] = nodes.apply(partial(initial_controllers, port="tlsControllerPort"))
    return _resource(
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
        here,
    )


def initial_controllers(nodes: list[Values], port: str = "controllerPort") -> str:
    """The controllers that the quorum is made of, in Kafka's own form."""
    voters = [node for node in nodes if "controller" in node["roles"]]
    # Numbers come back from Pulumi's wire format as floats.
    return ",".join(f"{int(node['id'])}@{HOST}:{int(node[port])}:{node['directoryId']}" for node in voters)


def _register_kafka(
    spec: StackSpec,
    passwords: Mapping[str, str | None],
    provider: pulumi.ProviderResource,
    goes_with: pulumi.Resource | None,
    leave_out: Collection[tuple[str, str]],
) -> None:
    """Everything that lives in Kafka. Where the cluster itself is the stack's, it goes with `goes_with`, without a call."""
    import pulumi

    protected = {topic.name for topic in spec.topics if topic.protect}
    first: list[pulumi.Resource] = []
    for token, name, values in declared(spec, passwords):
        if (token, name) in leave_out:
            continue
        if "password" in values:
            values["password"] = pulumi.Output.secret(values["password"])
        protect = token == TOPIC and name in protected
        made = _resource(token, name, values, provider, protect=protect, depends_on=first, deleted_with=goes_with)
        if token == CONFIG:
            # Topics are made under the defaults that the stack sets for them.
            first = [made]


def _resource(
    token: str,
    name: str,
    inputs: Mapping[str, Any],
    provider: pulumi.ProviderResource,
    *,
    outputs: tuple[str, ...] = (),
    protect: bool = False,
    depends_on: list[pulumi.Resource] | None = None,
    deleted_with: pulumi.Resource | None = None,
) -> pulumi.Resource:
    import pulumi

    options = pulumi.ResourceOptions(
        provider=provider, protect=protect or None, depends_on=depends_on or None, deleted_with=deleted_with
    )
    return pulumi.CustomResource(token, name, {**inputs, **dict.fromkeys(outputs)}, options)
