"""Archives of real topics: whole after kills, restored as they were, shared by processes that fence each other."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from asgard.journal import events
from asgard.journal.store.database import open_journal
from asgard.kafka import data, segments
from asgard.kafka.admin import connect
from asgard.kafka.model import ConfigChange, NewTopic
from asgard.kafka.ports import ControlPlane
from asgard.thor.archive import location, read, storage, verify
from tests.harness import RealCluster
from tests.harness.archives import Desk, aborted, in_order, seen, written

pytestmark = pytest.mark.kafka


@pytest.fixture
def desk(plain_broker: RealCluster, own_home: Path) -> Iterator[Desk]:
    yield Desk(plain_broker, own_home)


def test_a_topic_that_was_deleted_comes_back_with_its_order_settings_and_groups(
    desk: Desk, topic_name: str, tmp_path: Path
) -> None:
    connection = desk.cluster.connection
    sent = written(connection, topic_name, 3000)
    aborted(connection, topic_name, 30)
    sent += written(connection, topic_name, 3000, seed=2)
    old = {(topic_name, 0): 700, (topic_name, 1): 0, (topic_name, 2): 100_000}
    with connect(connection) as control:
        ends = control.offsets(list(old))
        old[topic_name, 2] = ends[topic_name, 2].end
        control.commit_offsets(f"g-{topic_name}", old)
    done = desk.run("archive", "run", topic_name, "--to", tmp_path / "a", "--roll-size", "100KiB")
    assert done["records"] == 6000 and done["files"] > 3
    assert done["gaps"] == {"transactions": 33}, "30 aborted records and a marker in each partition"
    assert desk.archived(tmp_path / "a", topic_name) == in_order(sent)
    assert desk.run("archive", "run", topic_name, "--to", tmp_path / "a")["records"] == 0
    rest = seen(connection, topic_name)
    before_old = _after(connection, topic_name, old)
    with connect(connection) as control:
        control.delete_topics([topic_name])
    restore = ("replay", topic_name, "--from-archive", tmp_path / "a", "--create", "--groups", "--yes")
    full = tmp_path / "full.yaml"
    full.write_text("limits:\n  brokers:\n    1: {capacity: 1MiB}\n")
    told = desk.run(*restore, "--limits", full, code=4)
    assert "broker 1 would be" in told["error"]["what"], told
    dry = desk.run(*restore, "--dry-run")
    assert dry[0]["records_at_most"] == 6000 and dry[0]["create"]
    done = desk.run(*restore)
    assert (done["records"], done["created"], done["groups"]) == (6000, [topic_name], 3)
    assert seen(connection, topic_name) == rest == in_order(sent)
    with connect(connection) as control:
        assert control.topic_configs([topic_name])[topic_name]["retention.ms"] == "-1"
        new = control.group_offsets()[f"g-{topic_name}"]
    assert _after(connection, topic_name, new) == before_old, "each group goes on with the same record"
    assert desk.run(*restore)["records"] == 0, "what is there is not brought a second time"
    assert seen(connection, topic_name) == rest


def _after(connection: Any, topic: str, offsets: dict[tuple[str, int], int]) -> dict[int, tuple[int, bytes | None]]:
    """How many records a group that committed these offsets would still read of each partition, and the first of them."""
    with connect(connection) as control:
        held = control.offsets(list(offsets))
    found: dict[int, list[bytes | None]] = {p: [] for _, p in offsets}
    for batch in data.read(connection, held):
        for r in batch:
            if r.offset >= offsets[r.topic, r.partition]:
                found[r.partition].append(r.value)
    return {p: (len(values), values[0] if values else None) for p, values in found.items()}


def test_an_archive_that_is_killed_again_and_again_holds_each_record_once(
    desk: Desk, topic_name: str, tmp_path: Path
) -> None:
    sent = written(desk.cluster.connection, topic_name, 40_000, size=600)
    killed = 0
    for wait_s in (0.6, 0.9, 1.0, 1.1, 1.2):
        process = desk.start("archive", "run", topic_name, "--to", tmp_path / "a", "--roll-size", "200KiB")
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.communicate()
    assert killed >= 3
    desk.run("archive", "run", topic_name, "--to", tmp_path / "a", "--roll-size", "200KiB")
    assert desk.archived(tmp_path / "a", topic_name) == in_order(sent)
    verdict = verify.verify(location.open_storage(str(tmp_path / "a")))
    assert (verdict.damaged, verdict.strays) == ([], [])
    assert not [path for path in (tmp_path / "a" / ".incomplete").iterdir() if any(path.glob("*.avro"))]


def test_a_restore_that_is_killed_twice_brings_each_record_once(desk: Desk, topic_name: str, tmp_path: Path) -> None:
    connection, back = desk.cluster.connection, f"{topic_name}.back"
    sent = written(connection, topic_name, 6000)
    desk.run("archive", "run", topic_name, "--to", tmp_path / "a", "--roll-size", "100KiB")
    restore = ("replay", topic_name, "--from-archive", tmp_path / "a", "--to", back, "--create", "--yes")
    with connect(connection) as control:
        for beyond in (900, 2700):
            process = desk.start(*restore, "--rate", "150KB/s")
            until = time.monotonic() + 60
            while _held(control, back) <= beyond:
                assert process.poll() is None and time.monotonic() < until, process.communicate()
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert process.returncode == -signal.SIGKILL
    assert 0 < desk.run(*restore)["records"] <= 6000
    assert seen(connection, back) == in_order(sent)
    assert desk.run(*restore)["records"] == 0


def _held(control: ControlPlane, topic: str) -> int:
    """Offsets of a topic, 0 where it does not exist yet."""
    topics = control.topics([topic])
    keys = [(topic, p.partition) for p in topics[topic].partitions if p.leader >= 0] if topics else []
    return sum(o.end for o in control.offsets(keys).values()) if keys else 0


@pytest.mark.long
def test_processes_share_a_topic_and_the_former_owner_of_a_partition_adds_nothing(
    desk: Desk, topic_name: str, tmp_path: Path
) -> None:
    connection = desk.cluster.connection
    sent = written(connection, topic_name, 2000, partitions=4)
    follow = ("archive", "run", topic_name, "--to", tmp_path / "a", "--follow", "--roll-age", "1s")
    first = desk.start(*follow)
    place = location.open_storage(str(tmp_path / "a"))
    _wait_for(place, topic_name, 2000)
    os.kill(first.pid, signal.SIGSTOP)  # it does not know yet that others take its partitions
    sent += written(connection, topic_name, 2000, partitions=4, seed=2)
    second = desk.start(*follow)
    try:
        _wait_for(place, topic_name, 4000)
        os.kill(first.pid, signal.SIGCONT)
        sent += written(connection, topic_name, 2000, partitions=4, seed=3)
        _wait_for(place, topic_name, 6000)
        time.sleep(2)
    finally:
        for process in (first, second):
            process.send_signal(signal.SIGTERM)
        told = [process.communicate(timeout=60) for process in (first, second)]
    assert [p.returncode for p in (first, second)] == [130, 130], told
    assert desk.archived(tmp_path / "a", topic_name) == in_order(sent)
    assert verify.verify(place).damaged == []


def _wait_for(place: storage.Storage, topic: str, records: int) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        heads, damaged = read.heads(place, read.TopicWindow((topic,)))
        assert not damaged
        if sum(head.records for head in heads.values()) >= records:
            return
        time.sleep(0.1)
    raise AssertionError(f"{sum(head.records for head in heads.values())} of {records} records are archived")


def test_what_was_deleted_is_named_and_only_what_is_missing_comes_back(
    desk: Desk, topic_name: str, tmp_path: Path
) -> None:
    connection = desk.cluster.connection
    sent = written(connection, topic_name, 900)
    desk.run("archive", "run", topic_name, "--to", tmp_path / "a")
    with connect(connection) as control:
        ends = control.offsets([(topic_name, p) for p in range(3)])
    assert set(data.delete_records(connection, {key: o.end // 2 for key, o in ends.items()}).values()) == {None}
    gone = sum(o.end // 2 for o in ends.values())
    restore = ("replay", topic_name, "--from-archive", tmp_path / "a", "--yes")
    assert desk.run(*restore)["records"] == gone
    assert sorted(map(str, seen(connection, topic_name))) == sorted(map(str, sent))
    assert desk.run(*restore)["records"] == 0
    # All of it, and the copies: now they are missing again.
    with connect(connection) as control:
        ends = control.offsets([(topic_name, p) for p in range(3)])
    data.delete_records(connection, {key: o.end for key, o in ends.items()})
    assert desk.run(*restore)["records"] == 900
    assert sorted(map(str, seen(connection, topic_name))) == sorted(map(str, sent))
    # Records that expire before they are archived.
    written(connection, topic_name, 300, seed=5)
    with connect(connection) as control:
        ends = control.offsets([(topic_name, p) for p in range(3)])
    data.delete_records(connection, {key: o.end for key, o in ends.items()})
    written(connection, topic_name, 300, seed=6)
    done = desk.run("archive", "run", topic_name, "--to", tmp_path / "a")
    assert done["records"] == 300 and done["gaps"]["expired"] > 900
    assert "expired" in desk.run("archive", "list", tmp_path / "a")["topics"][0]["gaps"]


def test_what_compaction_and_transactions_took_is_told_apart(desk: Desk, topic_name: str, tmp_path: Path) -> None:
    """Against the log on the broker's disk: its batches are the truth."""
    connection, backoff = desk.cluster.connection, "log.cleaner.backoff.ms"
    compact = {
        "cleanup.policy": "compact",
        "segment.ms": "1000",
        "min.cleanable.dirty.ratio": "0.01",
        "min.compaction.lag.ms": "0",
    }
    with connect(connection) as control:
        control.alter_configs([ConfigChange("broker", "", {backoff: "300"})])
        try:
            control.create_topics([NewTopic(topic_name, 1, 1, compact)])
            producer = Producer({**connection.for_librdkafka(), "transactional.id": topic_name, "log_level": 0})
            producer.init_transactions(60)
            for turn in range(6):
                _transaction(producer, topic_name, 40, abort=turn in (2, 5))
                time.sleep(1.1)
            until = time.monotonic() + 60
            while len(seen(connection, topic_name)) != 10:
                assert time.monotonic() < until, "the log was not compacted"
                time.sleep(0.3)
        finally:
            control.alter_configs([ConfigChange("broker", "", unset=(backoff,))])
    done = desk.run("archive", "run", topic_name, "--to", tmp_path / "a")
    directory = desk.cluster.run_dir(1).partition_dir(topic_name, 0)
    assert directory is not None
    batches = [b for path in segments.segments(directory) for b in segments.batches(path)]
    kept = sum(b.count for b in batches if not b.control)
    markers = sum(b.control for b in batches)
    aborted_ = kept - done["records"]
    assert aborted_ >= 40, "those of the last transaction are in the active segment"
    assert done["gaps"] == {"transactions": markers + aborted_, "compaction": 246 - kept - markers}
    assert desk.run("archive", "list", tmp_path / "a")["topics"][0]["gaps"] == done["gaps"]
    assert desk.run("archive", "verify", tmp_path / "a")["damaged"] == []


def _transaction(producer: Producer, topic: str, records: int, *, abort: bool) -> None:
    producer.begin_transaction()
    for n in range(records):
        producer.produce(topic, b"v" * n, b"key-%d" % (n % 10), 0)
    producer.flush(30)
    (producer.abort_transaction if abort else producer.commit_transaction)(30)


def test_recipes_archive_at_night_replay_what_an_alert_names_and_restore_a_topic(
    desk: Desk, topic_name: str, tmp_path: Path
) -> None:
    connection, place = desk.cluster.connection, tmp_path / "a"
    sent = written(connection, topic_name, 600)
    where = ("--set", f"archive={place}")

    def recipe(name: str, *args: str) -> Any:
        return desk.run("recipe", "run", name, *where, *args, "--yes")

    assert recipe("archive-nightly", "--set", f"topics={topic_name}")["outcome"] == "done"
    assert recipe("replay-window", "--on-event")["text"] == "no new event heimdall.alert.raised"
    with connect(connection) as control:
        ends = control.offsets([(topic_name, p) for p in range(3)])
    data.delete_records(connection, {key: o.end // 2 for key, o in ends.items()})
    times = [record[4] for record in sent]
    alert = {
        "topic": topic_name,
        "from": times[0] / 1000,
        "until": times[-1] / 1000 + 1,
        "kind": "volume-missing",
        "cluster_id": desk.cluster.cluster_id,
    }
    with open_journal() as journal:
        events.record(journal, "heimdall.alert.raised", "volume missing", alert)
    report = recipe("replay-window", "--on-event")
    gone = sum(o.end // 2 for o in ends.values())
    assert report["steps"][0]["text"] == f"{topic_name}: {gone} records restored"
    assert sorted(map(str, seen(connection, topic_name))) == sorted(map(str, sent))
    assert recipe("replay-window", "--on-event")["outcome"] == "nothing"
    with connect(connection) as control:
        control.delete_topics([topic_name])
    report = recipe("restore-topic", "--set", f"topic={topic_name}")
    assert report["outcome"] == "done" and report["steps"][0]["text"] == f"{topic_name}: 600 records restored"
    assert sorted(map(str, seen(connection, topic_name))) == sorted(map(str, sent))


def test_a_damaged_file_is_named_and_nothing_of_it_is_replayed(desk: Desk, topic_name: str, tmp_path: Path) -> None:
    sent = written(desk.cluster.connection, topic_name, 300)
    desk.run("archive", "run", topic_name, "--to", tmp_path / "a")
    file = next((tmp_path / "a" / "data" / topic_name).rglob("*.avro"))
    whole = file.read_bytes()
    file.write_bytes(whole[:1000] + bytes([whole[1000] ^ 4]) + whole[1001:])
    restore = (
        "replay",
        topic_name,
        "--from-archive",
        tmp_path / "a",
        "--to",
        f"{topic_name}.back",
        "--create",
        "--yes",
    )
    told = desk.run(*restore, code=1)
    assert file.name in told["error"]["what"], told
    assert [entry[0] for entry in desk.run("archive", "verify", tmp_path / "a", code=1)["damaged"]] == [
        file.relative_to(tmp_path / "a").as_posix()
    ]
    file.write_bytes(whole[:-1])
    assert file.name in desk.run(*restore, code=1)["error"]["what"]
    file.write_bytes(whole)
    desk.run(*restore)
    assert seen(desk.cluster.connection, f"{topic_name}.back") == in_order(sent)
