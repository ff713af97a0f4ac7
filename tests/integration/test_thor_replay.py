"""Replays as a user has them, on a real cluster: killed, fenced, filtered, refused."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition as Position
from confluent_kafka.admin import AdminClient as Admin

from asgard.cli.main import main
from asgard.core.errors import Busy
from asgard.heimdall.lag import ask
from asgard.kafka.admin import connect
from asgard.kafka.data import Read, Record, Writer, read
from asgard.kafka.model import NewTopic
from asgard.thor.archive import source as archived
from asgard.thor.replay import header
from asgard.thor.replay.exactly import ExactlyOnce
from asgard.thor.replay.model import Saved, To
from asgard.thor.replay.slots import slots
from asgard.thor.replay.topics import TopicSource
from tests.harness import RealCluster
from tests.harness.replaying import ASGARD, digest, fill, options, until_done

pytestmark = pytest.mark.kafka


def topics(cluster: RealCluster, *new: NewTopic) -> None:
    with connect(cluster.connection) as control:
        assert all(error is None for error in control.create_topics(new).values())
        until = time.monotonic() + 20
        names = {topic.name for topic in new}
        while names - control.topics(names).keys() and time.monotonic() < until:
            time.sleep(0.05)


def records(cluster: RealCluster, topic: str) -> list[Read]:
    with connect(cluster.connection) as control:
        offsets = control.offsets([(topic, p.partition) for p in control.topics([topic])[topic].partitions])
    return [record for batch in read(cluster.connection, offsets) for record in batch]


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.mark.long
def test_a_replay_that_is_killed_again_and_again_copies_each_record_once(
    secured_cluster: RealCluster, topic_name: str, own_home: Path
) -> None:
    source, target = topic_name, f"{topic_name}-again"
    topics(secured_cluster, NewTopic(source, 4, 3), NewTopic(target, 4, 3))
    fill(secured_cluster, source, 4, 20_000)
    command = [str(ASGARD), "thor", "replay", source, "--to", target, "--records", "4000/s", "--yes", "--json"]
    dice = random.Random()
    kills = [dice.uniform(1.5, 3.5) for _ in range(2)]
    try:
        done = until_done(
            [*command, *options(secured_cluster)],
            os.environ,
            cluster=secured_cluster,
            kills=kills,
            broker_kills=[(dice.uniform(1.5, 2.5), 2)],
            down_s=8,
        )
    finally:
        secured_cluster.all_up()
    assert done.answer["sent"] == 20_000, (kills, done.words)
    assert "slowed down" in done.words, "a broker that is down for 8 s is seen"
    with connect(secured_cluster.connection) as control:
        assert digest(secured_cluster, control, target) == digest(secured_cluster, control, source), kills
        assert not [entity for entity in control.quotas() if (entity.client_id or "").startswith("asgard.replay.")]
    again = main([*command[1:], *options(secured_cluster)])
    assert again == 0
    assert len(records(secured_cluster, target)) == 20_000, "a replay that is finished copies nothing"


def test_a_second_writer_of_the_same_name_fences_the_first(plain_broker: RealCluster, topic_name: str) -> None:
    topics(plain_broker, NewTopic(topic_name, 1, 1))
    place = {("elsewhere", 0): slots([("elsewhere", 0)], [(topic_name, 0)])["elsewhere", 0]}
    record = Read("elsewhere", 0, 7, 1000, b"k", b"v", ())

    def writer() -> ExactlyOnce:
        return ExactlyOnce(plain_broker.connection, name=topic_name, slot_of=place, leaders=lambda: 0)

    with writer() as first, writer() as second:
        assert first.open() == {}
        first.send([(record, To(topic_name, 0, ()))])
        assert second.open() == {}
        with pytest.raises(Busy):
            first.commit({("elsewhere", 0): Saved(8, 1)})
        second.send([(record, To(topic_name, 0, ()))])
        second.commit({("elsewhere", 0): Saved(8, 1, "noted")})
    with writer() as third:
        assert third.open() == {("elsewhere", 0): Saved(8, 1, "noted")}
    assert [(r.key, r.value, r.timestamp_ms) for r in records(plain_broker, topic_name)] == [(b"k", b"v", 1000)]


def test_another_cluster_other_counts_filters_and_no_way_back(
    plain_broker: RealCluster,
    secured_cluster: RealCluster,
    topic_name: str,
    own_home: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    topics(plain_broker, NewTopic(topic_name, 4, 1), NewTopic(f"{topic_name}-back", 4, 1))
    topics(secured_cluster, NewTopic(topic_name, 3, 1))
    with Writer(plain_broker.connection) as writer:
        for n in range(400):
            value = json.dumps({"n": n, "at": {"country": "DE" if n % 4 else "FR"}}).encode()
            writer.send(
                Record(
                    topic_name,
                    value,
                    b"k%d" % (n % 7) if n % 2 else None,
                    [("kind", b"a" if n % 3 else b"b")],
                    partition=n % 4,
                )
            )
    there = [
        "--to-bootstrap-server",
        secured_cluster.bootstrap_servers,
        "--to-command-config",
        str(secured_cluster.client_properties),
    ]
    asked = [
        "thor",
        "replay",
        topic_name,
        *options(plain_broker),
        *there,
        "--field",
        "$.at.country=DE",
        "--header",
        "kind=a",
    ]
    assert main([*asked, "--dry-run", "--json"]) == 0
    dry = said(capsys)
    assert (dry["records_at_most"], dry["filtered"]) == (400, True)
    assert records(secured_cluster, topic_name) == []
    assert main([*asked, "--yes", "--json"]) == 0
    wanted = [n for n in range(400) if n % 4 and n % 3]
    answer = said(capsys)
    assert answer["sent"] == len(wanted) and answer["left_in_this_run"] == {"filtered": 400 - len(wanted)}
    arrived = records(secured_cluster, topic_name)
    assert sorted(json.loads(r.value or b"")["n"] for r in arrived) == wanted
    where: dict[object, list[int]] = {}
    for record in arrived:
        found = json.loads(record.value or b"")["n"]
        (hop,) = header.hops(record.headers)
        assert (hop.id, hop.topic, hop.partition) == (answer["id"], topic_name, found % 4)
        if record.key is None:
            assert record.partition == (found % 4) % 3
        where.setdefault((record.key, found % 4), []).append(found)
        assert len({r.partition for r in arrived if record.key and r.key == record.key}) <= 1
    assert all(numbers == sorted(numbers) for numbers in where.values()), "the order within a partition stays"

    back = [
        "thor",
        "replay",
        topic_name,
        *options(secured_cluster),
        "--to-bootstrap-server",
        plain_broker.bootstrap_servers,
    ]
    assert main([*back, "--yes", "--json"]) == 0
    answer = said(capsys)
    assert (answer["sent"], answer["left_in_this_run"]) == (0, {"loop": len(wanted)})
    assert main([*back, "--to", f"{topic_name}-back", "--yes", "--json"]) == 0
    assert said(capsys)["sent"] == len(wanted)
    assert {len(header.hops(r.headers)) for r in records(plain_broker, f"{topic_name}-back")} == {2}

    with connect(plain_broker.connection) as control:
        kept = {name for name in control.groups().listed if name.startswith("asgard.replay.")}
        assert kept and not kept & ask.look(control).groups.keys(), "progress is nobody's lag"
        assert not kept & {
            group
            for groups in archived.groups_of(control, [topic_name, f"{topic_name}-back"]).values()
            for group in groups
        }


def test_what_is_deleted_before_it_is_read_is_counted_and_said(plain_broker: RealCluster, topic_name: str) -> None:
    topics(plain_broker, NewTopic(topic_name, 2, 1))
    with Writer(plain_broker.connection) as writer:
        writer.send_all(Record(topic_name, b"%d" % n, partition=n % 2) for n in range(40))
    source = TopicSource(
        plain_broker.connection, {(topic_name, 0): (0, 20), (topic_name, 1): (0, 20)}, client_id=topic_name
    )
    admin = Admin(plain_broker.connection.for_librdkafka())
    for future in admin.delete_records([Position(topic_name, 0, 12), Position(topic_name, 1, 20)]).values():
        future.result()
    seen = [r for batch in source.read({(topic_name, 0): 3, (topic_name, 1): 5}) for r in batch.records]
    assert [int(r.value or b"") for r in seen] == list(range(24, 40, 2))
    assert source.expired == {(topic_name, 0): 9, (topic_name, 1): 15}


def test_what_would_be_lost_on_arrival_is_refused_with_what_to_do(
    plain_broker: RealCluster, topic_name: str, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short, strict, narrow = f"{topic_name}-short", f"{topic_name}-strict", f"{topic_name}-narrow"
    topics(
        plain_broker,
        NewTopic(topic_name, 1, 1),
        NewTopic(short, 1, 1, {"retention.ms": "86400000"}),
        NewTopic(strict, 1, 1, {"message.timestamp.before.max.ms": "3600000"}),
        NewTopic(narrow, 1, 1, {"max.message.bytes": "5000"}),
    )
    now = int(time.time() * 1000)
    with Writer(plain_broker.connection) as writer:
        writer.send_all(Record(topic_name, b"v", timestamp_ms=now - hours * 3_600_000) for hours in (72, 48, 2, 0))
    asked = ["thor", "replay", topic_name, *options(plain_broker), "--yes", "--to"]
    assert main([*asked, short]) == 4
    told = capsys.readouterr().err
    assert "2 records" in told and "retention.ms" in told
    assert main([*asked, strict]) == 4
    assert "3 records" in capsys.readouterr().err
    assert main([*asked, strict, "--accept-loss"]) == 4, "the broker would refuse them: that can't be accepted"
    capsys.readouterr()
    assert main([*asked, strict, "--from", "30m", "--json"]) == 0
    assert said(capsys)["sent"] == 1
    assert main([*asked, topic_name]) == 4
    assert main([*asked, f"{topic_name}-nowhere"]) == 4
    capsys.readouterr()
    assert main([*asked, short, "--accept-loss", "--json"]) == 0
    assert said(capsys)["sent"] == 4
    # Records that would not fit are known before the first one is met; small ones are not put into batches that are too large.
    with Writer(plain_broker.connection) as writer:
        writer.send_all(Record(topic_name, random.Random(n).randbytes(400)) for n in range(100))
    assert main([*asked, narrow]) == 4
    told = capsys.readouterr().err
    assert f"{narrow} takes 4.9 KiB at most (max.message.bytes)" in told and "to 1048588 or more" in told
    assert main([*asked, narrow, "--accept-loss", "--json"]) == 0
    assert said(capsys)["sent"] == 104
