"""Changes of replication factors: all topics that request one at the same moment are moved by one throttled plan.

The plan is executed like one of Thor's, under the lease of the cluster's changes and with its undo record in the
journal. The lease is that of the command that runs this provider; for a user's own program, one is taken. Older
versions wrote a program's record into a file, which the next change of a replication factor or `asgard recover`
settles.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgard.core import paths, process
from asgard.core.errors import AsgardError, Busy, Failed
from asgard.core.process import Identity
from asgard.kafka.ports import ControlPlane
from asgard.odin.provider.batching import Batcher
from asgard.odin.provider.writes import CALL_DEADLINE_S, Writes

if TYPE_CHECKING:
    from asgard.cluster.held import HeldCluster

WINDOW_S = 0.1


@dataclass(frozen=True)
class Factor:
    """The requested replication factor of a topic, and how fast: bytes/s and broker, None for no limit."""

    replicas: int
    throttle: int | None = None


class Replication:
    """Changes of replication factors of one cluster, one plan at a time."""

    def __init__(self, control: Callable[[], ControlPlane], writes: Writes | None) -> None:
        self._control = control
        self._writes = writes
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-moves")
        self._moves: Batcher[str, Factor, AsgardError | None] = Batcher(self._move, self._thread, window_s=WINDOW_S)

    async def change(self, topic: str, factor: Factor) -> None:
        """Change the topic's factor; returns when its replicas are where they should be. Of topics that move together,
        the slowest throttle counts."""
        error = await self._moves.submit(topic, factor)
        if error is not None:
            raise error

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False)

    def _move(self, wanted: dict[str, Factor]) -> Mapping[str, AsgardError | None]:
        from asgard.cluster import moves, replication_factor
        from asgard.cluster.limits import Limits

        throttles = [factor.throttle for factor in wanted.values() if factor.throttle is not None]
        control = self._control()
        info = control.cluster()
        with self._held(control, info.cluster_id) as held:
            partitions = [p for topic in control.topics(list(wanted)).values() for p in topic.partitions]
            sizes = control.replica_sizes({p.leader for p in partitions if p.leader >= 0})
            plan = replication_factor.plan(
                info.cluster_id,
                partitions,
                info.brokers,
                {name: factor.replicas for name, factor in wanted.items()},
                {(p.topic, p.partition): sizes.get((p.leader, p.topic, p.partition), 0) for p in partitions},
            )
            errors: dict[str, AsgardError | None] = dict.fromkeys(wanted)
            if not plan.changes:
                return errors
            throttle = min(throttles, default=None)
            done = moves.run(held, plan, Limits(), replan=replication_factor.replan, throttle=throttle)
        if done.handed_over:
            raise Busy(
                f"the change of replication factors gave way to {done.handed_over}",
                "Moves in flight continue. Run it again: it continues from there.",
            )
        if done.stopped:
            raise Failed(
                f"the change of replication factors was stopped: {done.stopped}",
                "`asgard thor status` shows what is wrong. Run it again once that is healed.",
            )
        for name, why in done.refused.items():
            errors[name.rpartition("-")[0]] = Failed(f"the replicas of {name} were not moved: {why}")
        return errors

    @contextlib.contextmanager
    def _held(self, control: ControlPlane, cluster_id: str) -> Iterator[HeldCluster]:
        """The cluster under the lease of the command that runs this, or under a separate one."""
        from asgard.cluster.held import HeldCluster

        if self._writes is not None:
            yield HeldCluster(
                cluster_id, self._writes.subject, control, self._writes.journal, self._writes.leases[-1], "odin"
            )
            return
        from asgard.journal import leases
        from asgard.journal.store.database import open_journal
        from asgard.kafka.guarded import guarded

        doing, name = "a change of replication factors", leases.cluster_change(cluster_id)
        with (
            open_journal() as journal,
            leases.hold(journal, name, priority=leases.Priority.CHANGE, doing=doing) as lease,
        ):
            own = guarded(control, lambda: lease.check(CALL_DEADLINE_S))
            settle(own, left_behind(cluster_id))
            yield HeldCluster(cluster_id, "a Pulumi program", own, journal, lease, "odin")


def left_behind(cluster_id: str) -> Path:
    """Where an older version recorded the throttle of a cluster's running reassignment."""
    return paths.home() / "moves" / f"{cluster_id}.json"


def abandoned() -> dict[Path, dict[str, Any]]:
    """Leftovers of programs that have ended, by the file that records them; its name is the cluster's id."""
    found = {}
    for file in sorted((paths.home() / "moves").glob("*.json")):
        try:
            record = json.loads(file.read_text())
        except FileNotFoundError:
            continue  # put back by another process just now
        owner = record.get("owner")
        if owner is None or process.is_dead(Identity(**owner)):
            found[file] = record
    return found


def settle(control: ControlPlane, file: Path) -> None:
    """Put back what a killed program of an older version left set. Raises Busy while its moves still run."""
    from asgard.cluster import moves

    if file.exists():
        moves.put_back(control, json.loads(file.read_text()))
        file.unlink()
