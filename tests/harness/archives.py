"""For tests of archives: topics of every kind of record, what a consumer sees of them, and an S3 whose connection fails on purpose."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from asgard.kafka import data
from asgard.kafka.admin import connect
from asgard.kafka.connection import Connection
from asgard.kafka.model import NewTopic
from asgard.thor.archive import location, read
from tests.harness import RealCluster

Seen = tuple[int, bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...], int]
"""Partition, key, value, headers without those of a replay, time (ms)."""


def written(
    connection: Connection, topic: str, count: int, *, partitions: int = 3, seed: int = 1, size: int = 200
) -> list[Seen]:
    """Create a topic where it is not there, and write records with keys, null values, headers and times of their own."""
    with connect(connection) as control:
        control.create_topics([NewTopic(topic, partitions, 1, {"retention.ms": "-1"})])
    rnd = random.Random(seed)
    sent: list[Seen] = []
    producer = Producer({**connection.for_librdkafka(), "enable.idempotence": True, "linger.ms": 20, "log_level": 0})
    start_ms = int(time.time() * 1000) - 3_600_000
    for n in range(count):
        key = None if n % 7 == 0 else b"key-%d" % (n % 50)
        value = None if n % 97 == 0 else b"%d/%d " % (seed, n) + rnd.randbytes(rnd.randrange(size))
        headers = [] if n % 3 else [("trace", b"%d" % n), ("empty", b""), ("none", None), ("trace", b"again")]
        partition = rnd.randrange(partitions)
        while True:
            try:
                producer.produce(topic, value, key, partition, timestamp=start_ms + n, headers=headers)
                break
            except BufferError:
                producer.poll(0.1)
        sent.append((partition, key, value, tuple(headers), start_ms + n))
        producer.poll(0)
    assert producer.flush(60) == 0
    return sent


def aborted(connection: Connection, topic: str, count: int, partitions: int = 3) -> None:
    """Records that are written and aborted, and so never read."""
    producer = Producer({**connection.for_librdkafka(), "transactional.id": f"abort-{topic}", "log_level": 0})
    producer.init_transactions(30)
    producer.begin_transaction()
    for n in range(count):
        producer.produce(topic, b"aborted", partition=n % partitions)
    producer.flush(30)
    producer.abort_transaction(30)


def seen(connection: Connection, topic: str) -> list[Seen]:
    """What a consumer of committed records finds, in order by partition."""
    with connect(connection) as control:
        partitions = control.topics([topic])[topic].partitions
        offsets = control.offsets([(topic, p.partition) for p in partitions])
    found = []
    for batch in data.read(connection, offsets):
        for r in batch:
            headers = tuple((n, v) for n, v in r.headers if n != "asgard.replay")
            found.append((r.partition, r.key, r.value, headers, r.timestamp_ms))
    return sorted(found, key=lambda record: record[0])


def in_order(records: list[Seen]) -> list[Seen]:
    """Records by partition, each in the order that they were written in."""
    return sorted(records, key=lambda record: record[0])


ASGARD = Path(sys.executable).with_name("asgard")


class Desk:
    """`asgard …` against one cluster, with a home of its own; `more` is added to the environment."""

    def __init__(self, cluster: RealCluster, home: Path, more: Mapping[str, str] | None = None) -> None:
        self.cluster, self.home, self.more = cluster, home, more or {}

    def start(self, *args: str | Path, service: str = "thor") -> subprocess.Popen[str]:
        environment = {**os.environ, "ASGARD_HOME": str(self.home), **self.more}
        offline = args[0] == "archive" and args[1] != "run"
        cluster = [] if offline else ["--bootstrap-server", self.cluster.bootstrap_servers]
        return subprocess.Popen(
            [str(ASGARD), service, *map(str, args), *cluster],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def run(self, *args: str | Path, code: int = 0, service: str = "thor") -> Any:
        """Run to its end; its document."""
        process = self.start(*args, "--json", service=service)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code and "Traceback" not in err, f"{process.returncode}\n{out}\n{err}"
        return json.loads(out) if out.strip() else err

    def archived(self, place: Path, topic: str) -> list[Seen]:
        """Every record of an archive, by partition in order."""
        plan = read.plan(location.open_storage(str(place)), read.TopicWindow((topic,)))
        assert plan.damaged == ()
        found = []
        for shard in sorted(plan.files):
            for r in chain.from_iterable(b for file in plan.files[shard] for b in read.blocks(plan, shard, file)):
                headers = tuple((n, v) for n, v in r.headers if n != "asgard.replay")
                found.append((r.partition, r.key, r.value, headers, r.timestamp_ms))
        return found


CUT_LEAST_BYTES = 5000
"""Files are cut, not manifests: moto keeps what it gets of those, where S3 compares the checksum."""


@dataclass
class Faults:
    """What the proxy does to the next connections, one after the other; then it lets everything through.

    `drop`: closes at once; `cut`: passes only the first bytes of a file on; `hang`: answers nothing; `503`: throttles; `403`: refuses.
    """

    plan: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    cut_bytes: int = 20_000

    def next(self) -> str:
        kind = self.plan.pop(0) if self.plan else "pass"
        if kind != "pass":
            self.done.append(kind)
        return kind


@contextmanager
def faulty_proxy(host: str, port: int, faults: Faults) -> Iterator[str]:
    """A URL of this machine that leads to `host:port`, one HTTP request a connection, with faults on the way."""
    server = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                client, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=_carry, args=(client, host, port, faults, over), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        over.set()
        server.close()


def _carry(client: socket.socket, host: str, port: int, faults: Faults, over: threading.Event) -> None:
    with client:
        client.settimeout(30)
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                chunk = client.recv(65536)
                if not chunk:
                    return
                head += chunk
            kind = faults.next()
            if kind == "drop":
                return
            if kind == "hang":
                over.wait(30)
                return
            lines, _, body = head.partition(b"\r\n\r\n")
            length = next(
                (int(x.split(b":")[1]) for x in lines.split(b"\r\n") if x.lower().startswith(b"content-length:")), 0
            )
            if b"100-continue" in lines.lower():
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            while len(body) < length:
                chunk = client.recv(65536)
                if not chunk:
                    return
                body += chunk
            if kind in ("503", "403"):
                _refuse(client, kind)
                return
            if kind == "cut" and length >= CUT_LEAST_BYTES:
                body = body[: min(faults.cut_bytes, length // 2)]
                lines = b"\r\n".join(
                    b"Content-Length: %d" % len(body) if x.lower().startswith(b"content-length:") else x
                    for x in lines.split(b"\r\n")
                )
            lines = b"\r\n".join(
                x for x in lines.split(b"\r\n") if not x.lower().startswith((b"connection:", b"expect:"))
            )
            with socket.create_connection((host, port), 30) as service:
                service.sendall(lines + b"\r\nConnection: close\r\n\r\n" + body)
                answered = 0
                while chunk := service.recv(65536):
                    client.sendall(chunk)
                    answered += len(chunk)
                    if kind == "half" and answered > 2000:
                        return
        except OSError:
            return


def _refuse(client: socket.socket, kind: str) -> None:
    code, words = ("SlowDown", "503 Slow Down") if kind == "503" else ("AccessDenied", "403 Forbidden")
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>injected</Message></Error>'.encode()
    head = (
        f"HTTP/1.1 {words}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    client.sendall(head.encode() + body)
