"""Replays killed at random instants, and what must be in the target afterwards: every record once, in order, with all it had."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Producer

from asgard.kafka.data import Record, Writer, read_messages
from asgard.kafka.ports import ControlPlane
from asgard.thor.replay.header import HEADER
from tests.harness.cluster import RealCluster

ASGARD = Path(sys.executable).with_name("asgard")


def options(cluster: RealCluster) -> list[str]:
    """The options that name a cluster."""
    named = ["--bootstrap-server", cluster.bootstrap_servers]
    return [*named, "--command-config", str(cluster.client_properties)] if cluster.credentials else named


def fill(
    cluster: RealCluster, topic: str, partitions: int, records: int, *, size_bytes: int = 200, seed: int = 1
) -> None:
    """Records of every kind: with and without key, value and headers, empty and null, and an aborted transaction among them."""
    dice = random.Random(seed)
    body = dice.randbytes(size_bytes)
    now = int(time.time() * 1000) - 3_600_000
    with Writer(cluster.connection) as writer:
        for n in range(records // 2):
            writer.send(_record(topic, n, partitions, body, now))
        writer.finish()
        aborted = Producer(
            {**cluster.connection.for_librdkafka(), "transactional.id": f"{topic}-aborted", "log_level": 0}
        )
        aborted.init_transactions(60)
        aborted.begin_transaction()
        for n in range(partitions * 3):
            aborted.produce(topic, b"aborted", b"aborted", n % partitions)
        aborted.flush()
        aborted.abort_transaction(60)
        for n in range(records // 2, records):
            writer.send(_record(topic, n, partitions, body, now))


def _record(topic: str, n: int, partitions: int, body: bytes, now: int) -> Record:
    key = None if n % 11 == 0 else b"" if n % 13 == 0 else b"key-%d" % (n % 997)
    value = None if n % 17 == 0 and key else b"" if n % 19 == 0 else b"%d/" % n + body
    headers: list[tuple[str, bytes]] = [] if n % 3 == 0 else [("n", b"%d" % n), ("twice", b"a"), ("twice", b"b")]
    return Record(topic, value, key, headers, now + n % 5000, n % partitions)


def digest(cluster: RealCluster, control: ControlPlane, topic: str) -> dict[int, tuple[int, str]]:
    """Of each partition how many committed records it holds, and a hash of all of them in order, but for replay headers."""
    keys = [(topic, p.partition) for p in control.topics([topic])[topic].partitions]
    counts, hashes = dict.fromkeys(range(len(keys)), 0), {p: hashlib.sha256() for _, p in keys}
    for batch in read_messages(cluster.connection, control.offsets(keys, committed=True), deadline_s=600):
        for m in batch:
            kept = [(name, value) for name, value in m.headers() or () if name != HEADER]
            hashes[m.partition()].update(repr((m.key(), m.value(), m.timestamp()[1], kept)).encode())
            counts[m.partition()] += 1
    return {p: (counts[p], hashes[p].hexdigest()) for _, p in keys}


@dataclass
class Killed:
    """What a story of kills did."""

    runs: int = 0
    kills: list[float] = field(default_factory=list)
    broker_kills: int = 0
    answer: dict[str, object] = field(default_factory=dict)
    words: str = ""


def until_done(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    cluster: RealCluster,
    kills: Sequence[float],
    broker_kills: Sequence[tuple[float, int]] = (),
    down_s: float = 2,
    patience_s: float = 900,
) -> Killed:
    """Run a command, kill -9 it after so many seconds of each run, and run it again until it ends by itself.

    `broker_kills`: seconds into the run that is not killed any more, and which broker; it is started again `down_s` later.
    """
    done = Killed()
    for after in kills:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        done.runs += 1
        try:
            code = process.wait(after)
            assert code == 0, f"ended with {code} before it was killed"
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            done.kills.append(after)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    done.runs += 1
    began = time.monotonic()
    for at, broker in broker_kills:
        time.sleep(max(0.0, at - (time.monotonic() - began)))
        if process.poll() is not None:
            break
        cluster.kill(broker)
        done.broker_kills += 1
        time.sleep(down_s)
        cluster.start_node(broker)
    out, done.words = process.communicate(timeout=patience_s)
    assert process.returncode == 0, done.words
    done.answer = json.loads(out)
    return done
