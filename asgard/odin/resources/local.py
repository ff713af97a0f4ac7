"""Clusters on this machine: the ids, ports and directories of their nodes, and where to find those nodes later.

`allocate` is pure, except that it checks whether a port is free. A node's ports and directory id follow from the
cluster id and its node id, so a preview shows what the run will do.
"""

from __future__ import annotations

import base64
import json
import random
import secrets
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgard.core import paths
from asgard.core.errors import Failed, WrongUsage
from asgard.core.units import parse_size
from asgard.kafka.connection import FIRST_USER, scram_properties, trust_properties
from asgard.odin.resources.values import Values

if TYPE_CHECKING:
    from asgard.machines.local import Credentials, InitialController, NodeSpec, RunDir
    from asgard.machines.local.certificates import Authority
    from asgard.machines.local.spec import TlsLevel

HOST = "127.0.0.1"
_PORTS = ("brokerPort", "controllerPort", "tlsPort", "certificatePort", "tlsControllerPort")
TLS_LEVELS: dict[str, TlsLevel] = {"off": "off", "optional": "preferred", "on": "only"}
"""What a node does with TLS, by the `tls` of its cluster."""
PORTS = range(20000, 32000)
"""Below the range that the system gives to outgoing connections."""


def allocate(wanted: Values, before: Values | None = None, free: Callable[[int], bool] | None = None) -> Values:
    """The outputs of `asgard:local:Cluster`. Existing nodes (`before`) keep what they have; new ones are brokers only.

    A new cluster has its first `controllers` nodes in the metadata quorum. Raises Failed if no port is free.
    """
    before = before or {}
    cluster_id = before.get("clusterId") or random_uuid(secrets.token_bytes)
    nodes: list[Values] = [dict(node) for node in before.get("nodes", ())][: wanted["brokers"]]
    voters = wanted["controllers"]
    taken = {node[name] for node in nodes for name in _PORTS if name in node} | ports_of_other_stacks(wanted["name"])
    for node_id in range(1, wanted["brokers"] + 1)[len(nodes) :]:
        seeded = random.Random(f"{cluster_id}/{node_id}")
        controller = node_id <= voters and not before
        node: Values = {"id": node_id, "roles": ["broker", "controller"] if controller else ["broker"]}
        node["brokerPort"] = _port(seeded, taken, free or is_free)
        node["controllerPort"] = _port(seeded, taken, free or is_free) if controller else 0
        node["directoryId"] = random_uuid(seeded.randbytes)
        nodes.append(node)
    tls = wanted.get("tls", "off")
    for given in nodes:
        if tls != "off" and "tlsPort" not in given:
            _add_tls_ports(given, random.Random(f"{cluster_id}/{given['id']}/tls"), taken, free or is_free)
        given["rack"] = f"r{(given['id'] - 1) % wanted['racks']}"
    admin = before.get("adminPassword") or secrets.token_urlsafe(24)
    secured = wanted["sasl"] != "none"
    properties = (
        scram_properties(FIRST_USER, admin, tls=tls != "off") if secured else {"security.protocol": "PLAINTEXT"}
    )
    if tls != "off":
        properties |= trust_properties(authority(wanted["name"]).certificate_file)
    return {
        **wanted,
        "clusterId": cluster_id,
        "nodes": nodes,
        "adminPassword": admin,
        "controllerPassword": before.get("controllerPassword") or secrets.token_urlsafe(24),
        "bootstrapServers": _servers(nodes, "brokerPort" if tls == "off" else "tlsPort"),
        **({} if tls == "off" else {"certificateServers": _servers(nodes, "certificatePort")}),
        "clientProperties": properties,
    }


def _add_tls_ports(node: Values, seeded: random.Random, taken: set[int], free: Callable[[int], bool]) -> None:
    node["tlsPort"] = _port(seeded, taken, free)
    node["certificatePort"] = _port(seeded, taken, free)
    node["tlsControllerPort"] = _port(seeded, taken, free) if "controller" in node["roles"] else 0


def _servers(nodes: list[Values], port: str) -> str:
    return ",".join(f"{HOST}:{node[port]}" for node in nodes)


def authority(cluster: str) -> Authority:
    """The CA of a local stack."""
    from asgard.machines.local.certificates import Authority

    return Authority(paths.stack_dir(cluster) / "tls")


def random_uuid(some_bytes: Callable[[int], bytes]) -> str:
    """An id in Kafka's own form: 16 bytes in 22 characters, the first of them no dash."""
    while True:
        text = base64.urlsafe_b64encode(some_bytes(16)).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def is_free(port: int) -> bool:
    """Whether the port is free now."""
    with socket.socket() as candidate:
        try:
            candidate.bind((HOST, port))
        except OSError:
            return False
    return True


def _port(seeded: random.Random, taken: set[int], free: Callable[[int], bool]) -> int:
    for _ in range(2000):
        port = seeded.choice(PORTS)
        if port not in taken and free(port):
            taken.add(port)
            return port
    raise Failed(f"no port between {PORTS.start} and {PORTS.stop} is free on {HOST}", "What listens there?")


def _described(stack: str = "*") -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((paths.home() / "stacks").glob(f"{stack}/nodes/*/node.json")):
        try:
            yield path.parent, json.loads(path.read_text())
        except (OSError, ValueError):
            continue  # a node that is just being created or removed


def ports_of_other_stacks(name: str) -> set[int]:
    """Ports given to nodes of other stacks, running or not."""
    return {
        port
        for directory, node in _described()
        if directory.parent.parent.name != name
        for key, port in node.items()
        if port and key.endswith("_port")
    }


def run_dir(cluster: str, node: int) -> RunDir:
    """Where a node lives."""
    from asgard.machines.local import RunDir

    return RunDir(paths.stack_dir(cluster) / "nodes" / str(node))


def run_dirs(cluster_id: str) -> dict[int, RunDir]:
    """The nodes of a cluster on this machine, whatever its name."""
    from asgard.machines.local import RunDir

    return {node["id"]: RunDir(path) for path, node in _described() if node.get("cluster_id") == cluster_id}


def running(cluster: str, node: int) -> bool | None:
    """Whether the node's process is running and not paused; None if there is no such node."""
    from asgard.machines import local as nodes

    directory = run_dir(cluster, node)
    return nodes.status(directory).state == "running" if directory.exists else None


def now() -> str:
    """The time (RFC 3339, UTC)."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def certificate(cluster: str, node: int) -> str:
    """`due` if it is time to renew the node's certificate, else `valid`."""
    from asgard.machines.local import certificates

    return "due" if certificates.due(run_dir(cluster, node).key_store) else "valid"


def node_spec(values: Values) -> NodeSpec:
    """The description of a node from the properties of `asgard:local:Broker`."""
    from asgard.machines.local import NodeSpec

    try:
        heap = parse_size(values["heap"])
    except ValueError as error:
        raise WrongUsage(f"heap {error}") from error
    voters = first_quorum(values["initialControllers"])
    tls = TLS_LEVELS[values.get("tls") or "off"]
    if tls != "off":
        with_tls = {voter.id: voter.port for voter in first_quorum(values["tlsControllers"])}
        voters = tuple(replace(voter, tls_port=with_tls[voter.id]) for voter in voters)
    return NodeSpec(
        id=values["nodeId"],
        cluster_id=values["clusterId"],
        roles=tuple(values["roles"]),
        voters=voters,
        client_port=values["brokerPort"],
        controller_port=values.get("controllerPort") or None,
        rack=values.get("rack"),
        version=values["version"],
        heap_bytes=heap,
        sasl=values["sasl"],
        authorizer=values["authorizer"],
        internal_replication=min(3, len(voters)),
        static_config=values["staticConfig"],
        log_dirs=int(values.get("logDirs") or 1),
        tls=tls,
        tls_port=values.get("tlsPort") or None,
        mtls_port=values.get("certificatePort") or None,
        tls_controller_port=values.get("tlsControllerPort") or None,
    )


def first_quorum(text: str) -> tuple[InitialController, ...]:
    """`id@host:port:directory-id,…` as voters. Raises WrongUsage."""
    from asgard.machines.local import InitialController

    voters = []
    for part in text.split(","):
        node, at, rest = part.strip().partition("@")
        pieces = rest.split(":")
        if not at or len(pieces) != 3 or not node.isdigit() or not pieces[1].isdigit():
            raise WrongUsage(f"initialControllers has {part!r}; allowed is id@host:port:directory-id")
        voters.append(InitialController(int(node), int(pieces[1]), pieces[2]))
    return tuple(voters)


def credentials(values: Values) -> Credentials | None:
    """The first two users of a node; None without SASL."""
    from asgard.machines.local import Credentials

    if values["sasl"] == "none":
        return None
    return Credentials(FIRST_USER, values["adminPassword"], "controller", values["controllerPassword"])
