"""The target `local`: the program of a cluster whose brokers are processes of this machine."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from asgard.kafka.connection import Connection
from asgard.odin.engine.steps import Step
from asgard.odin.resources.kinds import BROKER, CLUSTER, READY
from asgard.odin.resources.values import Values
from asgard.odin.spec.model import StackSpec
from asgard.odin.targets.reached import Pack, Reached

if TYPE_CHECKING:
    import pulumi

HOST = "127.0.0.1"


class LocalTarget:
    """See the module."""

    needs_cli = False
    has_guardrails = False

    def register(self, spec: StackSpec, external: Connection | None, pack: Pack | None) -> Reached:
        """The cluster's allocation, its brokers, and what waits for them."""
        return register(spec)

    def outdates(self, steps: Iterable[Step], stack: str) -> set[int]:
        """None: the program itself restarts processes."""
        return set()

    def applied(self, spec: StackSpec) -> None:
        """Nothing to note: the nodes are below the stack's directory."""


def register(spec: StackSpec) -> Reached:
    """Register the cluster's allocation, its brokers, and what waits for them."""
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
    properties = pulumi.get(cluster, "clientProperties")
    outputs_of_stack = {
        "bootstrapServers": servers,
        "clusterId": pulumi.get(cluster, "clusterId"),
        "clientProperties": properties,
    }
    if spec.security.tls != "off":
        outputs_of_stack["certificateServers"] = pulumi.get(cluster, "certificateServers")
    provider = {
        "bootstrapServers": servers,
        "clientProperties": properties,
        "clusterId": pulumi.get(ready, "clusterId"),
    }
    return Reached(provider, ready, outputs_of_stack)


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
