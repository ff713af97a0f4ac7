"""`asgard demo`: a real three-broker Kafka made as code, real records through it, and every one of them counted.

The acts: the cluster comes up from the template `local-ha`; several producers write ride bookings with a user's own
credentials; a user without the permission is refused; everything is read back and checked record by record against its stamp.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from asgard.compose.settle import leftovers
from asgard.core import console, paths
from asgard.core.errors import AsgardError, Failed
from asgard.kafka import stamp
from asgard.kafka.connection import Connection
from asgard.loki.load.rides import rides
from asgard.odin import apply, templates
from asgard.odin.credentials import client_properties
from asgard.odin.engine.state import StateStore
from asgard.odin.engine.steps import OnEvent
from asgard.odin.options import Options
from asgard.odin.session import directory, local_connection
from asgard.odin.spec import StackSpec, load

if TYPE_CHECKING:
    from asgard.kafka.data import Read, Tally
    from asgard.odin.apply import Outcome

STACK = "asgard-demo"
DAY_S = 86400
PRODUCERS = 4
WRITER, READER, OUTSIDER = "booking-api", "analytics", "billing"


@dataclass
class Count:
    """What was read back, told from each record's stamp."""

    read: int = 0
    corrupted: int = 0
    duplicated: int = 0
    foreign: int = 0
    seen: dict[int, bytearray] = field(default_factory=dict, repr=False)

    def take(self, records: Iterable[Read], run: bytes, sizes: dict[int, int]) -> None:
        """Count a batch; `sizes` is how many records each producer sent."""
        for record in records:
            found = stamp.find(record.headers)
            if found is None or found.run != run:
                self.foreign += 1
                continue
            self.read += 1
            seen = self.seen.setdefault(found.producer, bytearray(sizes[found.producer]))
            self.duplicated += seen[found.sequence]
            seen[found.sequence] = 1
            self.corrupted += not found.matches(record.value)

    def distinct(self) -> int:
        """How many different records were read."""
        return sum(sum(seen) for seen in self.seen.values())


@dataclass
class Report:
    """What the demo did; times in seconds."""

    stack: str
    brokers: int
    topics: int
    users: int
    up_s: float
    sent: int
    acknowledged: int
    write_s: float
    read: int
    read_s: float
    lost: int
    duplicated: int
    corrupted: int
    refused: str
    kept: bool = False
    file: Path | None = None


def run(events: int, *, keep: bool, on_event: OnEvent, say: Callable[[str], None]) -> Report:
    """All acts. Whatever happens, the stack is destroyed again unless `keep`. Raises Failed where a record is missing."""
    file = paths.private_dir(paths.home() / "demo") / "asgard.yaml"
    paths.write_atomic(file, templates.template("local-ha").render(STACK))
    spec = load(file)
    try:
        report = _acts(spec, events, on_event, say)
    finally:
        if not keep:
            say("removing the cluster …")
            _remove(on_event)
            file.unlink(missing_ok=True)
    report.kept, report.file = keep, file if keep else None
    if report.lost or report.corrupted:
        raise Failed(f"{report.lost} acknowledged records are missing and {report.corrupted} are damaged")
    return report


def _acts(spec: StackSpec, events: int, on_event: OnEvent, say: Callable[[str], None]) -> Report:
    say(f"creating a cluster of {spec.kafka.brokers} brokers, secured, with {len(spec.topics)} topics …")
    began = time.monotonic()
    outcome = apply.up(spec, Options(), _agreed, leftovers=leftovers(), on_event=on_event)
    up_s = time.monotonic() - began
    if outcome.result.interrupted:
        raise KeyboardInterrupt
    if not outcome.result.ok:
        raise outcome.result.errors[0].error or Failed(outcome.result.errors[0].message)
    say(f"writing {events:,} ride bookings with {PRODUCERS} producers as {WRITER} …")
    run_id = secrets.token_bytes(16)
    began = time.monotonic()
    tallies = _write(_as(WRITER), events, run_id)
    write_s = time.monotonic() - began
    say(f"writing to rides.booked as {OUTSIDER}, who may not …")
    refused = _refusal(_as(OUTSIDER))
    say(f"reading everything back as {READER} and checking each record …")
    began = time.monotonic()
    count = _read(spec, run_id, {number: tally.sent for number, tally in enumerate(tallies)})
    read_s = time.monotonic() - began
    acknowledged = sum(tally.acked for tally in tallies)
    if failures := [failure for tally in tallies for failure in tally.failures]:
        raise Failed(f"{sum(tally.failed for tally in tallies)} records were refused: {failures[0]}")
    return Report(
        stack=STACK,
        brokers=spec.kafka.brokers,
        topics=len(spec.topics),
        users=len(spec.users),
        up_s=up_s,
        sent=sum(tally.sent for tally in tallies),
        acknowledged=acknowledged,
        write_s=write_s,
        read=count.read,
        read_s=read_s,
        lost=max(0, acknowledged - count.distinct()),
        duplicated=count.duplicated,
        corrupted=count.corrupted,
        refused=refused,
    )


def _agreed(outcome: Outcome) -> None:
    """The user asked for a demo: that is the approval of what it makes."""


def _as(user: str) -> Connection:
    """The cluster as one of the stack's own users sees it."""
    state = StateStore(directory(STACK)).load()
    cluster = local_connection(STACK, state)
    if cluster is None:
        raise Failed("the demo's cluster has gone", "Did another command destroy it meanwhile?")
    return Connection(cluster.bootstrap_servers, client_properties(STACK, state, user, tls=False))


def _write(connection: Connection, events: int, run_id: bytes) -> list[Tally]:
    from asgard.kafka.data import Record, Writer

    shares = [events // PRODUCERS + (number < events % PRODUCERS) for number in range(PRODUCERS)]
    # Rides that ended by now: Kafka refuses timestamps that are more than an hour ahead.
    start_ms = int((time.time() - DAY_S) * 1000)

    over = threading.Event()

    def produce(number: int) -> Tally:
        with Writer(connection, name=f"demo-{number}") as writer:
            for sequence, event in enumerate(rides(shares[number], seed=number, start_ms=start_ms)):
                header = stamp.make(run_id, number, sequence, time.time_ns() // 1000, event.value)
                writer.send(Record(event.topic, event.value, event.key, ((stamp.HEADER, header),), event.at_ms))
                if over.is_set():
                    break
            return writer.finish()

    with ThreadPoolExecutor(PRODUCERS) as pool:
        try:
            return list(pool.map(produce, range(PRODUCERS)))
        finally:
            over.set()  # after Ctrl-C the producers would else write on to their last record


def _refusal(connection: Connection) -> str:
    """Why a record of a user without permission was refused. Raises Failed where it was not."""
    from asgard.kafka.data import Record, Writer

    with Writer(connection, deadline_s=15, name="demo-outsider") as writer:
        writer.send(Record("rides.booked", b"{}"))
        tally = writer.finish()
    if tally.acked:
        raise Failed(f"{OUTSIDER} wrote to rides.booked, which nobody allowed")
    return tally.failures[0]


def _read(spec: StackSpec, run_id: bytes, sizes: dict[int, int]) -> Count:
    from asgard.kafka.admin import connect
    from asgard.kafka.data import read

    reader = _as(READER)
    control = connect(reader)
    try:
        wanted = [(t.name, p) for t in spec.topics if t.name.startswith("rides.") for p in range(t.partitions)]
        offsets = control.offsets(wanted)
    finally:
        control.close()
    count = Count()
    for batch in read(reader, offsets):
        count.take(batch, run_id, sizes)
    return count


def _remove(on_event: OnEvent) -> None:
    if not StateStore(directory(STACK)).exists():
        return
    why = "it was interrupted"
    try:
        result = apply.destroy(STACK, Options(confirm=STACK), _agreed, leftovers=leftovers(), on_event=on_event).result
        if result.ok:
            return
        if result.errors:
            why = result.errors[0].message
    except AsgardError as error:
        why = error.what
    console.warn(f"the demo's cluster could not be removed: {why}")
    console.say(f"Try: asgard odin destroy --stack {STACK} --confirm {STACK} --yes")
