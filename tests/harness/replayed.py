"""A cluster that is larger than this machine: a server that answers as brokers do, for the whole command to talk to.

    python -m tests.harness.replayed BROKERS PARTITIONS GROUPS [one]

Each broker is a port of 127.0.0.1. The answers are made up, in the versions of Kafka's protocol that Asgard speaks. With `one`, all groups read
the first topic; else each reads some topics of its own.
Prints its first port as soon as it listens, and on SIGTERM its requests as JSON: broker to kind of request to count.
"""

from __future__ import annotations

import asyncio
import json
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from kafka.protocol.admin import (
    DescribeClusterResponse,
    DescribeConfigsRequest,
    DescribeConfigsResponse,
    ListGroupsResponse,
)
from kafka.protocol.metadata import ApiVersionsResponse

from asgard.kafka.admin import listing
from asgard.kafka.admin.raw import Reader, array, text, uvarint

A_TOPIC = 20
RECORDS, BEHIND = 1_000_000, 500
"""Records of each partition over the last week, and how many of them a group has not read."""
WEEK_MS = 7 * 86_400_000
CLUSTER_ID = "AAAAAAAAAAAAAAAAAAAAAA"
NAMES = {1: "Fetch", 2: "ListOffsets", 3: "Metadata", 9: "OffsetFetch", 16: "ListGroups", 18: "ApiVersions"}
NAMES |= {32: "DescribeConfigs", 35: "DescribeLogDirs", 60: "DescribeCluster"}
VERSIONS = {1: (4, 12), 2: (1, 7), 3: (12, 12), 9: (1, 8), 16: (5, 5), 18: (0, 4), 32: (4, 4), 35: (4, 4), 60: (1, 1)}
CONFIGS = {"cleanup.policy": "delete", "retention.ms": str(WEEK_MS), "retention.bytes": "-1"}
CONFIGS |= {"message.timestamp.type": "CreateTime"}
_SIZE = np.dtype([("partition", ">i4"), ("size", ">i8"), ("lag", ">i8"), ("future", "u1"), ("tags", "u1")])
_COMMIT = np.dtype([("p", ">i4"), ("o", ">i8"), ("e", ">i4"), ("meta", "u1"), ("error", ">i2"), ("tags", "u1")])
_OK = b"\x00\x00"
_NO_TAGS = b"\x00"


class Cluster:
    """What the brokers answer."""

    def __init__(self, brokers: int, partitions: int, groups: int, *, one_topic: bool) -> None:
        self.brokers, self.groups = brokers, groups
        self.topics = [f"topic-{n:06}" for n in range(partitions // A_TOPIC)]
        self.each = 1 if one_topic else max(len(self.topics) // max(groups, 1), 1)
        self.one_topic = one_topic
        self.now_ms = int(time.time() * 1000)
        self.ports: list[int] = []
        self.requests: list[Counter[str]] = [Counter() for _ in range(brokers)]
        self.kept: dict[tuple[int, int], bytes] = {}
        self.listed: dict[tuple[int, int], _Listing] = {}
        self.body = {name: self._topic(n) for n, name in enumerate(self.topics)}

    def _topic(self, number: int) -> bytes:
        """A topic of a Metadata answer."""
        rows = []
        for p in range(A_TOPIC):
            leader = (number * A_TOPIC + p) % self.brokers
            places = array(min(3, self.brokers)) + b"".join(
                ((leader + k) % self.brokers).to_bytes(4, "big") for k in range(min(3, self.brokers))
            )
            rows.append(_OK + struct.pack(">iii", p, leader, 7) + places + places + array(0) + _NO_TAGS)
        head = _OK + text(self.topics[number]) + number.to_bytes(16, "big") + b"\x00" + array(A_TOPIC)
        return head + b"".join(rows) + b"\x80\x00\x00\x00" + _NO_TAGS

    def answer(self, broker: int, key: int, r: Reader) -> bytes:
        """The body of the answer, without its header."""
        return _ANSWERS[key](self, broker, r)

    def versions(self, broker: int, r: Reader) -> bytes:
        row = ApiVersionsResponse.ApiVersion
        rows = [row(api_key=k, min_version=low, max_version=high) for k, (low, high) in VERSIONS.items()]
        return bytes(ApiVersionsResponse(error_code=0, api_keys=rows, throttle_time_ms=0).encode(version=4))

    def metadata(self, broker: int, r: Reader) -> bytes:
        asked = r.uvarint()
        brokers = [
            n.to_bytes(4, "big") + text("127.0.0.1") + port.to_bytes(4, "big") + _NO_TAGS + _NO_TAGS
            for n, port in enumerate(self.ports)
        ]
        # The rack of a broker without one is null: a length of 0.
        head = b"\0\0\0\0" + array(len(brokers)) + b"".join(brokers) + text(CLUSTER_ID) + b"\0\0\0\0"
        if asked == 0:
            found = list(self.body.values())
        else:
            names = []
            for _ in range(asked - 1):
                r.skip(16)
                names.append(r.text())
                r.tags()
            found = [self.body[name] for name in names if name in self.body]
        return head + array(len(found)) + b"".join(found) + _NO_TAGS

    def list_offsets(self, broker: int, r: Reader) -> bytes:
        data = np.frombuffer(r.data, np.uint8)[r.at :]
        known = self.listed.get((broker, len(data)))
        if known is None or (data[known.fixed] != known.asked).any():
            known = self.listed[broker, len(data)] = _Listing(data)
        at = int.from_bytes(data[known.stamp : known.stamp + 8].tobytes(), "big", signed=True)
        return known.answer(*self._offset(at))

    def _offset(self, at: int) -> tuple[int, int]:
        if at in (-1, -2):
            return (RECORDS, -1) if at == -1 else (0, -1)
        if at == -3:
            return RECORDS - 1, self.now_ms
        begin = self.now_ms - WEEK_MS
        offset = max(-(-(at - begin) * RECORDS // WEEK_MS), 0)
        return (offset, begin + offset * WEEK_MS // RECORDS) if offset < RECORDS else (-1, -1)

    def offset_fetch(self, broker: int, r: Reader) -> bytes:
        rows = np.zeros(A_TOPIC, _COMMIT)
        rows["p"], rows["o"], rows["e"], rows["meta"] = np.arange(A_TOPIC), RECORDS - BEHIND, -1, 1
        one = array(A_TOPIC) + rows.tobytes() + _NO_TAGS
        found = []
        for _ in range(r.count()):
            name = r.text()
            r.skip(1)
            r.tags()
            first = 0 if self.one_topic else int(name[6:]) * self.each
            mine = [self.topics[(first + k) % len(self.topics)] for k in range(self.each)]
            found.append(text(name) + array(len(mine)) + b"".join(text(t) + one for t in mine) + _OK + _NO_TAGS)
        return b"\0\0\0\0" + array(len(found)) + b"".join(found) + _NO_TAGS

    def fetch(self, broker: int, r: Reader) -> bytes:
        r.skip(25)  # replica, wait, least and most bytes, isolation, session and its epoch
        count = r.count()
        parts = [b"\0\0\0\0", _OK, b"\0\0\0\0", array(count)]
        for _ in range(count):
            name, rows = r.text(), r.count()
            parts += [text(name), array(rows)]
            for _ in range(rows):
                partition, _, offset = struct.unpack_from(">iiq", r.data, r.at)
                r.skip(33)
                batch = self._batch(offset)
                parts.append(struct.pack(">ihqqq", partition, 0, RECORDS, RECORDS, 0) + array(0) + b"\xff\xff\xff\xff")
                parts.append(uvarint(len(batch) + 1) + batch + _NO_TAGS)
            r.tags()
            parts.append(_NO_TAGS)
        return b"".join([*parts, _NO_TAGS])

    def _batch(self, offset: int) -> bytes:
        """A batch of one record, as producers write it."""
        at = self.now_ms - WEEK_MS + offset * WEEK_MS // RECORDS
        record = b"\x10\x00\x00\x00\x01\x04vv\x00"
        head = struct.pack(">qiibIhiqqqhii", offset, 49 + len(record), 7, 2, 0, 0, 0, at, at, -1, -1, -1, 1)
        return head + record

    def list_groups(self, broker: int, r: Reader) -> bytes:
        row = ListGroupsResponse.ListedGroup
        rows = [
            row(group_id=f"group-{n:05}", protocol_type="consumer", group_state="Stable", group_type="classic")
            for n in range(broker, self.groups, self.brokers)
        ]
        return self._keep(broker, 16, lambda: ListGroupsResponse(throttle_time_ms=0, error_code=0, groups=rows), 5)

    def describe_configs(self, broker: int, r: Reader) -> bytes:
        asked = DescribeConfigsRequest.decode(bytes(r.data[r.at :]), version=4)
        result = DescribeConfigsResponse.DescribeConfigsResult
        config = result.DescribeConfigsResourceResult
        results = [
            result(
                error_code=0,
                error_message=None,
                resource_type=2,
                resource_name=one.resource_name,
                configs=[
                    config(name=k, value=CONFIGS[k], read_only=False, config_source=5, is_sensitive=False, synonyms=[])
                    for k in one.configuration_keys or CONFIGS
                ],
            )
            for one in asked.resources
        ]
        return bytes(DescribeConfigsResponse(throttle_time_ms=0, results=results).encode(version=4))

    def describe_log_dirs(self, broker: int, r: Reader) -> bytes:
        if (broker, 35) not in self.kept:
            topics = []
            for number, name in enumerate(self.topics):
                leaders = (number * A_TOPIC + np.arange(A_TOPIC)) % self.brokers
                here = np.flatnonzero((broker - leaders) % self.brokers < min(3, self.brokers))
                if len(here):
                    rows = np.zeros(len(here), _SIZE)
                    rows["partition"], rows["size"] = here, RECORDS * 100
                    topics.append(text(name) + array(len(here)) + rows.tobytes() + _NO_TAGS)
            directory = _OK + text("/data/kafka") + array(len(topics)) + b"".join(topics)
            directory += struct.pack(">qq", 1 << 44, 1 << 43) + _NO_TAGS
            self.kept[broker, 35] = b"\0\0\0\0" + _OK + array(1) + directory + _NO_TAGS
        return self.kept[broker, 35]

    def describe_cluster(self, broker: int, r: Reader) -> bytes:
        row = DescribeClusterResponse.DescribeClusterBroker
        rows = [row(broker_id=n, host="127.0.0.1", port=port, rack=None) for n, port in enumerate(self.ports)]
        answer = DescribeClusterResponse(
            throttle_time_ms=0, error_code=0, error_message=None, endpoint_type=1, cluster_id=CLUSTER_ID,
            controller_id=0, brokers=rows,
        )  # fmt: skip
        return bytes(answer.encode(version=1))

    def _keep(self, broker: int, key: int, make: Callable[[], object], version: int) -> bytes:
        if (broker, key) not in self.kept:
            self.kept[broker, key] = bytes(make().encode(version=version))  # type: ignore[attr-defined]
        return self.kept[broker, key]


_ANSWERS: dict[int, Callable[[Cluster, int, Reader], bytes]] = {
    1: Cluster.fetch,
    2: Cluster.list_offsets,
    3: Cluster.metadata,
    9: Cluster.offset_fetch,
    16: Cluster.list_groups,
    18: Cluster.versions,
    32: Cluster.describe_configs,
    35: Cluster.describe_log_dirs,
    60: Cluster.describe_cluster,
}


class _Listing:
    """A ListOffsets request at any time, and its answer without figures."""

    def __init__(self, data: np.ndarray) -> None:
        r, stamps, parts, rows = Reader(data.tobytes()), [], [], []
        r.skip(5)
        count = r.count()
        parts, length = [b"\0\0\0\0" + array(count)], 4 + len(array(count))
        for _ in range(count):
            name, each = r.text(), r.count()
            asked = np.frombuffer(r.data, listing._ASKED, each, r.at)
            stamps.append(r.at + np.arange(each) * asked.itemsize + 8)
            r.skip(asked.nbytes)
            r.tags()
            found = np.zeros(each, listing._FOUND)
            found["partition"], found["e"] = asked["partition"], 7
            head = text(name) + array(each)
            rows.append(length + len(head) + np.arange(each) * found.itemsize)
            parts.append(head + found.tobytes() + _NO_TAGS)
            length += len(parts[-1])
        where = np.concatenate(stamps)
        self.fixed = np.ones(len(data), np.bool_)
        self.fixed[where[:, None] + np.arange(8)] = False
        self.fixed[4] = False
        self.asked, self.stamp = data[self.fixed], int(where[0])
        self._rows = np.concatenate(rows)
        self._body = np.frombuffer(b"".join([*parts, _NO_TAGS]), np.uint8)

    def answer(self, offset: int, at_ms: int) -> bytes:
        """The answer if every partition says so."""
        data = self._body.copy()
        figures = np.frombuffer(struct.pack(">qq", at_ms, offset), np.uint8)
        data[self._rows[:, None] + np.arange(6, 22)] = figures
        return data.tobytes()


async def serve(cluster: Cluster) -> None:
    """Listen until SIGTERM."""

    async def talk(broker: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(4), "big")
                data = await reader.readexactly(size)
                key, version, correlation, client = struct.unpack_from(">hhih", data)
                r = Reader(data, 10 + max(client, 0))
                r.tags()
                cluster.requests[broker][NAMES[key]] += 1
                if key == 18 and version > 4:
                    body, head = struct.pack(">hi", 35, 0), b""  # as brokers do: unsupported, ask with version 0
                else:
                    body, head = cluster.answer(broker, key, r), b"" if key == 18 else _NO_TAGS
                writer.write(struct.pack(">ii", 4 + len(head) + len(body), correlation) + head + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    servers = []
    for broker in range(cluster.brokers):
        server = await asyncio.start_server(lambda r, w, b=broker: talk(b, r, w), "127.0.0.1", 0, limit=2**26)
        servers.append(server)
        cluster.ports.append(server.sockets[0].getsockname()[1])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print(cluster.ports[0], flush=True)
    await stop.wait()
    print(json.dumps([dict(found) for found in cluster.requests]), flush=True)


@contextmanager
def replayed(
    brokers: int, partitions: int, groups: int, *, one_topic: bool = False
) -> Iterator[tuple[str, Callable[[], list[dict[str, int]]]]]:
    """A server in a process of its own: its address, and what ends it and gives its requests by broker."""
    command = [sys.executable, "-m", "tests.harness.replayed", str(brokers), str(partitions), str(groups)]
    server = subprocess.Popen(command + (["one"] if one_topic else []), stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None

    def end() -> list[dict[str, int]]:
        server.terminate()
        out, _ = server.communicate(timeout=30)
        found: list[dict[str, int]] = json.loads(out)
        return found

    try:
        yield f"127.0.0.1:{int(server.stdout.readline())}", end
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


if __name__ == "__main__":
    asyncio.run(serve(Cluster(*map(int, sys.argv[1:4]), one_topic=sys.argv[4:] == ["one"])))
