"""Collectors for tests: one that collects a real cluster until it is killed, and one that collects a made-up large cluster once.

    python -m tests.harness.collecting real BOOTSTRAP PROPERTIES URL
    python -m tests.harness.collecting large PARTITIONS GROUPS URL

`real` goes on from the store's last slot, ten seconds of the store's time a round, and prints each slot that it committed. `large`
answers from bytes as brokers would send them, through the same decoders, and prints seconds and peak memory as JSON.
"""

from __future__ import annotations

import itertools
import json
import resource
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from asgard.heimdall import collect
from asgard.heimdall.store import tables
from asgard.heimdall.store.tables import SAMPLE, open_store
from asgard.kafka.admin import bulk as bulks
from asgard.kafka.admin import codecs
from asgard.kafka.admin.raw import Reader, array, text, uvarint
from asgard.kafka.groups import ByPartition, Groups, Layout, Listed, ListedGroup

BROKERS, A_TOPIC = 30, 20


def real(bootstrap: str, properties: str, url: str) -> None:
    """Collect until killed."""
    from asgard.kafka.admin import connect
    from asgard.kafka.connection import Connection
    from asgard.kafka.properties import read_properties

    with connect(Connection(bootstrap, read_properties(Path(properties)))) as control, open_store(url) as database:
        with database.read() as connection:
            query = sa.select(sa.func.max(tables.samples.c.start)).where(tables.samples.c.level == SAMPLE)
            last = connection.execute(query).scalar()
        begin = int(time.time()) // SAMPLE * SAMPLE if last is None else last + SAMPLE
        window: Any = None
        for slot in itertools.count(begin, SAMPLE):
            done = collect.once(control, database, window=window, clock=lambda at=slot: float(at))  # type: ignore[misc]
            window = done.window[-5:]
            print(slot if done.new else -slot, flush=True)


class Large:
    """A control plane of a cluster that is not there. Its answers pass through the decoders of `kafka.admin.codecs`."""

    def __init__(self, partitions: int, groups: int) -> None:
        self.names = [f"topic-{n:06}" for n in range(partitions // A_TOPIC)]
        self.listed = {
            f"group-{n:05}": ListedGroup(f"group-{n:05}", "classic", "Stable", n % BROKERS) for n in range(groups)
        }
        self.requests = dict.fromkeys(map(str, range(BROKERS)), 0)

    def groups(self) -> Groups:
        return Groups(self.listed)

    def bulk(self) -> Large:
        return self

    def layout(self, names: Collection[str] | None = None) -> Layout:
        rows = [
            b"\0\0"
            + p.to_bytes(4, "big")
            + (p % BROKERS).to_bytes(4, "big")
            + b"\0\0\0\1"
            + 2 * _ids(p)
            + array(0)
            + b"\0"
            for p in range(A_TOPIC)
        ]
        body = array(A_TOPIC) + b"".join(rows) + b"\0\0\0\0\0"
        topics = [b"\0\0" + text(name) + b"\0" * 16 + b"\0" + body for name in self.names]
        brokers = [n.to_bytes(4, "big") + text("h") + b"\0\0\0\0" + b"\0\0" for n in range(BROKERS)]
        data = b"\0\0\0\0" + array(BROKERS) + b"".join(brokers) + text("large") + b"\0\0\0\1"
        answer = codecs._metadata(Reader(data + array(len(topics)) + b"".join(topics) + b"\0"))
        found = {t.name: bulks._layout(t) for t in answer.topics}
        return Layout(answer.cluster_id, answer.controller, tuple(answer.brokers), found)

    def list_offsets_at(
        self, layout: Layout, timestamps: Iterable[int], partitions: Mapping[str, Any] | None = None, **_: object
    ) -> list[Listed]:
        wanted = partitions or {t.name: np.arange(A_TOPIC) for t in layout.topics.values()}
        out = []
        for at in timestamps:
            offset = {-1: 1_000_000, -2: 0}.get(at, 999_000)
            rows = np.zeros(A_TOPIC, codecs._FOUND)
            rows["partition"], rows["offset"], rows["time"] = np.arange(A_TOPIC), offset, 1_795_000_000_000
            one = array(A_TOPIC) + rows.tobytes() + b"\0"
            for node in self.requests:
                self.requests[node] += 1
            body = b"".join(text(name) + one for name in wanted)
            found = codecs._list_offsets(Reader(b"\0\0\0\0" + uvarint(len(wanted) + 1) + body + b"\0"))
            out.append(Listed({f.topic: f.offsets for f in found}, {f.topic: f.times for f in found}, {}))
        return out

    def committed(self, groups: Iterable[ListedGroup]) -> tuple[dict[str, ByPartition], dict[str, str]]:
        found = {}
        each = max(len(self.names) // max(len(self.listed), 1), 1)
        for n, group in enumerate(groups):
            rows = b"".join(
                p.to_bytes(4, "big") + (999_500).to_bytes(8, "big") + b"\0\0\0\1" + b"\1\0\0\0" for p in range(A_TOPIC)
            )
            mine = [self.names[(n * each + k) % len(self.names)] for k in range(each)]
            topics = b"".join(text(name) + array(A_TOPIC) + rows + b"\0" for name in mine)
            body = text(group.name) + array(len(mine)) + topics + b"\0\0\0"
            (answer,) = codecs._offset_fetch(Reader(b"\0\0\0\0" + array(1) + body + b"\0"))
            found[group.name] = {t: bulks._dense(p, o) for t, (p, o) in answer.topics.items()}
        return found, {}

    def first_records(
        self, layout: Layout, positions: Mapping[str, Mapping[int, int]]
    ) -> tuple[dict[tuple[str, int], int], dict[str, str]]:
        now = int(time.time() * 1000)
        return {(t, p): now - 5000 for t, some in positions.items() for p in some}, {}

    def batch_signs(self, layout: Layout, positions: object) -> dict[str, tuple[bool, bool]]:
        return {}

    def share_starts(self, groups: object) -> tuple[dict[str, ByPartition], dict[str, ByPartition], dict[str, str]]:
        return {}, {}, {}

    def effective_topic_configs(self, names: Collection[str], keys: object = None) -> dict[str, dict[str, str]]:
        return {name: {"cleanup.policy": "delete", "retention.ms": "604800000"} for name in names}

    def replica_sizes(self, brokers: object) -> dict[tuple[int, str, int], int]:
        return {}

    def requests_by_broker(self) -> dict[str, int]:
        return self.requests


def _ids(partition: int) -> bytes:
    return array(3) + b"".join(((partition + n) % BROKERS).to_bytes(4, "big") for n in range(3))


def large(partitions: int, groups: int, url: str) -> None:
    """Collect twice, as cron would, with a day of hours to count; print what it took."""
    control: Any = Large(partitions, groups)
    with open_store(url) as database:
        began = time.monotonic()
        first = collect.once(control, database, catch_up_h=24)
        middle = time.monotonic()
        second = collect.once(control, database, window=first.window, clock=lambda: first.at + 10)
        figures = {
            "partitions": second.partitions,
            "groups": len(second.groups),
            "first_round_s": round(middle - began, 2),
            "next_round_s": round(time.monotonic() - middle, 2),
            "hours_counted": first.hours,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1] == "real":
        real(*sys.argv[2:])
    else:
        large(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
