"""Drives a copy: source -> route -> exactly-once writer, at a pace, until every partition has reached the end of its window.

Any failure that a broker's death can explain is rolled back and retried from the committed progress, for `PATIENCE_S` without a commit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol

from asgard.core import events, units
from asgard.core.errors import Unreachable
from asgard.kafka.data import Read
from asgard.thor.replay.exactly import COMMIT_EVERY_S, ExactlyOnce, Undone, unreachable
from asgard.thor.replay.model import Copied, RecordSource, Route, Saved, To, TopicPartition
from asgard.thor.replay.pace import CopyPace, Rate

PATIENCE_S = 300.0
ALL_EVERY_S = 3600.0
"""How often the progress of all partitions is committed, not only of changed ones: Kafka expires old commits one by one."""
_SLICE = 1000


class Care(Protocol):
    """Watches the clusters during a copy."""

    def rate(self) -> Rate:
        """How fast the copy may go now. Called often, so it checks only every few seconds."""
        ...


@dataclass(frozen=True)
class Routing:
    """A route, and what connects its memory, if it has one, with the copy.

    `started` gets the committed progress whenever reading starts (again), `committed` what each commit added to it. A route with a
    memory keeps it there, puts it into the commits through `note_of`, and says through `begin_at` where to read from. `facts` is
    what the journal keeps of it at the end.
    """

    route: Route
    started: Callable[[dict[TopicPartition, Saved]], None] = lambda saved: None
    committed: Callable[[dict[TopicPartition, Saved]], None] = lambda saved: None
    note_of: Callable[[TopicPartition], str] = lambda key: ""
    begin_at: Callable[[TopicPartition, Saved | None], int] | None = None
    facts: Callable[[], dict[str, Any]] = dict


@dataclass(frozen=True)
class _Copying:
    """The parts of a copy, when it began (seconds of the monotonic clock), and what it has done."""

    source: RecordSource
    routing: Routing
    writer: ExactlyOnce
    care: Care
    what: str
    began: float
    done: Copied


def copy(
    source: RecordSource,
    routing: Routing,
    writer: ExactlyOnce,
    care: Care,
    *,
    known: Mapping[TopicPartition, Saved] | None = None,
    what: str = "replay",
) -> Copied:
    """Copy everything in the source. Returns what happened.

    `known` is progress that Kafka may have expired. Raises Busy if another run took over.
    """
    done = Copied()
    began = last_commit = time.monotonic()
    copying = _Copying(source, routing, writer, care, what, began, done)
    while True:
        try:
            saved = {**(known or {}), **writer.open()}
            routing.started(saved)
            _Run(copying, saved).through()
        except (Undone, Unreachable) as undone:
            why = str(undone).splitlines()[0]
            last_commit = max(last_commit, done.last_commit)
            if time.monotonic() - last_commit > PATIENCE_S:
                raise unreachable(why, PATIENCE_S) from undone
            done.redone += 1
            events.note(f"rolled back, trying again: {why}")
            time.sleep(min(0.2 * done.redone, 2.0))
        else:
            done.seconds = time.monotonic() - began
            return done


class _Run:
    """From the committed progress to the end, or to the first failure."""

    def __init__(self, copying: _Copying, saved: dict[TopicPartition, Saved]) -> None:
        source, routing = copying.source, copying.routing
        self.source, self.routing, self.writer, self.care = source, routing, copying.writer, copying.care
        self.what, self.began, self.done = copying.what, copying.began, copying.done
        if routing.begin_at is None:
            self.at = {key: saved[key].position if key in saved else start for key, (start, _) in source.window.items()}
        else:
            self.at = {key: routing.begin_at(key, saved.get(key)) for key in source.window}
        self.sent = {key: saved[key].sent if key in saved else 0 for key in source.window}
        self.changed: set[TopicPartition] = set()
        self.open_left: dict[str, int] = {}
        self.open_sent = self.open_bytes = 0
        self.pace = CopyPace(self.care.rate(), time.monotonic())
        self.total = sum(end - start for start, end in source.window.values())
        self.all_at = -ALL_EVERY_S

    def through(self) -> None:
        source = self.source
        source.ask(*self.pace.rate.batch)
        for batch in source.read(self.at):
            for i in range(0, len(batch.records), _SLICE):
                self._send(batch.records[i : i + _SLICE])
            for key, position in batch.reached.items():
                if position > self.at[key]:
                    self.at[key] = position
                    self.changed.add(key)
            if self.writer.due:
                self._commit()
            self.pace.rate = self.care.rate()
            source.ask(*self.pace.rate.batch)
        self._commit()

    def _send(self, records: list[Read]) -> None:
        size = count = 0
        for key, run in groupby(records, key=itemgetter(0, 1)):
            own = list(run)
            sent, sent_bytes = self._send_run(own)
            self.sent[key] += sent
            self.at[key] = own[-1].offset + 1
            self.changed.add(key)
            count += sent
            size += sent_bytes
        self.open_sent += count
        self.open_bytes += size
        if not count:
            return
        self.writer.poll()
        if self.writer.due:
            self._commit()
        self._wait(self.pace.spend(time.monotonic(), count, size))

    def _send_run(self, records: list[Read]) -> tuple[int, int]:
        """Send records of one partition. Returns how many were sent, and their bytes."""
        before = self.writer.sent_bytes
        going: list[tuple[Read, To]] = []
        for record, to in zip(records, map(self.routing.route, records), strict=True):
            if isinstance(to, str):
                self.open_left[to] = self.open_left.get(to, 0) + 1
            else:
                going.append((record, to))
        if going:
            self.writer.send(going)
        return len(going), self.writer.sent_bytes - before

    def _wait(self, seconds: float) -> None:
        """Sleep for the pace, without keeping a transaction open longer than usual."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            room = COMMIT_EVERY_S - self.writer.age_s
            if self.writer.age_s and left > room:
                time.sleep(max(room, 0))
                self._commit()
            else:
                time.sleep(left)

    def _commit(self) -> None:
        now = time.monotonic()
        everything = bool(self.changed) and now - self.all_at >= ALL_EVERY_S
        keys = self.at.keys() if everything else self.changed
        saved = {key: Saved(self.at[key], self.sent[key], self.routing.note_of(key)) for key in keys}
        self.writer.commit(saved)
        self.all_at = now if everything else self.all_at
        self.routing.committed(saved)
        done = self.done
        done.sent += self.open_sent
        done.sent_bytes += self.open_bytes
        done.total_sent = sum(self.sent.values())
        done.last_commit = time.monotonic()
        for why, count in self.open_left.items():
            done.left[why] = done.left.get(why, 0) + count
        self.open_sent = self.open_bytes = 0
        self.open_left.clear()
        self.changed.clear()
        self._tell()

    def _tell(self) -> None:
        window, done = self.source.window, self.done
        passed = sum(self.at[key] - start for key, (start, _) in window.items())
        seconds = max(time.monotonic() - self.began, 0.001)
        rate = done.sent / seconds
        text = f"{done.total_sent} records, {units.format_size(done.sent_bytes)}, {rate:.0f} records/s"
        if passed and self.total > passed and done.sent:
            first = passed - done.sent - sum(done.left.values())
            speed = (passed - max(first, 0)) / seconds
            text += f", about {units.format_duration((self.total - passed) / max(speed, 0.001))} left"
        events.progress(self.what, text, done=passed, total=self.total, unit="offsets")
