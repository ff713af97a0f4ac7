"""Other replication factors: all topics that want one at the same moment are moved by one throttled reassignment.

What the throttle sets for a while is written down before it is set: by the journal of the command that runs this provider,
else (a program of somebody's own) in a file under ASGARD_HOME, which the next change of a replication factor or
`asgard recover` settles.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from asgard.cluster import reassign
from asgard.cluster.replication_factor import with_replication
from asgard.core import paths, process
from asgard.core.errors import AsgardError
from asgard.core.process import Identity
from asgard.kafka.ports import ControlPlane
from asgard.odin.provider.batching import Batcher

WINDOW_S = 0.1

WriteDown = Callable[[reassign.Record], Callable[[], None]]
"""Writes down what is about to be set for a while; gives what to call when it is put back."""


@dataclass(frozen=True)
class Factor:
    """The replication factor that a topic is to have, and how fast: bytes/s and broker, None for no limit."""

    replicas: int
    throttle: int | None = None


class Replication:
    """Changes of replication factors of one cluster, one reassignment after the other."""

    def __init__(self, control: Callable[[], ControlPlane], write_down: WriteDown | None) -> None:
        self._control = control
        self._write_down = write_down
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-moves")
        self._moves: Batcher[str, Factor, AsgardError | None] = Batcher(self._move, self._thread, window_s=WINDOW_S)

    async def change(self, topic: str, factor: Factor) -> None:
        """Give the topic that factor; returns when its replicas are where they should be. The slowest throttle of those
        that move together counts."""
        error = await self._moves.submit(topic, factor)
        if error is not None:
            raise error

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False)

    def _move(self, wanted: dict[str, Factor]) -> Mapping[str, AsgardError | None]:
        control = self._control()
        info = control.cluster()
        write_down = self._write_down
        if write_down is None:
            file = left_behind(info.cluster_id)
            settle(control, file)
            write_down = file_log(file)
        topics = control.topics(list(wanted))
        moves = [
            move
            for name, factor in sorted(wanted.items())
            if name in topics
            for move in with_replication(topics[name].partitions, info.brokers, factor.replicas)
        ]
        throttles = [factor.throttle for factor in wanted.values() if factor.throttle is not None]
        put_back: list[Callable[[], None]] = []
        outcome = reassign.execute(
            control,
            moves,
            remember=lambda record: put_back.append(write_down(record)),
            forget=lambda: put_back[-1](),
            throttle_bytes_per_s=min(throttles, default=None),
            allow_replication_factor_change=True,
        )
        errors: dict[str, AsgardError | None] = dict.fromkeys(wanted)
        errors |= {topic: error for (topic, _), error in outcome.refused.items()}
        return errors


def left_behind(cluster_id: str) -> Path:
    """Where the throttle of a cluster's running reassignment stands."""
    return paths.home() / "moves" / f"{cluster_id}.json"


def file_log(file: Path) -> WriteDown:
    """Writes records to a file, which goes when they are put back."""

    def write_down(record: reassign.Record) -> Callable[[], None]:
        paths.write_atomic(file, json.dumps({**record, "owner": asdict(process.identity())}))
        return lambda: file.unlink(missing_ok=True)

    return write_down


def abandoned() -> dict[Path, reassign.Record]:
    """What programs that have ended left behind, by the file that says so; its name is the cluster's id."""
    found = {}
    for file in sorted((paths.home() / "moves").glob("*.json")):
        try:
            record = json.loads(file.read_text())
        except FileNotFoundError:
            continue  # put back just now
        owner = record.get("owner")
        if owner is None or process.is_dead(Identity(**owner)):
            found[file] = record
    return found


def settle(control: ControlPlane, file: Path) -> None:
    """Put back what a program that was killed left set. Raises Busy while its moves still run."""
    if file.exists():
        reassign.undo(control, json.loads(file.read_text()))
        file.unlink()
