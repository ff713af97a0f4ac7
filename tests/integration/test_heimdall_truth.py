"""Heimdall's figures against what was planted on a real cluster: counts by hour, lag, time lag, expired records, statuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from asgard.core.database import Database
from asgard.heimdall import collect
from asgard.heimdall.lag import ask as lag_ask
from asgard.heimdall.lag.model import GroupLag
from asgard.heimdall.store.read import ClusterStore
from asgard.heimdall.store.tables import open_store
from asgard.heimdall.volume import ask as volume_ask
from asgard.heimdall.volume import windows
from asgard.heimdall.volume.model import Count
from asgard.kafka.admin import AdminClient, connect
from asgard.kafka.data import Record, Writer
from asgard.kafka.model import NewTopic
from tests.harness import RealCluster, committing
from tests.harness.storing import check_rollups

PARTITIONS = 3
BY_HOUR = [(n * 37) % 90 for n in range(48)]
"""Records planted in each of the 48 hours before today (UTC); some have none."""


@pytest.fixture(scope="module")
def control(secured_cluster: RealCluster) -> Iterator[AdminClient]:
    with connect(secured_cluster.connection) as opened:
        yield opened


@pytest.fixture(scope="module")
def midnight() -> float:
    return time.time() // 86400 * 86400


@pytest.fixture(scope="module")
def planted(control: AdminClient, secured_cluster: RealCluster, midnight: float) -> str:
    """Topics with known records in each hour of yesterday and the day before: in order, late, compacted, transactional."""
    names = {"truth-orders": {}, "truth-late": {}, "truth-compacted": {"cleanup.policy": "compact"}, "truth-tx": {}}
    made = control.create_topics([NewTopic(name, PARTITIONS, 2, config) for name, config in names.items()])
    assert not any(made.values())
    with Writer(secured_cluster.connection) as writer:
        for hour, count in enumerate(BY_HOUR):
            for n in range(count):
                at = int((midnight - (48 - hour) * 3600 + n * 40) * 1000)
                for name in ("truth-orders", "truth-late", "truth-compacted"):
                    writer.send(Record(name, b"v", key=b"%d" % n, partition=n % PARTITIONS, timestamp_ms=at))
        late = int((midnight - 40 * 3600 + 1) * 1000)
        for n in range(5):
            writer.send(Record("truth-late", b"late", partition=n % PARTITIONS, timestamp_ms=late))
    assert writer.tally.failed == 0
    conf = {**secured_cluster.connection.for_librdkafka(), "transactional.id": "truth", "log_level": 0}
    producer = Producer(conf)
    producer.init_transactions(30)
    for hour in range(24):
        producer.begin_transaction()
        producer.produce("truth-tx", b"v", partition=0, timestamp=int((midnight - (24 - hour) * 3600 + 60) * 1000))
        producer.commit_transaction(30)
    return "truth-orders"


def day(control: AdminClient, midnight: float, *topics: str) -> dict[str, list[Count]]:
    zone = windows.zone("UTC")
    asked = windows.of_day(windows.parse_date("yesterday", midnight, zone), zone)
    found = volume_ask.volume(control, asked, topics)
    assert found.problems == {}
    return {topic: [c for c in found.counts if c.topic == topic] for topic in topics}


def test_counts_by_hour_are_those_planted_or_say_why_not(control: AdminClient, planted: str, midnight: float) -> None:
    found = day(control, midnight, planted, "truth-late", "truth-compacted", "truth-tx")
    assert [(c.records, c.approximate) for c in found[planted]] == [(n, ()) for n in BY_HOUR[24:]]
    for topic, why in (("truth-late", "out of order"), ("truth-compacted", "compacted"), ("truth-tx", "transactional")):
        assert all(any(why in reason for reason in c.approximate) for c in found[topic]), topic
    whole = volume_ask.volume(
        control, [windows.TimeWindow(midnight - 48 * 3600, midnight, "")], [planted, "truth-late"]
    )
    assert {c.topic: c.records for c in whole.counts} == {planted: sum(BY_HOUR), "truth-late": sum(BY_HOUR) + 5}
    (bytes_,) = [c.bytes for c in whole.counts if c.topic == planted]
    assert bytes_ is not None and bytes_ > 0


def test_what_is_missing_is_told_from_what_is_usual(
    control: AdminClient, secured_cluster: RealCluster, midnight: float
) -> None:
    name = "truth-weekly"
    assert control.create_topics([NewTopic(name, 1, 1, {"retention.ms": "-1"})]) == {name: None}
    with Writer(secured_cluster.connection) as writer:
        for week in (4, 3, 2, 1, 0):
            for hour in range(24):
                count = 0 if (week, hour) == (0, 13) else 5 if (week, hour) == (0, 14) else 100 + week
                for n in range(count):
                    at = midnight - 86400 - week * 7 * 86400 + hour * 3600 + n * 30
                    writer.send(Record(name, b"v", partition=0, timestamp_ms=int(at * 1000)))
    zone = windows.zone("UTC")
    found = volume_ask.missing(control, windows.parse_date("yesterday", midnight, zone), zone, topics=[name])
    odd = {c.count.window.label[11:16]: c.verdict for c in found if c.verdict != "as usual"}
    assert odd == {"13:00": "missing", "14:00": "low"}


def commit(cluster: RealCluster, group: str, offsets: dict[int, int], topic: str) -> None:
    with closing(Consumer({**cluster.connection.for_librdkafka(), "group.id": group})) as consumer:
        committing.commit(consumer, [TopicPartition(topic, p, o) for p, o in offsets.items()])


def lag(control: AdminClient, *groups: str) -> dict[str, GroupLag]:
    report = lag_ask.report(control, groups, apart_s=0.5, shown=100)
    assert report.problems == {}
    return {group.name: group for group in report.groups}


def test_lag_time_lag_and_status_are_those_planted(
    control: AdminClient, secured_cluster: RealCluster, planted: str, midnight: float
) -> None:
    commit(secured_cluster, "truth-behind", {0: 10, 1: 5}, planted)
    ends = {
        p.partition: control.offsets([(planted, p.partition)])[planted, p.partition].end
        for p in control.topics([planted])[planted].partitions
    }
    commit(secured_cluster, "truth-done", ends, planted)
    found = lag(control, "truth-behind", "truth-done")
    behind, done = found["truth-behind"], found["truth-done"]
    assert (done.status, done.lag, done.time_lag_s, done.uncommitted) == ("ok", 0, 0.0, 0)
    assert (behind.status, behind.lag, behind.uncommitted) == ("stopped", ends[0] - 10 + ends[1] - 5, 1)
    by_partition = {p.partition: p for p in behind.worst}
    for partition, place in ((0, 10), (1, 5)):
        at = [
            midnight - (48 - hour) * 3600 + n * 40
            for hour, count in enumerate(BY_HOUR)
            for n in range(count)
            if n % PARTITIONS == partition
        ][place]
        age = by_partition[partition].time_lag_s
        assert age is not None and abs(time.time() - at - age) < 60
        keeps = by_partition[partition].loses_data_in_s
        assert keeps is not None and abs(7 * 86400 - age - keeps) < 1
    commit(secured_cluster, "truth-behind", {0: 3}, planted)
    window = lag_ask.report(control, ["truth-behind"], apart_s=0.2).window
    commit(secured_cluster, "truth-behind", {0: 1}, planted)
    back = lag_ask.report(control, ["truth-behind"], history=window).groups[0]
    (reset,) = [p for p in back.worst if p.partition == 0]
    assert reset.status == "rewound" and "went back by 2" in reset.because
    assert back.status == "stopped", "the worst of its partitions counts"


def test_deleted_records_are_not_lag(control: AdminClient, secured_cluster: RealCluster, topic_name: str) -> None:
    from kafka import TopicPartition as Place
    from kafka.admin import KafkaAdminClient

    assert control.create_topics([NewTopic(topic_name, 1, 1)]) == {topic_name: None}
    with Writer(secured_cluster.connection) as writer:
        for _ in range(100):
            writer.send(Record(topic_name, b"v", partition=0))
    commit(secured_cluster, "truth-overtaken", {0: 20}, topic_name)
    with closing(KafkaAdminClient(**secured_cluster.connection.for_kafka_python())) as admin:
        admin.delete_records({Place(topic_name, 0): 70})
    found = lag(control, "truth-overtaken")["truth-overtaken"]
    assert (found.lag, found.expired_unread, found.loses_data_in_s) == (30, 50, 0.0)


def test_collected_figures_are_those_of_the_cluster(
    control: AdminClient, secured_cluster: RealCluster, planted: str, midnight: float, own_home: Path
) -> None:
    at = [time.time()]
    with open_store() as database:
        first = collect.once(control, database, clock=lambda: at[0])
        assert first.new and first.hours == collect.CATCH_UP_H
        with Writer(secured_cluster.connection) as writer:
            for n in range(30):
                writer.send(Record(planted, b"v", partition=n % PARTITIONS))
        at[0] += 10
        second = collect.once(control, database, window=first.window, clock=lambda: at[0])
        assert second.new and second.hours == 0
        again = collect.once(control, database, clock=lambda: at[0])
        assert not again.new, "a slot takes one sample"
        store = ClusterStore(database, secured_cluster.cluster_id)
        assert sum(p.records for p in store.topic_series(planted, at[0] - 60, at[0] + 60)) == 30
        counted = {c.start: c for c in store.hours(midnight - 86400, midnight) if c.topic == planted}
        assert [counted[int(midnight) - 86400 + h * 3600].records for h in range(24)] == BY_HOUR[24:]
        latest = store.latest()
        assert latest is not None and latest.cluster.brokers == 3
        assert latest.groups["truth-done"].lag == 30
        assert latest.topics[planted] == sum(BY_HOUR) + 30
        _check(database)


def _check(database: Database) -> None:
    assert len(check_rollups(database)) == 2


def test_the_commands_give_one_document(
    secured_cluster: RealCluster,
    planted: str,
    own_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from asgard.cli.main import main

    monkeypatch.setenv("ASGARD_STORE", f"sqlite:///{tmp_path / 'store.db'}")
    where = [
        "--bootstrap-server",
        secured_cluster.bootstrap_servers,
        "--command-config",
        str(secured_cluster.client_properties),
    ]
    for arguments, key in (
        (["lag", "--apart", "200ms"], "groups"),
        (["volume", "--topic", planted], "counts"),
        (["missing", "--topic", planted, "--by", "day"], "compared"),
        (["collect", "--once"], "topics"),
    ):
        assert main(["heimdall", *arguments, *where, "--json"]) == 0
        assert json.loads(capfd.readouterr().out)[key]
    assert main(["heimdall", "lag", *where, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["basis"] == "1 sample and one taken now", "the store's is used"
    assert main(["heimdall", "lag", "there-is-none", *where]) == 2
    assert "there is no group there-is-none" in capfd.readouterr().err


def test_a_watched_group_is_shown_again_and_again_until_ctrl_c(
    secured_cluster: RealCluster, planted: str, own_home: Path
) -> None:
    commit(secured_cluster, "truth-watched", {0: 1}, planted)
    command = [str(Path(sys.executable).with_name("asgard")), "heimdall", "lag", "truth-watched", "--watch", "--json"]
    where = ["--bootstrap-server", secured_cluster.bootstrap_servers]
    where += ["--command-config", str(secured_cluster.client_properties), "--apart", "200ms"]
    environment = {**os.environ, "ASGARD_HOME": str(own_home)}
    with subprocess.Popen([*command, *where], stdout=subprocess.PIPE, text=True, env=environment) as watching:
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())
        commit(secured_cluster, "truth-watched", {0: 11}, planted)
        lags = [first["groups"][0]["lag"]]
        while len(lags) < 20 and lags[-1] == lags[0]:
            lags.append(json.loads(watching.stdout.readline())["groups"][0]["lag"])
        watching.send_signal(signal.SIGINT)
        watching.stdout.read()
    assert (lags[-1], watching.returncode) == (lags[0] - 10, 130)
