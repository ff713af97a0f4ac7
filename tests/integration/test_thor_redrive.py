"""Dead letters on a real cluster: sent back once, however often it is run; what can't be sent stays and is listed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from asgard.cli.main import main
from asgard.kafka.admin import connect
from asgard.kafka.data import Read, Record, Writer, read
from asgard.kafka.model import NewTopic
from tests.harness import RealCluster
from tests.harness.replaying import options

pytestmark = pytest.mark.kafka


def test_dead_letters_go_back_once_and_what_cannot_stays(
    plain_broker: RealCluster, topic_name: str, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now_ms = int(time.time() * 1000)
    dlq, bills = f"{topic_name}.dlq", f"{topic_name}.bills"
    with connect(plain_broker.connection) as control:
        new = [NewTopic(dlq, 2, 1), NewTopic(topic_name, 3, 1), NewTopic(bills, 1, 1)]
        assert set(control.create_topics(new).values()) == {None}
        until = time.monotonic() + 20
        while len(control.topics([n.name for n in new])) < 3 and time.monotonic() < until:
            time.sleep(0.05)

    def dead(n: int, target: str | None, partition: int, *more: tuple[str, bytes]) -> Record:
        named = [("__connect.errors.topic", target.encode())] if target else []
        return Record(dlq, b"%d" % n, b"k%d" % n, [*named, *more], timestamp_ms=now_ms + n, partition=partition)

    with Writer(plain_broker.connection) as writer:
        for n in range(40):
            where = topic_name if n % 4 else bills
            writer.send(
                dead(n, where, n % 2, ("__connect.errors.partition", b"0"), ("kind", b"odd" if n % 2 else b"even"))
            )
        writer.send(dead(40, None, 0))
        writer.send(dead(41, "nowhere", 0))
        writer.send(dead(42, "own", 1, ("x-origin", bills.encode())))

    asked = ["thor", "redrive", dlq, *options(plain_broker), "--json"]

    def run(*more: str, code: int = 0) -> Any:
        assert main([*asked, *more]) == code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    def arrived(topic: str) -> list[Read]:
        with connect(plain_broker.connection) as control:
            offsets = control.offsets([(topic, p.partition) for p in control.topics([topic])[topic].partitions])
        return [record for batch in read(plain_broker.connection, offsets) for record in batch]

    dry = run("--dry-run", code=1)
    assert dry["by_target"] == {topic_name: 30, bills: 10}
    assert [(s["partition"], s["offset"], s["why"]) for s in dry["stays"]] == [
        (0, 20, "no target"), (0, 21, "no such topic"), (1, 20, "no such topic"),
    ]  # fmt: skip
    assert arrived(topic_name) == arrived(bills) == []

    assert run("0:1", "1:0-2", "--yes")["letters"] == 4
    assert run("0:1", "--yes")["left"] == {"sent before": 1}
    assert run("--header", "kind=odd", "--yes")["letters"] == 17
    assert run("--yes", code=1)["letters"] == 19
    assert run("--yes", code=1)["letters"] == 0, "what was sent is not sent again"
    sent = [int(r.value or b"") for topic in (topic_name, bills) for r in arrived(topic)]
    assert sorted(sent) == list(range(40))
    assert {r.partition for r in arrived(topic_name)} == {0}, "the partition is the one it came from"
    assert all(r.timestamp_ms == now_ms + int(r.value or b"") for r in arrived(topic_name))

    with Writer(plain_broker.connection) as writer:
        writer.send(dead(50, topic_name, 0))
    assert run("--target-header", "x-origin", "--yes", code=1)["by_target"] == {topic_name: 1, bills: 1}
    assert sorted(int(r.value or b"") for r in arrived(bills)) == [*range(0, 40, 4), 42]
