"""ListOffsets of very many partitions at many times: what does not change between times is computed once.

The requests to a leader differ only in their timestamps, and its answers only in their figures. A request is built once
and its timestamps are overwritten; the first answer of a leader is parsed field by field, later ones of the same form
in one step.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asgard.kafka.admin.raw import RawRequest, Reader, array, text
from asgard.kafka.groups import Layout

Numbers = NDArray[np.int64]
PARTITIONS_A_REQUEST = 50_000

_LIST_OFFSETS, _VERSION = 2, 7
_NO_TAGS = b"\x00"
_ASKED = np.dtype([("partition", ">i4"), ("epoch", ">i4"), ("timestamp", ">i8"), ("tags", "u1")])
_FOUND = np.dtype(
    [("partition", ">i4"), ("error", ">i2"), ("time", ">i8"), ("offset", ">i8"), ("e", ">i4"), ("tags", "u1")]
)
_TIME_AT = 8
_FIGURES = slice(4, 26)
"""The bytes of a row of an answer that change: error, time, offset, epoch."""


class Found(NamedTuple):
    """One leader's answer: places in the flat order of `Places`, with error code, record time (ms) and offset."""

    at: Numbers
    errors: Numbers
    times: Numbers
    offsets: Numbers


@dataclass(frozen=True)
class _Form:
    """Where the rows of an answer are, whose places they have, and all bytes that are not figures."""

    rows: Numbers
    at: Numbers
    fixed: NDArray[np.bool_]
    bytes: NDArray[np.uint8]


class Ask:
    """What one leader is asked for, at any time."""

    def __init__(self, leader: int, at: Numbers, body: bytes, stamps: Numbers, begin: Mapping[str, int]) -> None:
        self.leader, self.at = leader, at
        self._body, self._stamps, self._begin = np.frombuffer(body, np.uint8), stamps, begin
        self._form: _Form | None = None

    def request(self, timestamp: int, *, committed_only: bool) -> RawRequest:
        """The request for one time (ms), or -1: end, -2: start, -3: the record with the newest time."""

        def body() -> bytes:
            data = self._body.copy()
            data[4] = committed_only
            time = np.frombuffer(struct.pack(">q", timestamp), np.uint8)
            data[self._stamps[:, None] + np.arange(8)] = time
            return data.tobytes()

        return RawRequest(_LIST_OFFSETS, _VERSION, body, self._read)

    def _read(self, r: Reader) -> Found:
        data = np.frombuffer(r.data, np.uint8)[r.at :]
        form = self._form
        if form is None or len(form.fixed) != len(data) or (data[form.fixed] != form.bytes).any():
            form = self._form = self._learn(Reader(data.data), data)
        rows = data[form.rows[:, None] + np.arange(_FOUND.itemsize)].view(_FOUND).ravel()
        errors, times, offsets = (rows[name].astype(np.int64) for name in ("error", "time", "offset"))
        return Found(form.at, errors, times, offsets)

    def _learn(self, r: Reader, data: NDArray[np.uint8]) -> _Form:
        where, counts, begins = [], [], []
        r.skip(4)
        for _ in range(r.count()):
            topic, count = r.text(), r.count()
            where.append(r.at)
            counts.append(count)
            begins.append(self._begin[topic])
            r.skip(count * _FOUND.itemsize)
            r.tags()
        each = np.array(counts, np.int64)
        within = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)
        rows = np.repeat(np.array(where, np.int64), each) + within * _FOUND.itemsize
        found = data[rows[:, None] + np.arange(_FOUND.itemsize)].view(_FOUND).ravel()
        if found["tags"].any():
            raise ValueError("ListOffsets answers with tagged fields")
        fixed = np.ones(len(data), np.bool_)
        fixed[:4] = False  # for how long the broker throttled
        fixed[rows[:, None] + np.arange(_FIGURES.start, _FIGURES.stop)] = False
        return _Form(rows, np.repeat(np.array(begins, np.int64), each) + found["partition"], fixed, data[fixed])


class Places:
    """The requested partitions, one topic after the other (`flat`), and what each leader is asked."""

    def __init__(self, layout: Layout, wanted: Mapping[str, Numbers] | None) -> None:
        """Of all partitions of the layout, or of those wanted. Partitions without a leader are in no request."""
        self.topics = [name for name in (layout.topics if wanted is None else wanted) if name in layout.topics]
        there = [layout.topics[name].leaders for name in self.topics]
        self._sizes = np.array([len(leaders) for leaders in there], np.int64)
        self._begins = np.cumsum(self._sizes) - self._sizes
        self.begin = dict(zip(self.topics, self._begins.tolist(), strict=True))
        self.size = int(self._sizes.sum())
        leaders = np.concatenate(there) if there else np.zeros(0, np.int64)
        self.leaders = leaders
        chosen = leaders >= 0
        if wanted is not None:
            asked = np.zeros(self.size, np.bool_)
            for name, size in zip(self.topics, self._sizes.tolist(), strict=True):
                indexes = wanted[name]
                asked[self.begin[name] + indexes[indexes < size]] = True
            chosen &= asked
        self._chosen = np.flatnonzero(chosen)

    @cached_property
    def asks(self) -> list[Ask]:
        """The requests, one per leader (more if one leads very many)."""
        return list(self._asks())

    def summed(self, flat: Numbers) -> dict[str, int]:
        """Topic to the sum of its partitions' figures."""
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(flat)])
        sums = ends[self._begins + self._sizes] - ends[self._begins]
        return dict(zip(self.topics, sums.tolist(), strict=True))

    def by_topic(self, flat: Numbers) -> dict[str, Numbers]:
        """Figures in the flat order, by topic."""
        ends = (self._begins + self._sizes).tolist()
        return {
            name: flat[begin:end] for name, begin, end in zip(self.topics, self._begins.tolist(), ends, strict=True)
        }

    def named(self, at: Numbers) -> dict[str, Numbers]:
        """Topic to partitions, of places in the flat order."""
        topics, partitions = self._named(np.sort(at))
        heads = np.flatnonzero(np.diff(topics, prepend=-1))
        return {
            self.topics[topics[head]]: some for head, some in zip(heads, np.split(partitions, heads[1:]), strict=True)
        }

    def _named(self, at: Numbers) -> tuple[Numbers, Numbers]:
        topics = np.searchsorted(self._begins, at, "right") - 1
        return topics, at - self._begins[topics]

    def _asks(self) -> Iterable[Ask]:
        leaders, chosen = self.leaders, self._chosen[np.argsort(self.leaders[self._chosen], kind="stable")]
        heads = [text(name) for name in self.topics]
        for some in np.split(chosen, np.flatnonzero(np.diff(leaders[chosen])) + 1):
            for begin in range(0, len(some), PARTITIONS_A_REQUEST):
                yield self._ask(int(leaders[some[0]]), some[begin : begin + PARTITIONS_A_REQUEST], heads)

    def _ask(self, leader: int, at: Numbers, heads: list[bytes]) -> Ask:
        topics, partitions = self._named(at)
        rows = np.zeros(len(at), _ASKED)
        rows["partition"], rows["epoch"] = partitions, -1
        raw, size = rows.tobytes(), _ASKED.itemsize
        edges = [*np.flatnonzero(np.diff(topics, prepend=-1)).tolist(), len(at)]
        parts = [struct.pack(">ib", -1, 0), array(len(edges) - 1)]
        length, where = len(parts[0]) + len(parts[1]), []
        for begin, end, topic in zip(edges[:-1], edges[1:], topics[edges[:-1]].tolist(), strict=True):
            head = heads[topic] + array(end - begin)
            where.append(length + len(head))
            length += len(head) + (end - begin) * size + 1
            parts += [head, raw[begin * size : end * size], _NO_TAGS]
        each = np.diff(edges)
        within = np.arange(len(at)) - np.repeat(np.array(edges[:-1]), each)
        stamps = np.repeat(np.array(where, np.int64), each) + within * size + _TIME_AT
        return Ask(leader, at, b"".join([*parts, _NO_TAGS]), stamps, self.begin)
