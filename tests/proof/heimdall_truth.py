"""Heimdall's figures in full: 100 topics with known counts by hour over three days, and groups of every behaviour.

Every hour of every topic equals what was planted, or is marked approximate with a reason that is true of that topic. Groups are
rewound, stopped, stalled, slow, bursty, overtaken by deletion, caught up, and of the types consumer, share and streams, for 70 seconds
of samples: status, lag, expired records and the age of the oldest unread record. Then Burrow's rules as a table of cases.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition
from kafka.protocol.admin import IncrementalAlterConfigsRequest

from asgard.heimdall.lag import ask as lag_ask
from asgard.heimdall.volume import ask as volume_ask
from asgard.heimdall.volume import counts, windows
from asgard.kafka.admin import AdminClient, connect
from asgard.kafka.connection import Connection
from asgard.kafka.model import NewTopic
from tests.harness import RealCluster
from tests.harness.burrow import CASES
from tests.harness.javatool import SHARE_CONSUMER, java_tool
from tests.harness.streams_member import StreamsMember

TOPICS, HOURS, PARTITIONS, SAMPLES, APART_S = 100, 72, 4, 36, 2.0
KINDS = ("plain", "plain", "gaps", "late", "straggling", "doubled", "compacted", "transactional")
ALLOWED = {
    "late": "out of order",
    "straggling": "out of order",
    "compacted": "compacted",
    "transactional": "transactional",
}
BEHIND_S = 3600
"""The oldest record of a group's topic is so old."""
AGE_S = 5.0
"""An age may differ by the time that a look at all groups takes."""
GROUP = 32
"""The resource type of configs of groups."""


def prove() -> tuple[dict[str, object], list[str]]:
    """The figures, and what is wrong with them."""
    wrong: list[str] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        RealCluster(Path(folder) / "kafka", brokers=3) as cluster,
        connect(cluster.connection) as control,
    ):
        counted = volume(control, cluster.connection, wrong)
        return {"volume": counted, "groups": groups(control, cluster, wrong), "burrow": burrow(wrong)}, wrong


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
            stragglers = 3 if kind == "straggling" and hour else 0
            for n in range(count * (2 if kind == "doubled" else 1)):
                at = begin + hour * 3600 + n * 3600 / 100
                writer.produce(topic, b"v", b"%d" % (n // 2), partition=n % PARTITIONS, timestamp=int(at * 1000))
                planted[topic, hour] += 1
            for n in range(stragglers):
                at = begin + (hour - 1) * 3600 + n
                writer.produce(topic, b"late", b"l", partition=n % PARTITIONS, timestamp=int(at * 1000))
                planted[topic, hour - 1] += 1
            if writer is transactional and hour % 6 == 5:
                writer.commit_transaction(60)
        if kind == "late":
            for n in range(7):
                producer.produce(topic, b"late", b"l", partition=n % PARTITIONS, timestamp=int((begin + 5) * 1000))
                planted[topic, 0] += 1
        producer.flush()
    asked = [windows.TimeWindow(begin + h * 3600, begin + (h + 1) * 3600, str(h)) for h in range(HOURS)]
    found = volume_ask.volume(control, asked, kinds)
    first = {topic: next(h for h in range(HOURS) if planted[topic, h]) for topic in kinds}
    exact = marked = 0
    totals: Counter[str] = Counter()
    for count in found.counts:
        kind, hour = kinds[count.topic], int(count.window.label)
        totals[count.topic] += count.records or 0
        equal = count.records == planted[count.topic, hour]
        reason = ALLOWED.get(kind)
        if hour < first[count.topic] and count.approximate == (counts.UNBORN,) and equal:
            marked += 1
            continue
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
        if kind in ("late", "straggling") and totals[topic] != whole:
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
    oldest = time.time() - BEHIND_S
    names = ("stopped", "stalled", "slow", "bursty", "rewound", "overtaken", "done", "consumer", "share", "streams")
    control.create_topics([NewTopic(f"g-{name}", 1, 1) for name in names])
    producer = Producer({**cluster.connection.for_librdkafka(), "linger.ms": 5, "log_level": 0})
    for name in names:
        for n in range(1000):
            producer.produce(f"g-{name}", b"v", partition=0, timestamp=int((oldest + n) * 1000))
    producer.flush()
    _share_from_the_beginning(control, "is-share")
    _share(control, cluster)
    for n in range(250):
        producer.produce("g-share", b"v", partition=0, timestamp=int((oldest + 1000 + n) * 1000))
    producer.flush()
    with contextlib.ExitStack() as open_:
        readers = {
            name: open_.enter_context(_reading(cluster, name)) for name in ("stalled", "slow", "bursty", "rewound")
        }
        readers["consumer"] = open_.enter_context(_reading(cluster, "consumer", protocol="consumer"))
        deadline = time.monotonic() + 90
        while not all(reader.assignment() or reader.poll(0.1) for reader in readers.values()):
            assert time.monotonic() < deadline, "the readers have no assignment"
        for name, at in (("stopped", 100), ("overtaken", 100), ("done", 1000)):
            control.commit_offsets(f"is-{name}", {(f"g-{name}", 0): at})
        _delete(cluster.connection, "g-overtaken", 400)
        streams = StreamsMember(control, "is-streams", "g-streams", 1)
        streams.join()
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
            readers["consumer"].commit(offsets=[TopicPartition("g-consumer", 0, 1000)], asynchronous=False)
            streams.beat()
            streams.commit({0: 100 + n // 6})
            for reader in readers.values():
                reader.poll(0)
            samples.append(lag_ask.look(control).sample())
            time.sleep(APART_S)
        report = lag_ask.report(control, history=samples)
        streams.leave()
    got = {group.name.removeprefix("is-"): group for group in report.groups}
    read = 100 + (SAMPLES - 1) // 6
    expected = {  # status, lag, expired, type, and which record is the oldest unread one
        "stopped": ("stopped", 900, 0, "classic", 100),
        "stalled": ("stalled", 900, 0, "classic", 100),
        "slow": ("slow", 1000 + 20 * SAMPLES - (100 + SAMPLES - 1), 0, "classic", 100 + SAMPLES - 1),
        "bursty": ("ok", 10, 0, "classic", None),
        "rewound": ("rewound", 500, 0, "classic", 500),
        "overtaken": ("stopped", 600, 300, "classic", 400),
        "done": ("ok", 0, 0, "classic", None),
        "consumer": ("ok", 0, 0, "consumer", None),
        "share": ("stopped", 250, 0, "share", 1000),
        "streams": ("slow", 1000 - read, 0, "streams", read),
    }
    for name, (*planted, record) in expected.items():
        group = got[name]
        if [group.status, group.lag, group.expired_unread, group.type] != planted:
            wrong.append(
                f"{name}: {group.status}, {group.lag}, {group.expired_unread}, {group.type}; planted {planted}"
            )
        age = None if record is None else report.at - (oldest + record)
        if age is not None and (group.time_lag_s is None or abs(group.time_lag_s - age) > AGE_S):
            wrong.append(f"{name}: the oldest unread record is {group.time_lag_s} s old; planted {age:.0f} s")
    told = {
        name: {"type": g.type, "status": g.status, "lag": g.lag, "expired_unread": g.expired_unread,
               "oldest_unread_s": g.time_lag_s, "because": g.because}
        for name, g in sorted(got.items())
    }  # fmt: skip
    print(told, flush=True)
    return {**told, "samples": report.samples, "window_s": report.window_s}


def burrow(wrong: list[str]) -> list[dict[str, object]]:
    """Burrow's rules as cases, with both statuses and why they differ."""
    rows = []
    for case in CASES:
        found = case.judge()
        if found.status != case.heimdall:
            wrong.append(f"{case.name}: {found.status}, expected {case.heimdall}")
        row: dict[str, object] = {"case": case.name, "burrow": case.burrow, "heimdall": found.status}
        row |= {"why": case.why, "burrow_issues": case.issues} if case.differs else {}
        rows.append(row)
    return rows


@contextlib.contextmanager
def _reading(cluster: RealCluster, name: str, protocol: str = "classic") -> Iterator[Consumer]:
    config = {"group.id": f"is-{name}", "group.protocol": protocol, "enable.auto.commit": False, "log_level": 0}
    reader = Consumer({**cluster.connection.for_librdkafka(), **config})
    reader.subscribe([f"g-{name}"])
    try:
        yield reader
    finally:
        reader.close()


def _share_from_the_beginning(control: AdminClient, group: str) -> None:
    resource = IncrementalAlterConfigsRequest.AlterConfigsResource
    set_ = resource.AlterableConfig(name="share.auto.offset.reset", config_operation=0, value="earliest")
    wanted = resource(resource_type=GROUP, resource_name=group, configs=[set_])
    answer = control._wire.ask(IncrementalAlterConfigsRequest(resources=[wanted], validate_only=False))
    assert not answer.responses[0].error_code, answer


def _share(control: AdminClient, cluster: RealCluster) -> None:
    """A share consumer reads and acknowledges all records of g-share, and is gone."""
    where = ["--bootstrap-server", cluster.bootstrap_servers, "--command-config", str(cluster.client_properties)]
    reader = subprocess.Popen(
        java_tool(SHARE_CONSUMER, *where, "--topic", "g-share", "--group", "is-share"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 300
        while True:
            groups = [g for g in control.groups().listed.values() if g.name == "is-share"]
            starts, lags, _ = control.bulk().share_starts(groups)
            started = starts.get("is-share", {}).get("g-share", np.full(1, -1))[0] >= 0
            if started and lags["is-share"]["g-share"][0] == 0:
                return
            assert time.monotonic() < deadline, f"the share group is at {starts}, {lags} behind"
            time.sleep(0.5)
    finally:
        reader.terminate()
        reader.wait()


def _delete(connection: Connection, topic: str, before: int) -> None:
    from kafka import TopicPartition as Place
    from kafka.admin import KafkaAdminClient

    with contextlib.closing(KafkaAdminClient(**connection.for_kafka_python())) as admin:
        admin.delete_records({Place(topic, 0): before})
