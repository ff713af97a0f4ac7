"""Consumer groups rewound on a real cluster: active ones refused, each offset back after an undo, both protocols."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer

from asgard.cli.main import main
from asgard.kafka.admin import connect
from asgard.kafka.data import Record, Writer
from asgard.kafka.model import NewTopic
from tests.harness import RealCluster
from tests.harness.replaying import options

pytestmark = pytest.mark.kafka

PARTITIONS, EACH = 3, 40


def a_topic(cluster: RealCluster, name: str, first_ms: int) -> None:
    """Records with old times: the topic keeps them for ever, since a broker looks after retention every five minutes."""
    with connect(cluster.connection) as control:
        assert control.create_topics([NewTopic(name, PARTITIONS, 1, {"retention.ms": "-1"})]) == {name: None}
        until = time.monotonic() + 20
        while name not in control.topics([name]) and time.monotonic() < until:
            time.sleep(0.05)
    with Writer(cluster.connection) as writer:
        writer.send_all(
            Record(name, b"v", timestamp_ms=first_ms + n * 1000, partition=p)
            for n in range(EACH)
            for p in range(PARTITIONS)
        )


@contextmanager
def reading(cluster: RealCluster, group: str, topic: str, protocol: str) -> Iterator[Consumer]:
    """A member of the group that has read and committed everything."""
    consumer = Consumer(
        {
            **cluster.connection.for_librdkafka(),
            "group.id": group,
            "group.protocol": protocol,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    try:
        consumer.subscribe([topic])
        seen, until = 0, time.monotonic() + 60
        while seen < EACH * PARTITIONS and time.monotonic() < until:
            seen += len([m for m in consumer.consume(100, 0.5) if m.error() is None])
        assert seen == EACH * PARTITIONS
        consumer.commit(asynchronous=False)
        yield consumer
    finally:
        consumer.close()


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_is_rewound_and_brought_back(
    plain_broker: RealCluster, topic_name: str, own_home: Path, capsys: pytest.CaptureFixture[str], protocol: str
) -> None:
    group, first_ms = f"g-{topic_name}", 1_760_000_000_000
    a_topic(plain_broker, topic_name, first_ms)
    asked = ["thor", "rewind", group, *options(plain_broker), "--json"]

    def run(*more: str) -> Any:
        assert main([*asked, *more]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    def offsets(of: str = group) -> dict[tuple[str, int], int]:
        with connect(plain_broker.connection) as control:
            return control.group_offsets().get(of, {})

    ends = {(topic_name, p): EACH for p in range(PARTITIONS)}
    with reading(plain_broker, group, topic_name, protocol):
        assert main([*asked, "--to", "start", "--yes"]) == 4
        assert "is active" in capsys.readouterr().err
        assert offsets() == ends, "an active group keeps its offsets"

    shown = run("--to", "start", "--dry-run")
    assert (shown["type"], shown["read_again"], shown["skipped"]) == (protocol, EACH * PARTITIONS, 0)
    assert offsets() == ends, "a dry run sets nothing"

    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(first_ms / 1000 + 25))
    assert run("--to", moment, "--yes")["read_again"] == 15 * PARTITIONS
    assert offsets() == dict.fromkeys(ends, 25)
    assert run("--by", "-30", "--topic", topic_name[:4] + "*", "--yes")["changes"][0]["after"] == 0
    assert run("--to", "end", "--yes")["skipped"] == EACH * PARTITIONS
    csv = own_home / "offsets.csv"
    csv.write_text(f"{group},{topic_name},1,7\nother,{topic_name},2,1\n")
    assert [(c["partition"], c["after"]) for c in run("--to", str(csv), "--yes")["changes"]] == [(1, 7)]

    twin = f"{group}-twin"
    assert main(["thor", "rewind", twin, *options(plain_broker), "--json", "--like", group, "--yes"]) == 0
    capsys.readouterr()
    assert offsets(twin) == offsets()
    assert main(["thor", "rewind", twin, *options(plain_broker), "--json", "--undo", "--yes"]) == 0
    capsys.readouterr()
    assert offsets(twin) == {}, "where nothing was committed before, nothing is afterwards"

    for before in (ends, dict.fromkeys(ends, 0), dict.fromkeys(ends, 25), ends):
        run("--undo", "--yes")
        assert offsets() == before
    assert main([*asked, "--undo", "--yes"]) == 2, "there is nothing more to take back"


def test_a_file_that_is_wrong_says_where(
    own_home: Path, plain_broker: RealCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    own_home.mkdir(parents=True, exist_ok=True)
    csv = own_home / "bad.csv"
    csv.write_text("t,0,12\nt,one,3\nt,1\n")
    assert main(["thor", "rewind", "g", *options(plain_broker), "--to", str(csv), "--yes"]) == 2
    told = capsys.readouterr().err
    assert f"{csv}:2:3: partition: is 'one'" in told and f"{csv}:3:1" in told
