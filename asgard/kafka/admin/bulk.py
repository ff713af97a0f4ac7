"""Monitoring's reads of every partition and every group, whose number of requests grows with brokers, not with partitions.

One request per leader for each timestamp, one per coordinator for a thousand groups: `RawRequest`s into arrays. If a
broker does not answer, its partitions or groups are unknown (`UNANSWERED`, or missing), never 0.
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

import numpy as np

from asgard.core.errors import AsgardError, Unreachable
from asgard.kafka.admin import codecs, errors, messages
from asgard.kafka.admin.cluster import id_text
from asgard.kafka.admin.codecs import Numbers
from asgard.kafka.admin.listing import Ask, Places
from asgard.kafka.admin.wire import Job, Wire, chunks
from asgard.kafka.groups import UNANSWERED, ByPartition, Layout, Listed, ListedGroup, TopicLayout
from asgard.kafka.model import BatchHead

GROUPS_A_REQUEST = 1_000
_ANSWER_BYTES = 32 * 1024 * 1024
_FETCHES = ((500, 32 * 1024), (100, 256 * 1024), (10, 8 * 1024 * 1024))
"""Partitions per request and bytes per partition: most batches fit the first; partitions that come back empty are asked
for with more."""
_HEADS_BYTES = 256 * 1024
_FETCHED_AT_ONCE = 8
_MOVED, _OUT_OF_RANGE = (5, 6, 74, 75), 1
EARLIEST, LATEST, MAX_TIMESTAMP = -2, -1, -3


class Bulk:
    """`kafka.ports.Bulk`: returned by `AdminClient.bulk()`, on the same connections."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._led: dict[str, TopicLayout] = {}
        self._all: tuple[Layout, Places] | None = None

    def layout(self, names: Collection[str] | None = None) -> Layout:
        """Topics with their leaders, in one response of one broker. Topics that do not exist or may not be seen are
        left out."""
        batches = [None] if names is None else list(chunks(sorted(names), 10_000))
        topics: dict[str, TopicLayout] = {}
        answer = None
        for batch in batches:
            answer = self._wire.ask(codecs.metadata(batch))
            topics.update((t.name, _layout(t)) for t in answer.topics if not t.error)
        if answer is None:
            return Layout("", -1, (), {})
        return Layout(answer.cluster_id, answer.controller, tuple(sorted(answer.brokers)), topics)

    def list_offsets_at(
        self,
        layout: Layout,
        timestamps: Iterable[int],
        partitions: Mapping[str, Numbers] | None = None,
        *,
        read_committed: bool = False,
    ) -> list[Listed]:
        """By each time (ms) the first offset at or after it; or of `LATEST`, `EARLIEST`, `MAX_TIMESTAMP`. One request per leader and time.

        Of all partitions of the layout, or of those named. -1 if no record is that new, `UNANSWERED` if the leader does not say.
        The requests of all times are in flight together: Kafka takes one time a partition in each.
        """
        stamps, places = list(timestamps), self._places(layout) if partitions is None else Places(layout, partitions)
        empty = {name: np.zeros(0, np.int64) for name in partitions or () if name not in places.begin}
        answers = [_Answer(places, self._wire) for _ in stamps]
        left: list[Numbers] = self._ask_at(stamps, places, answers, None, read_committed)
        pause = 0.1
        for _ in range(3):
            moved = np.unique(np.concatenate(left)) if left else np.zeros(0, np.int64)
            if not len(moved):
                break
            time.sleep(pause)
            pause *= 3
            again = Places(self.layout(places.named(moved)), places.named(moved))
            left = self._ask_at(stamps, again, answers, left, read_committed)
        return [answer.listed(empty) for answer in answers]

    def _places(self, layout: Layout) -> Places:
        """All partitions of a layout, computed once."""
        if self._all is None or self._all[0] is not layout:
            self._all = layout, Places(layout, None)
        return self._all[1]

    def _ask_at(
        self,
        stamps: list[int],
        places: Places,
        answers: list[_Answer],
        only: list[Numbers] | None,
        read_committed: bool,
    ) -> list[Numbers]:
        """Ask the leaders of these places at all times; by time, the places (in the order of the first round) that
        other leaders must be asked for.

        `only`: by time, the places not answered yet; a time that is fully answered is not asked again.
        """
        timed = [n for n in range(len(stamps)) if only is None or len(only[n])]
        jobs: list[Job] = []
        for n in timed:
            jobs += [(ask.request(stamps[n], committed_only=read_committed), ask.leader) for ask in places.asks]
        found = iter(self._wire.ask_each(jobs))
        left = [np.zeros(0, np.int64) for _ in stamps]
        for n in timed:
            left[n] = answers[n].take(places, [(ask, next(found)) for ask in places.asks])
        return left

    def committed(self, groups: Iterable[ListedGroup]) -> tuple[dict[str, ByPartition], dict[str, str]]:
        """Group to topic to committed offsets; and why groups are missing. Share groups have none: use
        `share_starts`."""
        found: dict[str, ByPartition] = {}
        problems: dict[str, str] = {}
        jobs: list[Job] = []
        asked: list[list[str]] = []
        for broker, names in _by_coordinator(g for g in groups if g.type != "share").items():
            for batch in chunks(names, GROUPS_A_REQUEST):
                jobs.append((codecs.offset_fetch(batch), broker))
                asked.append(batch)
        for batch, answer in zip(asked, self._wire.ask_each(jobs), strict=True):
            if isinstance(answer, AsgardError):
                problems.update(dict.fromkeys(batch, answer.what))
                continue
            for group in answer:
                if group.error:
                    doing, needs = f"read the offsets of group {group.group}", f"DESCRIBE on group {group.group}"
                    error = self._wire.outcome(group.error, None, doing, needs)
                    problems[group.group] = error.what if error else ""
                else:
                    found[group.group] = {t: _dense(p, o) for t, (p, o) in group.topics.items()}
        return found, problems

    def share_starts(
        self, groups: Iterable[ListedGroup]
    ) -> tuple[dict[str, ByPartition], dict[str, ByPartition], dict[str, str]]:
        """Share groups: the first unsettled offset and Kafka's own lag (-1: unknown); and why some are missing."""
        request = messages.DescribeShareGroupOffsetsRequest
        by_node: dict[int, list[str]] = defaultdict(list)
        for group in groups:
            if group.type == "share":
                by_node[group.coordinator].append(group.name)
        jobs: list[Job] = []
        asked: list[list[str]] = []
        for node, names in by_node.items():
            for batch in chunks(names, GROUPS_A_REQUEST):
                jobs.append((request(groups=[request.Group(group_id=n, topics=None) for n in batch]), node))
                asked.append(batch)
        starts: dict[str, ByPartition] = {}
        lags: dict[str, ByPartition] = {}
        problems: dict[str, str] = {}
        for batch, answer in zip(asked, self._wire.ask_each(jobs), strict=True):
            if isinstance(answer, AsgardError):
                problems.update(dict.fromkeys(batch, answer.what))
                continue
            for group in answer.groups:
                if group.error_code:
                    doing, needs = (
                        f"read the offsets of share group {group.group_id}",
                        f"DESCRIBE on group {group.group_id}",
                    )
                    error = self._wire.outcome(group.error_code, group.error_message, doing, needs)
                    problems[group.group_id] = error.what if error else ""
                    continue
                starts[group.group_id], lags[group.group_id] = {}, {}
                for topic in group.topics:
                    size = max((p.partition_index for p in topic.partitions), default=-1) + 1
                    start, lag = np.full(size, -1, np.int64), np.full(size, -1, np.int64)
                    for p in topic.partitions:
                        if not p.error_code:
                            start[p.partition_index] = p.start_offset
                            lag[p.partition_index] = -1 if p.lag is None else p.lag
                    starts[group.group_id][topic.topic_name] = start
                    lags[group.group_id][topic.topic_name] = lag
        return starts, lags, problems

    def first_records(
        self, layout: Layout, positions: Mapping[str, Mapping[int, int]]
    ) -> tuple[dict[tuple[str, int], int | None], dict[str, str]]:
        """The timestamp (ms) of the first record at or after an offset, by partition; and why topics could not be read.

        None: there is no record from there on, only markers of transactions or what compaction left. Reads one batch per
        partition. A partition that could not be read, or that has many batches without a record there, is left out.
        """
        from asgard.kafka.admin.batches import end_of, first_timestamp

        found: dict[tuple[str, int], int | None] = {}
        problems: dict[str, str] = {}
        left = {(t, p): offset for t, offsets in positions.items() for p, offset in offsets.items()}
        for batch, size in _FETCHES:
            for _ in range(3):  # a full response leaves some out: they are asked for again
                jobs = list(_fetch_jobs(layout, left, batch, size))
                if not jobs:
                    return found, problems
                before = len(left)
                for p in self._fetched(jobs):
                    key = (p.topic, p.partition)
                    if p.error:
                        doing, needs = f"read topic {p.topic}", f"READ on topic {p.topic}"
                        error = self._wire.outcome(p.error, None, doing, needs)
                        problems[p.topic] = error.what if error else ""
                        left.pop(key, None)
                    elif p.records and key in left:
                        at = first_timestamp(p.records, left[key])
                        if at is not None or end_of(p.records) >= p.end:
                            found[key] = at
                            del left[key]
                if len(left) == before:
                    break
        return found, problems

    def batch_signs(self, layout: Layout, positions: Mapping[str, Mapping[int, int]]) -> dict[str, tuple[bool, bool]]:
        """By topic whether the batches at these offsets are transactional, and out of order of time; partitions that
        can't be read are left out."""
        from asgard.kafka.admin.batches import signs

        left = {(t, p): offset for t, offsets in positions.items() for p, offset in offsets.items()}
        found: dict[str, tuple[bool, bool]] = {}
        for p in self._fetched(_fetch_jobs(layout, left, *_FETCHES[0])):
            if not p.error and p.records:
                transactional, out_of_order = signs(p.records)
                before = found.get(p.topic, (False, False))
                found[p.topic] = (before[0] or transactional, before[1] or out_of_order)
        return found

    def _fetched(self, jobs: Iterable[Job]) -> Iterator[codecs.Fetched]:
        """What brokers that are up answer, from a few requests at a time: an answer takes up to 32 MiB."""
        for some in chunks(jobs, _FETCHED_AT_ONCE):
            for answer in self._wire.ask_each(some):
                if not isinstance(answer, AsgardError):
                    yield from answer

    def batch_heads(self, topic: str, partition: int, offset: int) -> list[BatchHead]:
        """Batch headers from the one that holds or follows an offset on; none if the log begins later. Raises
        Unreachable."""
        from asgard.kafka.admin.batches import heads

        deadline, pause = time.monotonic() + self._wire.deadline_s, 0.1
        while True:
            if topic not in self._led:
                self._led |= self.layout([topic]).topics
            leaders = self._led[topic].leaders if topic in self._led else ()
            leader = int(leaders[partition]) if partition < len(leaders) else -1
            if leader >= 0:
                request = codecs.fetch({topic: {partition: offset}}, _HEADS_BYTES, _ANSWER_BYTES)
                (answer,) = self._wire.ask_each([(request, leader)])
                if isinstance(answer, AsgardError) and not isinstance(answer, errors.BrokerDown):
                    raise answer
                for found in () if isinstance(answer, AsgardError) else answer:
                    if found.error == _OUT_OF_RANGE:
                        return []
                    if found.error not in _MOVED:
                        self._wire.check(found.error, None, f"read topic {topic}", f"READ on topic {topic}")
                        return heads(found.records)
            if time.monotonic() + pause > deadline:
                raise Unreachable(f"{topic}-{partition} has no leader that answers")
            self._led.pop(topic, None)
            time.sleep(pause)
            pause = min(pause * 2, 1.0)

    def leader_sizes(self, layout: Layout) -> dict[str, int]:
        """Bytes of each topic on the disks of its leaders, one request per broker; without topics that were only partly
        measured."""
        places = self._places(layout)
        sizes = np.full(places.size, -1, np.int64)
        jobs = [(codecs.log_dirs(places.begin), broker) for broker in layout.brokers]
        for broker, answer in zip(layout.brokers, self._wire.ask_each(jobs), strict=True):
            if isinstance(answer, AsgardError):
                if not isinstance(answer, errors.BrokerDown):
                    raise answer
                continue
            doing, needs = f"read the log directories of broker {broker}", "DESCRIBE on the cluster"
            self._wire.check(answer.error, None, doing, needs)
            there = answer.at < places.size  # a topic that was just given partitions has more
            at = answer.at[there]
            led = places.leaders[at] == broker
            sizes[at[led]] = answer.sizes[there][led]
        unknown = places.summed((sizes < 0).astype(np.int64))
        return {topic: size for topic, size in places.summed(sizes).items() if not unknown[topic]}

    def requests_by_broker(self) -> dict[str, int]:
        """How many requests were sent since the connection was opened, by broker (`bootstrap` for the first ones)."""
        return dict(sorted((str(node), n) for node, n in self._wire.sent.items()))


class _Answer:
    """The leaders' answers for one time, in the flat order of the places asked for at first."""

    def __init__(self, places: Places, wire: Wire) -> None:
        self._places, self._wire = places, wire
        self._offsets = np.full(places.size, UNANSWERED, np.int64)
        self._times = np.full(places.size, -1, np.int64)
        self._problems: dict[str, str] = {}

    def take(self, places: Places, answers: Iterable[tuple[Ask, Any]]) -> Numbers:
        """Store the answers; the places that other leaders must be asked for. `places` are those of this round."""
        again = [np.zeros(0, np.int64)]
        for ask, answer in answers:
            if isinstance(answer, AsgardError):
                if not isinstance(answer, errors.BrokerDown):
                    raise answer
                again.append(self._own(places, ask.at))
                continue
            at, good = self._own(places, answer.at), answer.errors == 0
            self._offsets[at[good]], self._times[at[good]] = answer.offsets[good], answer.times[good]
            if good.all():
                continue
            moved = np.isin(answer.errors, _MOVED)
            again.append(at[moved])
            for code in np.unique(answer.errors[~good & ~moved]).tolist():
                for topic in places.named(answer.at[answer.errors == code]):
                    doing, needs = f"list the offsets of topic {topic}", f"DESCRIBE on topic {topic}"
                    error = self._wire.outcome(code, None, doing, needs)
                    self._problems[topic] = error.what if error else ""
        return np.concatenate(again)

    def _own(self, places: Places, at: Numbers) -> Numbers:
        """Places of one round in the order of the first one."""
        if places is self._places:
            return at
        shift = np.array([self._places.begin[name] - places.begin[name] for name in places.topics], np.int64)
        return at + shift[np.searchsorted(np.array(list(places.begin.values())), at, "right") - 1]

    def listed(self, empty: ByPartition) -> Listed:
        offsets, times = self._places.by_topic(self._offsets), self._places.by_topic(self._times)
        return Listed(offsets | empty, times | empty, self._problems)


def _fetch_jobs(layout: Layout, left: Mapping[tuple[str, int], int], batch: int, size: int) -> Iterable[Job]:
    by_node: dict[int, list[tuple[str, int, int]]] = defaultdict(list)
    for (topic, partition), offset in left.items():
        there = layout.topics.get(topic)
        if there is not None and partition < len(there.leaders) and there.leaders[partition] >= 0:
            by_node[int(there.leaders[partition])].append((topic, partition, offset))
    for turn in zip_longest(*(chunks(rows, batch) for rows in by_node.values())):  # so that all brokers are busy
        for node, some in zip(by_node, turn, strict=True):
            if some is not None:
                positions: dict[str, dict[int, int]] = defaultdict(dict)
                for topic, partition, offset in some:
                    positions[topic][partition] = offset
                yield codecs.fetch(positions, size, _ANSWER_BYTES), node


def _by_coordinator(groups: Iterable[ListedGroup]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    for group in groups:
        found[group.coordinator].append(group.name)
    return found


def _dense(partitions: Numbers, offsets: Numbers) -> Numbers:
    if not len(partitions):
        return np.zeros(0, np.int64)
    dense = np.full(int(partitions.max()) + 1, -1, np.int64)
    dense[partitions] = offsets
    return dense


def _layout(topic: codecs.TopicMeta) -> TopicLayout:
    size = max((row[0] for row in topic.rows), default=-1) + 1
    columns = np.full((3, size), -1, np.int64)
    for partition, *values in topic.rows:
        columns[:, partition] = values
    return TopicLayout(topic.name, id_text(uuid.UUID(bytes=topic.id)), topic.internal, *columns)
