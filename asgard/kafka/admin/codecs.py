"""Messages that carry most of what monitoring reads, to and from arrays: Metadata, OffsetFetch, Fetch, DescribeLogDirs (see `listing` too).

Their repeated parts have a fixed size (with Kafka's usual empty metadata), so that numpy reads thousands of them in one
step; otherwise they are read one by one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asgard.kafka.admin.raw import RawRequest, Reader, array, text

_METADATA, _OFFSET_FETCH, _FETCH, _LOG_DIRS = 3, 9, 1, 35
_NO_TAGS = b"\x00"

_REPLICA = np.dtype([("partition", ">i4"), ("size", ">i8"), ("lag", ">i8"), ("future", "u1"), ("tags", "u1")])
_PLACE = struct.Struct(">hiii")
_COMMIT = struct.Struct(">iqi")

Numbers = NDArray[np.int64]


class TopicMeta(NamedTuple):
    """A topic of a Metadata answer; rows are (partition, leader, replicas, in sync)."""

    error: int
    name: str
    id: bytes
    internal: bool
    rows: list[tuple[int, int, int, int]]


class ClusterMeta(NamedTuple):
    """A Metadata answer."""

    brokers: list[int]
    cluster_id: str
    controller: int
    topics: list[TopicMeta]


class Commits(NamedTuple):
    """A group of an OffsetFetch answer: topic to partitions and offsets."""

    group: str
    error: int
    topics: dict[str, tuple[Numbers, Numbers]]


class Replicas(NamedTuple):
    """A DescribeLogDirs answer: places (see `log_dirs`) and bytes of the replicas of one broker."""

    error: int
    at: Numbers
    sizes: Numbers


class Fetched(NamedTuple):
    """A partition of a Fetch answer. `end` is its high watermark."""

    topic: str
    partition: int
    error: int
    end: int
    log_start: int
    records: bytes


def metadata(names: Iterable[str] | None) -> RawRequest:
    """Metadata of topics, or of all."""
    if names is None:
        topics = b"\x00"
    else:
        rows = [b"\x00" * 16 + text(name) + _NO_TAGS for name in names]
        topics = array(len(rows)) + b"".join(rows)
    return RawRequest(_METADATA, 12, topics + b"\x00\x00" + _NO_TAGS, _metadata)


def _metadata(r: Reader) -> ClusterMeta:
    r.skip(4)
    brokers = []
    for _ in range(r.count()):
        brokers.append(r.i32())
        r.raw()
        r.skip(4)
        r.raw()
        r.tags()
    cluster_id, controller = r.text(), r.i32()
    topics = []
    for _ in range(r.count()):
        error, name = r.i16(), r.text()
        topic_id = bytes(r.data[r.at : r.at + 16])
        r.skip(16)
        internal = bool(r.i8())
        rows = [_place(r) for _ in range(r.count())]
        r.skip(4)
        r.tags()
        topics.append(TopicMeta(error, name, topic_id, internal, rows))
    return ClusterMeta(brokers, cluster_id, controller, topics)


def _place(r: Reader) -> tuple[int, int, int, int]:
    _, partition, leader, _ = _PLACE.unpack_from(r.data, r.at)
    r.at += 14
    counts = []
    for _ in range(3):
        count = r.count()
        r.at += 4 * count
        counts.append(count)
    r.tags()
    return partition, leader, counts[0], counts[1]


def offset_fetch(groups: Iterable[str]) -> RawRequest:
    """Everything that these groups committed."""
    rows = [text(group) + b"\x00" + _NO_TAGS for group in groups]
    return RawRequest(_OFFSET_FETCH, 8, array(len(rows)) + b"".join(rows) + b"\x00" + _NO_TAGS, _offset_fetch)


def _offset_fetch(r: Reader) -> list[Commits]:
    r.skip(4)
    found = []
    for _ in range(r.count()):
        group, topics = r.text(), {}
        for _ in range(r.count()):
            topic = r.text()
            topics[topic] = _commits(r, r.count())
            r.tags()
        error = r.i16()
        r.tags()
        found.append(Commits(group, error, topics))
    return found


def _commits(r: Reader, count: int) -> tuple[Numbers, Numbers]:
    if count == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    length = r.data[r.at + 16]
    if length < 0x80:
        size = max(length - 1, 0)
        row = np.dtype(
            [("p", ">i4"), ("o", ">i8"), ("e", ">i4"), ("n", "u1"), ("m", f"V{size}"), ("error", ">i2"), ("tags", "u1")]
            if size
            else [("p", ">i4"), ("o", ">i8"), ("e", ">i4"), ("n", "u1"), ("error", ">i2"), ("tags", "u1")]
        )
        if r.at + count * row.itemsize <= len(r.data):
            rows = np.frombuffer(r.data, row, count, r.at)
            # Each row begins where the previous one ends only if that one has the same size: either all are equal, or
            # none of this holds.
            if (rows["n"] == length).all() and not rows["tags"].any():
                r.skip(count * row.itemsize)
                offsets = np.where(rows["error"] == 0, rows["o"], -1).astype(np.int64)
                return rows["p"].astype(np.int64), offsets
    partitions, offsets = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for i in range(count):
        partitions[i], offset, _ = _COMMIT.unpack_from(r.data, r.at)
        r.at += 16
        r.raw()
        offsets[i] = -1 if r.i16() else offset
        r.tags()
    return partitions, offsets


def fetch(positions: Mapping[str, Mapping[int, int]], partition_bytes: int, answer_bytes: int) -> RawRequest:
    """The batches at these offsets (topic to partition to offset), without waiting."""
    parts = [struct.pack(">iiiibii", -1, 0, 0, answer_bytes, 0, 0, -1), array(len(positions))]
    for topic, offsets in positions.items():
        rows = [struct.pack(">iiqiqiB", p, -1, offset, -1, -1, partition_bytes, 0) for p, offset in offsets.items()]
        parts += [text(topic), array(len(rows)), *rows, _NO_TAGS]
    return RawRequest(_FETCH, 12, b"".join([*parts, array(0), text(""), _NO_TAGS]), _fetch)


def _fetch(r: Reader) -> list[Fetched]:
    r.skip(10)
    found = []
    for _ in range(r.count()):
        topic = r.text()
        for _ in range(r.count()):
            partition, error, end = r.i32(), r.i16(), r.i64()
            r.skip(8)
            log_start = r.i64()
            for _ in range(r.count()):
                r.skip(16)
                r.tags()
            r.skip(4)
            records = r.raw()
            r.tags()
            found.append(Fetched(topic, partition, error, end, log_start, records))
        r.tags()
    return found


def log_dirs(begin: Mapping[str, int]) -> RawRequest:
    """All replicas of a broker. A replica's place is where its topic begins, and its partition; other topics are left out."""
    return RawRequest(_LOG_DIRS, 4, b"\x00" + _NO_TAGS, lambda r: _log_dirs(r, begin))


def _log_dirs(r: Reader, begin: Mapping[str, int]) -> Replicas:
    where, counts, begins = [], [], []
    r.skip(4)
    error = r.i16()
    for _ in range(r.count()):
        r.skip(2)
        r.raw()
        for _ in range(r.count()):
            topic, count = r.text(), r.count()
            if topic in begin:
                where.append(r.at)
                counts.append(count)
                begins.append(begin[topic])
            r.skip(count * _REPLICA.itemsize)
            r.tags()
        r.skip(16)
        r.tags()
    each = np.array(counts, np.int64)
    within = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)
    at = np.repeat(np.array(where, np.int64), each) + within * _REPLICA.itemsize
    rows = np.frombuffer(r.data, np.uint8)[at[:, None] + np.arange(_REPLICA.itemsize)].view(_REPLICA).ravel()
    if rows["tags"].any():
        raise ValueError("DescribeLogDirs answers with tagged fields")
    kept = rows["future"] == 0
    places = np.repeat(np.array(begins, np.int64), each) + rows["partition"]
    return Replicas(error, places[kept], rows["size"][kept].astype(np.int64))
