"""`thor redrive`: dead letters back to their source topics, each exactly once, however often it is run or killed.

What was sent is recorded per dead letter topic, not per run: a group `asgard.redrive.TOPIC` commits it together with the
records. Kafka can't remove single records from a topic, so dead letters stay in it; a second redrive sends only new or leftover ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asgard.core import contexts
from asgard.core.errors import WrongUsage
from asgard.journal.store.database import Database
from asgard.kafka.data import Read
from asgard.thor import offsets
from asgard.thor.redrive import ledger, letters
from asgard.thor.redrive.ledger import Ledger
from asgard.thor.redrive.letters import Rules
from asgard.thor.replay import exactly, history
from asgard.thor.replay.copy import Routing
from asgard.thor.replay.filters import Matches
from asgard.thor.replay.model import Copied, Endpoint, Saved, To, TopicPartition
from asgard.thor.replay.pace import Rate
from asgard.thor.replay.perform import Job, Participant, perform
from asgard.thor.replay.slots import slots
from asgard.thor.replay.topics import TopicSource

LISTED = 1000
SENT_BEFORE, NOT_CHOSEN = "sent before", "not chosen"


@dataclass(frozen=True)
class Stays:
    """A dead letter that can't be sent."""

    partition: int
    offset: int
    why: str
    target: str | None


@dataclass
class RedriveReport:
    """What a redrive would do, or did: counts by target, and what stays."""

    by_target: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    stays: list[Stays] = field(default_factory=list)


@dataclass(frozen=True)
class RedriveRequest:
    """A user's request. `chosen` are single dead letters by partition; empty: all that weren't sent yet. `topic_headers` name the
    original topic, before those of Connect and Spring."""

    dlq: str
    chosen: dict[int, set[int]]
    wanted: Matches | None = None
    topic_headers: tuple[str, ...] = ()
    max_tries: int = 3


@dataclass(frozen=True)
class PreparedRedrive:
    """A redrive that is ready to start. `chosen` are single dead letters by partition; empty: all that weren't sent yet.
    `starts` are the first offsets in Kafka, `topic_id` is the dead letter topic's."""

    rules: Rules
    topic_id: str
    window: dict[TopicPartition, tuple[int, int]]
    starts: dict[TopicPartition, int]
    chosen: dict[int, set[int]]
    saved: dict[TopicPartition, Saved]
    last_at: float | None

    @property
    def name(self) -> str:
        """The transactional id and the group."""
        return f"asgard.redrive.{self.rules.dlq}"


def prepare(cluster: Endpoint, request: RedriveRequest, journal: Database) -> PreparedRedrive:
    """What there is to send. Reads offsets only. Raises WrongUsage, and Failed if a partition has no leader."""
    control, dlq, chosen = cluster.control, request.dlq, request.chosen
    topics = control.topics(moves=False)
    if dlq not in topics:
        raise WrongUsage(f"there is no topic {dlq}")
    cluster_id = control.cluster().cluster_id
    keys = [(dlq, p.partition) for p in topics[dlq].partitions]
    missing = chosen.keys() - {p for _, p in keys}
    if missing:
        raise WrongUsage(f"{dlq} has no partition {min(missing)}")
    held = offsets.held(control, [key for key in keys if not chosen or key[1] in chosen], committed=True)
    known = _known(journal, f"{cluster_id}/{dlq}", topics[dlq].id, {p: o.end for (_, p), o in held.items()})
    kept = {(dlq, p): Saved(at, sent, note) for p, at, sent, note in (known.last.get("ledger", []) if known else [])}
    saved = {**kept, **exactly.committed(cluster.connection, f"asgard.redrive.{dlq}", slots(keys, keys))}
    window = {}
    for key, its in held.items():
        start, end = its.start, its.end
        book = _book(saved.get(key), start)
        if chosen:
            window[key] = (max(start, min(chosen[key[1]])), min(end, max(chosen[key[1]]) + 1))
        else:
            window[key] = (min(max(start, book.first), end), end)
    window = {key: (start, max(start, end)) for key, (start, end) in window.items()}
    counts = {name: len(topic.partitions) for name, topic in topics.items() if not topic.internal}
    names = (*request.topic_headers, *letters.TOPIC_HEADERS)
    rules = Rules(cluster_id, dlq, f"redrive.{dlq}", counts, names, request.max_tries, request.wanted)
    starts = {key: o.start for key, o in held.items()}
    last_at = known.last_at if known else None
    return PreparedRedrive(rules, topics[dlq].id, window, starts, chosen, saved, last_at)


def _known(journal: Database, id: str, topic_id: str, ends: Mapping[int, int]) -> history.RecordedCopy | None:
    """The earlier runs. None if the topic was created again since then: its offsets count other dead letters now."""
    known = next((k for k in history.known(journal, "redrive") if k.id == id), None)
    if known is None:
        return None
    of_topic = {**known.plan, **known.last}.get("topic_id")
    if of_topic is not None:
        return known if of_topic == topic_id else None
    # Recorded before the topic's id was: a ledger that is ahead of its partition belongs to another topic.
    return known if all(head <= ends.get(p, head) for p, head, *_ in known.last.get("ledger", [])) else None


class Books:
    """The ledgers of one run, and its findings; a route for the copy. Aborted transactions reset it to what was committed."""

    def __init__(self, prepared: PreparedRedrive) -> None:
        self._prepared = prepared
        self._safe = dict(prepared.saved)
        self._books: dict[TopicPartition, Ledger] = {}
        self.found = RedriveReport()
        self._open = RedriveReport()

    def started(self, saved: Mapping[TopicPartition, Saved]) -> None:
        """Reading starts here."""
        self._safe = dict(saved)
        self._books = {key: _book(saved.get(key), start) for key, start in self._prepared.starts.items()}
        self._open = RedriveReport()

    def committed(self, saved: Mapping[TopicPartition, Saved]) -> None:
        """Confirm what was found since the last commit."""
        self._safe |= saved
        for name in ("by_target", "left"):
            total, more = getattr(self.found, name), getattr(self._open, name)
            for key, count in more.items():
                total[key] = total.get(key, 0) + count
        self.found.stays += self._open.stays[: max(0, LISTED - len(self.found.stays))]
        self._open = RedriveReport()

    def note_of(self, key: TopicPartition) -> str:
        return self._books[key].text()

    def begin_at(self, key: TopicPartition, saved: Saved | None) -> int:
        """Where to read from: the window says it, however far an earlier run was."""
        start, end = self._prepared.window[key]
        if self._prepared.chosen or saved is None:
            return start
        return min(max(start, _book(saved, start).first), end)

    def route(self, record: Read) -> To | str:
        key = (record.topic, record.partition)
        book, chosen = self._books[key], self._prepared.chosen
        scan = not chosen
        if chosen and record.offset not in chosen.get(record.partition, ()):
            return NOT_CHOSEN
        if book.sent(record.offset):
            if scan:
                book.note_seen(record.offset)
            return self._count(SENT_BEFORE)
        to = letters.decide(record, self._prepared.rules)
        if isinstance(to, str):
            book.note_left(record.offset, scan=scan)
            if to in letters.STAYS:
                topic, _ = letters.origin(record.headers, self._prepared.rules.topic_headers)
                self._open.stays.append(Stays(record.partition, record.offset, to, topic))
            return self._count(to)
        book.note_sent(record.offset, scan=scan)
        self._open.by_target[to.topic] = self._open.by_target.get(to.topic, 0) + 1
        return to

    def _count(self, why: str) -> str:
        self._open.left[why] = self._open.left.get(why, 0) + 1
        return why

    def ledger(self) -> list[list[Any]]:
        """What was committed, for the journal, which outlasts Kafka's offsets of a group without members."""
        return [[p, saved.position, saved.sent, saved.note] for (_, p), saved in sorted(self._safe.items())]


def look(cluster: Endpoint, prepared: PreparedRedrive) -> RedriveReport:
    """Read the dead letters and say where they would go; sends nothing."""
    books = Books(prepared)
    books.started(prepared.saved)
    source = TopicSource(cluster.connection, prepared.window, client_id=f"{prepared.name}.look")
    for batch in source.read({key: books.begin_at(key, prepared.saved.get(key)) for key in prepared.window}):
        for record in batch.records:
            books.route(record)
    books.committed({})
    return books.found


def run(
    cluster: Endpoint,
    prepared: PreparedRedrive,
    expected: RedriveReport,
    journal: Database,
    rate: Rate,
    confirm: str | None = None,
) -> tuple[Copied, RedriveReport]:
    """Send what `look` found. Returns what happened. Raises what `perform` raises."""
    rules = prepared.rules
    contexts.refuse_protected_cluster(rules.cluster, confirm)
    books = Books(prepared)
    keys = list(prepared.window)
    job = Job(
        "redrive",
        f"{rules.cluster}/{rules.dlq}",
        prepared.name,
        f"thor redrive {rules.dlq}",
        {"words": f"{rules.dlq} to where they came from", "topic_id": prepared.topic_id},
        slots(keys, keys),
        rate,
        last_at=prepared.last_at,
        known=prepared.saved,
    )
    source = TopicSource(cluster.connection, prepared.window, client_id=prepared.name)
    routing = Routing(
        books.route,
        started=books.started,
        committed=books.committed,
        note_of=books.note_of,
        begin_at=books.begin_at,
        facts=lambda: {"ledger": books.ledger(), "topic_id": prepared.topic_id},
    )
    target = Participant(cluster.connection, cluster.control, rules.cluster, (rules.dlq, *expected.by_target))
    copied = perform(job, source, routing, target, journal)
    return copied, books.found


def _book(saved: Saved | None, start: int) -> Ledger:
    return ledger.read(saved.note) if saved is not None and saved.note else Ledger(start)
