"""Heimdall's figures in full: 100 topics with known counts by hour over three days, and groups of every behaviour.

Every hour of every topic equals what was planted, or is marked approximate with a reason that is true of that topic. Groups are
rewound, stopped, stalled, slow, bursty, overtaken by deletion, caught up, and of the share type, for 70 seconds of samples.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from asgard.heimdall.lag import ask as lag_ask
from asgard.heimdall.volume import ask as volume_ask
from asgard.heimdall.volume import windows
from asgard.kafka.admin import AdminClient, connect
from asgard.kafka.connection import Connection
from asgard.kafka.model import NewTopic
from tests.harness import RealCluster
from tests.harness.javatool import SHARE_CONSUMER, java_tool

TOPICS, HOURS, PARTITIONS, SAMPLES, APART_S = 100, 72, 4, 36, 2.0
KINDS = ("plain", "plain", "gaps", "late", "doubled", "compacted", "transactional")
ALLOWED = {"late": "out of order", "compacted": "compacted", "transactional": "transactional"}


def prove() -> tuple[dict[str, object], list[str]]:
    """The figures, and what is wrong with them."""
    wrong: list[str] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        RealCluster(Path(folder) / "kafka", brokers=3) as cluster,
        connect(cluster.connection) as control,
    ):
        counted = volume(control, cluster.connection, wrong)
        return {"volume": counted, "groups": groups(control, cluster, wrong)}, wrong


def volume(control: AdminClient, connection: Connection, wrong: list[str]) -> dict[str, object]:
    """Plant three days and compare every hour."""
    chance, midnight = random.Random(3), time.time() // 86400 * 86400
    begin = midnight - HOURS * 3600
    kinds = {f"truth-{n:03}": KINDS[n % len(KINDS)] for n in range(TOPICS)}
    config = {"compacted": {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.99"}}
    control.create_topics(
        [NewTopic(t, PARTITIONS, 1, {"retention.ms": "-1", **config.get(k, {})}) for t, k in kinds.items()]
    )
    planted: Counter[tuple[str, int]] = Counter()
    producer = Producer({**connection.for_librdkafka(), "linger.ms": 20, "log_level": 0})
    transactional = Producer({**connection.for_librdkafka(), "transactional.id": "truth", "log_level": 0})
    transactional.init_transactions(60)
    for topic, kind in kinds.items():
        writer = transactional if kind == "transactional" else producer
        for hour in range(HOURS):
            count = 0 if kind == "gaps" and hour % 5 == 0 else chance.randrange(40)
            if writer is transactional and hour % 6 == 0:
                writer.begin_transaction()
            for n in range(count * (2 if kind == "doubled" else 1)):
                at = begin + hour * 3600 + n * 3600 / 100
                writer.produce(topic, b"v", b"%d" % (n // 2), partition=n % PARTITIONS, timestamp=int(at * 1000))
                planted[topic, hour] += 1
            if writer is transactional and hour % 6 == 5:
                writer.commit_transaction(60)
        if kind == "late":
            for n in range(7):
                producer.produce(topic, b"late", b"l", partition=n % PARTITIONS, timestamp=int((begin + 5) * 1000))
                planted[topic, 0] += 1
        producer.flush()
    asked = [windows.Window(begin + h * 3600, begin + (h + 1) * 3600, str(h)) for h in range(HOURS)]
    found = volume_ask.volume(control, asked, kinds)
    exact = marked = 0
    totals: Counter[str] = Counter()
    for count in found.counts:
        kind, hour = kinds[count.topic], int(count.window.label)
        totals[count.topic] += count.records or 0
        equal = count.records == planted[count.topic, hour]
        reason = ALLOWED.get(kind)
        told = reason is not None and any(reason in why for why in count.approximate)
        if kind in ALLOWED and planted[count.topic, hour] and not told:
            wrong.append(f"{count.topic} ({kind}) hour {hour}: not marked {reason}")
        if kind not in ALLOWED and (not equal or count.approximate):
            wrong.append(
                f"{count.topic} ({kind}) hour {hour}: {count.records} {count.approximate}, planted {planted[count.topic, hour]}"
            )
        exact, marked = exact + (not count.approximate), marked + bool(count.approximate)
    for topic, kind in kinds.items():
        whole = sum(planted[topic, h] for h in range(HOURS))
        if kind == "late" and totals[topic] != whole:
            wrong.append(f"{topic}: {totals[topic]} in all, planted {whole}")
    figures = {
        "topics": TOPICS,
        "hours": HOURS,
        "records": planted.total(),
        "windows_exact": exact,
        "windows_marked": marked,
    }
    print(figures, flush=True)
    return {**figures, "requests_by_broker": found.requests}


def groups(control: AdminClient, cluster: RealCluster, wrong: list[str]) -> dict[str, object]:
    """Let groups behave for a while and compare what they are called."""
    now = time.time()
    names = ("stopped", "stalled", "slow", "bursty", "rewound", "overtaken", "done")
    control.create_topics([NewTopic(f"g-{name}", 1, 1) for name in (*names, "share")])
    producer = Producer({**cluster.connection.for_librdkafka(), "linger.ms": 5, "log_level": 0})
    for name in (*names, "share"):
        for n in range(1000):
            producer.produce(f"g-{name}", b"v", partition=0, timestamp=int((now - 3600 + n) * 1000))
    producer.flush()
    with contextlib.ExitStack() as open_:
        readers = {}
        for name in ("stalled", "slow", "bursty", "rewound"):
            reader = Consumer(
                {
                    **cluster.connection.for_librdkafka(),
                    "group.id": f"is-{name}",
                    "enable.auto.commit": False,
                    "log_level": 0,
                }
            )
            open_.callback(reader.close)
            reader.subscribe([f"g-{name}"])
            readers[name] = reader
        deadline = time.monotonic() + 90
        while not all(reader.assignment() or reader.poll(0.1) for reader in readers.values()):
            assert time.monotonic() < deadline, "the readers have no assignment"
        for name, at in (("stopped", 100), ("overtaken", 100), ("done", 1000)):
            control.commit_offsets(f"is-{name}", {(f"g-{name}", 0): at})
        _delete(cluster.connection, "g-overtaken", 400)
        where = ["--bootstrap-server", cluster.bootstrap_servers, "--command-config", str(cluster.client_properties)]
        share = subprocess.Popen(
            java_tool(SHARE_CONSUMER, *where, "--topic", "g-share", "--group", "is-share"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        open_.callback(share.wait)
        open_.callback(share.kill)
        samples = []
        for n in range(SAMPLES):
            for name, at in (("stalled", 100), ("slow", 100 + n), ("rewound", 900 if n < SAMPLES - 5 else 500)):
                readers[name].commit(offsets=[TopicPartition(f"g-{name}", 0, at)], asynchronous=False)
            for _ in range(20):
                producer.produce("g-slow", b"v", partition=0)
            if n % 5 == 0:
                for _ in range(200):
                    producer.produce("g-bursty", b"v", partition=0)
            producer.flush()
            end = control.offsets([("g-bursty", 0)])["g-bursty", 0].end
            readers["bursty"].commit(offsets=[TopicPartition("g-bursty", 0, end - 10)], asynchronous=False)
            for reader in readers.values():
                reader.poll(0)
            samples.append(lag_ask.look(control).sample())
            time.sleep(APART_S)
        report = lag_ask.report(control, history=samples)
    got = {group.name.removeprefix("is-"): group for group in report.groups}
    expected = {
        "stopped": ("stopped", 900, 0),
        "stalled": ("stalled", 900, 0),
        "slow": ("slow", 1000 + 20 * SAMPLES - (100 + SAMPLES - 1), 0),
        "bursty": ("ok", 10, 0),
        "rewound": ("rewound", 500, 0),
        "overtaken": ("stopped", 600, 300),
        "done": ("ok", 0, 0),
    }
    for name, (status, lag, expired) in expected.items():
        group = got[name]
        if (group.status, group.lag, group.expired_unread) != (status, lag, expired):
            wrong.append(
                f"{name}: {group.status}, lag {group.lag}, expired {group.expired_unread}; planted {status}, {lag}, {expired}"
            )
    if got["share"].type != "share" or "share" not in got:
        wrong.append("the share group is not listed as one")
    told = {name: {"status": g.status, "lag": g.lag, "because": g.because} for name, g in sorted(got.items())}
    print(told, flush=True)
    return {**told, "samples": report.samples, "window_s": report.window_s}


def _delete(connection: Connection, topic: str, before: int) -> None:
    from kafka import TopicPartition as Place
    from kafka.admin import KafkaAdminClient

    with contextlib.closing(KafkaAdminClient(**connection.for_kafka_python())) as admin:
        admin.delete_records({Place(topic, 0): before})
