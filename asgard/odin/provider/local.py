"""Kafka on this machine: the plan of a cluster, its nodes, and the wait until it serves.

Creating a node spawns it and does not wait, so nodes start in parallel; only `Ready` waits. `Ready` is deleted last
before the nodes: it marks the cluster, and the nodes of a marked cluster are deleted without checking what they hold.
Any other node is deleted only when no replica list names it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from asgard.core import paths
from asgard.core.errors import AsgardError, Failed, Refused, Unreachable
from asgard.kafka.connection import Connection
from asgard.kafka.ports import ControlPlane
from asgard.odin.provider import listeners
from asgard.odin.provider.batching import Batcher
from asgard.odin.provider.former import Former
from asgard.odin.resources import local
from asgard.odin.resources.checks import holds_replicas
from asgard.odin.resources.observe import Observed
from asgard.odin.resources.values import Values

if TYPE_CHECKING:
    from asgard.machines.local import NodeSpec, RunDir

READY_S = 120.0
WINDOW_S = 0.3


def going(nodes_dir: Path) -> Path:
    """The mark beside a cluster's nodes that says: the whole cluster is being deleted. `Ready` sets it and clears
    it."""
    return nodes_dir / "going"


class Plans:
    """The effects of `asgard:local:Cluster`: none, it is only a plan."""

    def taken(self, new: Values, observed: Observed) -> bool:
        """Whether nodes of a cluster of that name exist, which only another state can know of."""
        return any((paths.stack_dir(new["name"]) / "nodes").glob("*/node.json"))

    async def create(self, urn: str, new: Values) -> Values:
        """Allocate."""
        return local.allocate(new)

    async def update(self, old: Values, new: Values) -> Values:
        """Allocate for new nodes."""
        return local.allocate(new, old)

    async def delete(self, old: Values) -> None:
        """Delete the plan, the notes on the cluster, and the directory that its nodes have left."""
        directory = paths.stack_dir(old["name"]) / "nodes"
        going(directory).unlink(missing_ok=True)
        Former(old["clusterId"]).close()
        with contextlib.suppress(OSError):
            directory.rmdir()


class Nodes:
    """The effects of `asgard:local:Broker`."""

    def __init__(self, connect: Callable[[Connection], ControlPlane]) -> None:
        self._connect = connect
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="restarts")
        self._restarts: dict[str, Batcher[int, NodeSpec, AsgardError | None]] = {}

    def taken(self, new: Values, observed: Observed) -> bool:
        """Whether a node of another cluster occupies its place."""
        directory = local.run_dir(new["cluster"], new["nodeId"])
        return directory.exists and directory.spec().cluster_id != new["clusterId"]

    async def create(self, urn: str, new: Values) -> Values:
        """Describe, format and spawn. Called again for the same node, it finishes what is missing."""
        from asgard.machines import local as nodes

        directory = local.run_dir(new["cluster"], new["nodeId"])
        await asyncio.to_thread(nodes.create, directory, local.node_spec(new), local.credentials(new))
        return _outputs(new, directory.path)

    async def update(self, old: Values, new: Values) -> Values:
        """Start a node that is down; restart one, in its turn, if its description changed or its certificate is due."""
        from asgard.machines import local as nodes

        directory = local.run_dir(new["cluster"], new["nodeId"])
        wanted = await asyncio.to_thread(_wanted, directory, new)
        if await asyncio.to_thread(_describe, directory, wanted):
            if await asyncio.to_thread(self._needs_turn, directory, new):
                error = await self._restarts_of(new["clusterId"]).submit(new["nodeId"], wanted)
                if error is not None:
                    raise error
            listeners.done(directory)
        await asyncio.to_thread(nodes.start, directory)
        # If nothing else in the cluster changes, nothing waits for it any more.
        await asyncio.to_thread(nodes.wait_ready, [directory], READY_S)
        return _outputs(new, directory.path)

    def _needs_turn(self, directory: RunDir, new: Values) -> bool:
        """Whether it can't simply be started: it is running, or all nodes switch to other listeners together."""
        return directory.spec().tls != local.TLS_LEVELS[new.get("tls") or "off"] or bool(
            local.running(new["cluster"], new["nodeId"])
        )

    def _restarts_of(self, cluster_id: str) -> Batcher[int, NodeSpec, AsgardError | None]:
        """Nodes of a cluster whose description changed at the same moment are restarted one after the other."""
        if cluster_id not in self._restarts:
            self._restarts[cluster_id] = Batcher(partial(self._restart, cluster_id), self._thread, window_s=WINDOW_S)
        return self._restarts[cluster_id]

    def _restart(self, cluster_id: str, wanted: dict[int, NodeSpec]) -> Mapping[int, AsgardError | None]:
        directories = local.run_dirs(cluster_id)
        outcomes: dict[int, AsgardError | None] = {}
        try:
            listeners.switch(self._connect, directories, wanted)
            due = [node for node in wanted if listeners.is_due(directories[node])]
            listeners.roll(self._connect, directories, due, outcomes)
        except AsgardError as error:
            return {**dict.fromkeys(wanted, error), **outcomes}
        return {**dict.fromkeys(wanted), **outcomes}

    async def delete(self, old: Values) -> None:
        """Stop the node and remove its directory; refused while a replica list names it, unless the whole cluster goes."""
        from asgard.machines import local as nodes

        directory = local.run_dir(old["cluster"], old["nodeId"])
        if not directory.exists:
            return
        if not going(directory.path.parent).exists():
            await asyncio.to_thread(self._leave, old)
        await asyncio.to_thread(nodes.remove, directory)

    def _leave(self, old: Values) -> None:
        """Take a node out of a cluster that keeps running without it."""
        from asgard.machines import local as nodes
        from asgard.machines.local.quorum import cluster_connection

        node = old["nodeId"]
        if "controller" in old["roles"]:
            raise Refused(
                f"node {node} is one of the controllers that the cluster was created with; it can't be removed",
                "Remove brokers that aren't controllers, or destroy the whole stack.",
            )
        directory = local.run_dir(old["cluster"], node)
        with contextlib.closing(self._connect(cluster_connection(directory))) as control:
            held = Counter(p.topic for t in control.topics().values() for p in t.partitions if node in p.replicas)
            if held:
                raise Refused(*holds_replicas(node, held))
            nodes.stop(directory)
            control.unregister_broker(node)


class Readiness:
    """The effects of `asgard:local:Ready`."""

    def __init__(self, connect: Callable[[Connection], ControlPlane]) -> None:
        self._connect = connect

    def taken(self, new: Values, observed: Observed) -> bool:
        """Never: it does not exist outside the state."""
        return False

    async def create(self, urn: str, new: Values) -> Values:
        """Wait until all brokers serve."""
        return await asyncio.to_thread(self._wait, new)

    async def update(self, old: Values, new: Values) -> Values:
        """Wait until all brokers serve, new ones too; after a version change, raise the feature levels."""
        outputs = await asyncio.to_thread(self._wait, new)
        if new.get("version") and new["version"] != old.get("version") and new.get("raisesLevels", True):
            await asyncio.to_thread(self._raise_features, new)
        return outputs

    async def delete(self, old: Values) -> None:
        """Mark for the nodes that the whole cluster is being deleted."""
        for directory in _homes(local.run_dirs(old["clusterId"]).values()):
            going(directory).touch()

    def _raise_features(self, new: Values) -> None:
        from asgard.machines.local.features import levels_of

        levels = levels_of(new["version"])
        with contextlib.closing(self._connect(Connection(new["bootstrapServers"], new["clientProperties"]))) as control:
            control.raise_features(levels)

    def _wait(self, new: Values) -> Values:
        from asgard.machines import local as nodes

        patience_s = float(new.get("patience") or READY_S)
        until = time.monotonic() + patience_s
        wanted = set(new["brokerIds"])
        directories = {node: d for node, d in local.run_dirs(new["clusterId"]).items() if node in wanted}
        for home in _homes(directories.values()):
            going(home).unlink(missing_ok=True)
        nodes.wait_ready(list(directories.values()), READY_S)
        connection = Connection(new["bootstrapServers"], new["clientProperties"])
        why = ""
        while time.monotonic() < until:
            try:
                with contextlib.closing(self._connect(connection)) as control:
                    cluster = control.cluster()
                    if cluster.cluster_id != new["clusterId"]:
                        raise Refused(
                            f"{connection.bootstrap_servers} answers as cluster {cluster.cluster_id}, not {new['clusterId']}",
                            "Something else listens on the ports of this stack.",
                        )
                    missing = sorted(wanted - {broker.id for broker in cluster.brokers if broker.state == "up"})
                    if not missing and control.quorum().leader >= 0:
                        return {**new, "brokers": sorted(wanted)}
                    why = (
                        f"broker {', '.join(map(str, missing))} is not there" if missing else "the quorum has no leader"
                    )
            except Unreachable as error:
                why = error.what
            time.sleep(0.1)
        raise Failed(f"the cluster is not ready after {patience_s:.0f} s: {why}", _last_words(directories.values()))


def _homes(directories: Iterable[RunDir]) -> set[Path]:
    """The directories that nodes live in."""
    return {directory.path.parent for directory in directories}


def _last_words(directories: Iterable[RunDir]) -> str:
    logs = ", ".join(str(directory.logs / "server.log") for directory in directories)
    return f"Their logs: {logs}" if logs else "No node of this cluster runs on this machine."


def _wanted(directory: RunDir, new: Values) -> NodeSpec:
    # A node that was recreated since joins an existing quorum.
    return replace(local.node_spec(new), joins=directory.spec().joins)


def _describe(directory: RunDir, wanted: NodeSpec) -> bool:
    """Write the description if it differs; whether the node still needs a restart for it, from this run or an earlier one.

    A change of the TLS level is not written here: all nodes switch together, step by step.
    """
    from asgard.machines import local as nodes
    from asgard.machines.local import certificates

    there = directory.spec()
    if there.tls != wanted.tls:
        return True
    if there != wanted:
        listeners.mark(directory)
        nodes.update(directory, wanted)
    if wanted.tls != "off" and certificates.due(directory.key_store):
        listeners.mark(directory)
    return listeners.is_due(directory)


def _outputs(new: Values, directory: Path) -> Values:
    certificate = {} if (new.get("tls") or "off") == "off" else {"certificate": "valid"}
    return {**new, "running": True, "directory": str(directory), **certificate}
