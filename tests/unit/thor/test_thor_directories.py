"""Brokers with several log directories: judged, planned and evened by directory, not by their sum."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgard.cli.main import main
from asgard.cluster import limits as limits_file
from asgard.cluster import snapshot_file
from asgard.cluster.findings import findings
from asgard.cluster.limits import BrokerLimit, DirectoryLimit, Limits
from asgard.core.errors import InvalidFile, WrongUsage
from asgard.kafka.model import Broker, ClusterSnapshot, LogDir, Partition
from asgard.thor.plan import file as plan_file
from asgard.thor.plan import planner
from asgard.thor.plan.explain import explain
from asgard.thor.plan.kinds import planned
from tests.unit.thor.random_clusters import clusters
from tests.unit.thor.rules import broken_rules
from tests.unit.thor.test_thor_plan_rules import KINDS, many, plan_of

GB = 1_000_000_000
some = settings(many, max_examples=int(os.environ.get("ASGARD_EXAMPLES", "60")))


def cluster(dirs: dict[int, list[LogDir]], *partitions: Partition) -> ClusterSnapshot:
    brokers = tuple(Broker(b, log_dirs=tuple(found)) for b, found in dirs.items())
    return ClusterSnapshot("2026-11-24T09:00:00Z", "c", 1, brokers, partitions)


def part(n: int, broker: int, path: str, size: int) -> Partition:
    return Partition("t", n, (broker,), (broker,), broker, size_bytes=size, log_dirs=(path,))


def reported() -> ClusterSnapshot:
    """Broker 1 with 500 GB; broker 3 with two directories of 100 GB, one almost full; 45 GB on broker 1."""
    return cluster(
        {
            1: [LogDir("/d1", 500 * GB, 45 * GB)],
            3: [LogDir("/d1", 100 * GB, 95 * GB), LogDir("/d2", 100 * GB, 5 * GB)],
        },
        part(0, 1, "", 45 * GB),
        *(part(n, 3, "/d1", 19 * GB) for n in range(1, 6)),
    )


def test_a_directory_over_its_limit_is_a_finding() -> None:
    (found,) = (f for f in findings(reported(), Limits()) if f.kind != "leader-imbalance")
    assert (found.kind, found.brokers) == ("log-dir-over-limit", (3,))
    assert "the log directory /d1 of broker 3 is over its limit of disk: 95.0%, allowed 80%" in found.text
    assert "asgard thor plan disks 3" in found.text


def test_a_plan_names_the_directory_that_kafka_would_not_choose_by_space() -> None:
    plan = planner.drain(reported(), [1])
    (change,) = plan.changes
    assert (change.after, change.log_dirs) == ((3,), ("/d2",))
    assert plan_file.document(plan)["partitions"] == [
        {"topic": "t", "partition": 0, "replicas": [3], "log_dirs": ["/d2"]}
    ]


def test_a_plan_that_no_directory_has_room_for_is_not_made() -> None:
    """Together the two directories have room for it; neither has."""
    dirs = {1: [LogDir("/d1", 500 * GB, 45 * GB)], 3: [LogDir(d, 100 * GB, 50 * GB) for d in ("/d1", "/d2")]}
    plan = planner.drain(cluster(dirs, part(0, 1, "", 45 * GB)), [1])
    assert plan.changes == () and plan.failed
    assert "without a log directory that has room" in plan.unmet[0].why


def test_disks_evens_a_broker_and_its_undo_is_the_way_back(tmp_path: Path) -> None:
    snapshot = reported()
    plan = planned("disks", ["3"], snapshot, Limits())
    assert plan.changes == () and not plan.failed
    assert {(c.broker, c.source, c.target) for c in plan.dir_changes} == {(3, "/d1", "/d2")}
    assert (
        sum(c.bytes_moved for c in plan.dir_changes) == 38 * GB
        or sum(c.bytes_moved for c in plan.dir_changes) == 57 * GB
    )
    assert all(0.4 <= (d.disk_after or 0) <= 0.62 for d in plan.log_dirs if d.broker == 3), plan.log_dirs
    plan_file.write(plan, tmp_path / "plan.json")
    assert plan_file.read(tmp_path / "plan.json") == plan
    moved = {(c.topic, c.partition): c.target for c in plan.dir_changes}
    size = sum(c.bytes_moved for c in plan.dir_changes)
    dirs = (LogDir("/d1", 100 * GB, 95 * GB - size), LogDir("/d2", 100 * GB, 5 * GB + size))
    later = replace(
        snapshot,
        brokers=(snapshot.brokers[0], replace(snapshot.brokers[1], log_dirs=dirs)),
        partitions=tuple(replace(p, log_dirs=(moved.get((p.topic, p.partition), p.log_dirs[0]),)) for p in snapshot.partitions),
    )  # fmt: skip
    back = planner.undo(later, plan)
    assert {(c.partition, c.source, c.target) for c in back.dir_changes} == {(n, "/d2", "/d1") for _, n in moved}
    assert not back.unmet and planned("disks", ["3"], later, Limits()).dir_changes == ()


def test_drain_of_a_directory_empties_it_or_says_what_stays() -> None:
    plan = planned("drain", ["3:/d1"], reported(), Limits())
    assert {(c.source, c.target) for c in plan.dir_changes} == {("/d1", "/d2")}
    assert len(plan.dir_changes) == 3, "three of 19 GB fit beside 5 GB into 80 of 100 GB"
    assert plan.failed and plan.unmet[0].count == 2 and "no other log directory of broker 3" in plan.unmet[0].why
    for wrong in ("3:/nowhere", "9:/d1", "1:/d1", "x:/d1"):
        with pytest.raises(WrongUsage):
            planned("drain", [wrong], reported(), Limits())
    with pytest.raises(WrongUsage):
        planned("drain", ["3:/d1", "1"], reported(), Limits())
    with pytest.raises(WrongUsage, match="no second log directory"):
        planned("disks", ["1"], reported(), Limits())


def test_a_replica_that_changes_its_directory_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = planned("drain", ["3:/d1"], reported(), Limits())
    (moved, *_) = plan.dir_changes
    told = explain(plan, reported(), Limits(), f"t-{moved.partition}")
    assert (told.change, told.dir_changes) == (None, (moved,))
    assert {c.broker: c.verdict for c in told.candidates}[3] == "chosen"
    plan_file.write(plan, tmp_path / "p.json")
    snapshot_file.write(reported(), tmp_path / "s.json")
    for more in ([], ["--snapshot", str(tmp_path / "s.json")]):
        assert main(["thor", "explain", str(tmp_path / "p.json"), f"t-{moved.partition}", *more]) == 0
        said = capsys.readouterr().out
        assert f"t-{moved.partition} on broker 3: /d1 -> /d2, 17.7 GiB to copy, in batch 1\nwhy: " in said


def test_a_snapshot_of_an_older_version_says_less_and_frees_nothing() -> None:
    old = replace(reported(), partitions=tuple(replace(p, log_dirs=()) for p in reported().partitions))
    assert [f.kind for f in findings(old, Limits()) if f.kind != "leader-imbalance"] == ["log-dir-over-limit"]
    assert planner.drain(old, [1]).changes[0].log_dirs == ("/d2",)
    assert planned("disks", ["3"], old, Limits()).dir_changes == ()


def test_limits_by_directory_are_a_default_beside_exceptions(tmp_path: Path) -> None:
    file = tmp_path / "thor.yaml"
    file.write_text(
        "limits:\n  disk: 80%\n  log_dirs: {/d2: {capacity: 50GB, disk: 90%}}\n"
        "  brokers:\n    3:\n      log_dirs: {/d1: {disk: 96%}}\n    4: {disk: 70%}\n"
    )
    limits = limits_file.read(file)
    assert limits.of_directory(3, "/d1") == DirectoryLimit(0.96, None)
    assert limits.of_directory(3, "/d2") == DirectoryLimit(0.9, 50 * GB)
    assert limits.of_directory(4, "/d2") == DirectoryLimit(0.7, 50 * GB), "a broker's own limit goes before the default"
    assert limits.of_directory(1, "/d1") == DirectoryLimit()
    assert [f for f in findings(reported(), limits) if f.kind == "log-dir-over-limit"] == []
    assert planner.drain(reported(), [1], limits).changes[0].log_dirs == ("/d2",), "45 of 90 % of 50 GB"
    file.write_text("limits: {log_dirs: {/d1: {disk: 800}}}\n")
    with pytest.raises(InvalidFile, match="percentage"):
        limits_file.read(file)


def test_one_directory_with_a_limit_of_its_own_is_its_broker() -> None:
    limits = Limits(brokers={1: BrokerLimit(log_dirs={"/d1": DirectoryLimit(capacity_bytes=50 * GB)})})
    (found,) = (f for f in findings(reported(), limits) if f.kind == "limit-exceeded")
    assert found.text.startswith("broker 1 is over its limit of disk: 90.0%")


def test_directories_survive_the_snapshot_file_and_contradictions_are_named(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    snapshot_file.write(reported(), file)
    assert snapshot_file.read(file) == reported()
    wrong = replace(reported(), partitions=(replace(reported().partitions[0], log_dirs=("/a", "/b")),))
    snapshot_file.write(wrong, file)
    with pytest.raises(InvalidFile, match="one for each replica"):
        snapshot_file.read(file)


@pytest.mark.parametrize("kind", [*KINDS, "disks"])
@some
@given(st.data())
def test_hard_rules_hold_by_directory_at_every_moment(kind: str, data: st.DataObject) -> None:
    snapshot, limits = data.draw(clusters(jbod=True))
    if kind == "disks":
        plan, emptied = planner.disks(snapshot, (), limits), set[int]()
    else:
        plan, emptied = plan_of(kind, snapshot, limits, random.Random(data.draw(st.integers(0, 999))))
    assert broken_rules(snapshot, plan, limits, emptied) == []


@some
@given(clusters(jbod=True))
def test_an_evened_broker_is_left_alone(given_: tuple[ClusterSnapshot, Limits]) -> None:
    snapshot, limits = given_
    plan = planner.disks(snapshot, (), limits)
    goes = {(c.topic, c.partition, c.broker): c for c in plan.dir_changes}
    used = {(b.id, d.path): d.used_bytes or 0 for b in snapshot.brokers for d in b.log_dirs}
    partitions = []
    for p in snapshot.partitions:
        dirs = list(p.log_dirs)
        for i, r in enumerate(p.replicas if dirs else ()):
            if change := goes.get((p.topic, p.partition, r)):
                dirs[i] = change.target
                used[r, change.source] -= change.bytes_moved
                used[r, change.target] += change.bytes_moved
        partitions.append(replace(p, log_dirs=tuple(dirs)))
    brokers = tuple(
        replace(b, log_dirs=tuple(replace(d, used_bytes=used[b.id, d.path]) for d in b.log_dirs)) if len(b.log_dirs) > 1 else b
        for b in snapshot.brokers
    )  # fmt: skip
    again = planner.disks(replace(snapshot, brokers=brokers, partitions=tuple(partitions)), (), limits)
    moved_once = sum(c.bytes_moved for c in plan.dir_changes)
    assert sum(c.bytes_moved for c in again.dir_changes) <= moved_once // 2
