"""A cluster's status, as figures and as words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from asgard.cli import main as cli
from asgard.cli.thor import status_words
from asgard.cluster import snapshot_file
from asgard.cluster.activity import Activity, Begun, Held, Throttles
from asgard.cluster.limits import BrokerLimit, Limits
from asgard.core import console
from asgard.kafka.model import LogDir, Quorum, Voter
from asgard.thor.status import Status, judge
from tests.benchmarks.thor_clusters import CAPACITY_BYTES, generate, without

WHOLE = replace(generate(6, 60), quorum=Quorum(1, (Voter(0, 0), Voter(1, 0), Voter(2, 0))))


def words(status: Status) -> str:
    return "\n".join([*map(console.render, status_words.tables(status)), status_words.text(status)])


def test_every_broker_is_shown_against_its_limits() -> None:
    limits = Limits(disk=0.9, replicas=500, bytes_in_per_s=1e9, brokers={2: BrokerLimit(leaders=40)})
    status = judge(WHOLE, limits)
    two = status.brokers[2]
    held = [p for p in WHOLE.partitions if 2 in p.replicas]
    led = [p for p in WHOLE.partitions if p.leader == 2]
    assert (two.replicas, two.leaders, two.bytes) == (len(held), len(led), sum(p.size_bytes or 0 for p in held))
    assert two.disk == pytest.approx(two.bytes / CAPACITY_BYTES, abs=1e-4)
    assert two.bytes_in_per_s == pytest.approx(sum(p.bytes_in_per_s or 0 for p in held), abs=0.1)
    sent = sum((p.bytes_out_per_s or 0) + 2 * (p.bytes_in_per_s or 0) for p in led)
    assert two.bytes_out_per_s == pytest.approx(sent, abs=0.1)
    shown = words(status)
    assert (
        f"{len(held)} of 500" in shown
        and f"{len(led)} of 40" in shown
        and "of 90%" in shown
        and "of 954 MiB/s" in shown
    )


def test_a_cluster_that_is_well_says_so_last() -> None:
    status = judge(WHOLE, Limits())
    assert status.healthy
    assert words(status).splitlines()[-1] == "healthy: nothing is wrong"
    assert "quorum: controller 1 leads, 3 of 3 there; 1 more may be lost" in words(status)


def test_rates_that_were_not_measured_are_not_shown_as_0() -> None:
    partitions = tuple(replace(p, bytes_in_per_s=None, bytes_out_per_s=None) for p in WHOLE.partitions)
    status = judge(replace(WHOLE, partitions=partitions), Limits())
    assert {(b.bytes_in_per_s, b.bytes_out_per_s) for b in status.brokers} == {(None, None)}
    assert "rates:" not in words(status)


def test_what_is_wrong_comes_last_with_what_to_do() -> None:
    shown = words(judge(without(WHOLE, 3), Limits())).splitlines()
    assert shown[-1].startswith("broker-fenced: broker 3 (rack-3) is fenced")


def test_cordons_exclusions_lost_directories_and_silence_stand_at_their_broker() -> None:
    dirs = {
        0: (LogDir("/a", 10, 1, cordoned=True), LogDir("/b", 10, 1, cordoned=True)),
        1: (LogDir("/a", 10, 1, cordoned=True), LogDir("/b", offline=True)),
    }
    brokers = tuple(replace(b, log_dirs=dirs.get(b.id, b.log_dirs)) for b in WHOLE.brokers)
    status = judge(replace(WHOLE, brokers=brokers, silent=(4,)), Limits(exclude_brokers=frozenset({2})))
    assert [b.notes for b in status.brokers[:3]] == [("cordoned",), ("offline /b", "cordoned /a"), ("excluded",)]
    assert status.brokers[4].state == "silent"


def test_brokers_that_share_a_volume_are_told() -> None:
    brokers = tuple(
        replace(b, host="laptop", log_dirs=(LogDir(f"/d{b.id}", 10**12, 10**11 + b.id),)) for b in WHOLE.brokers
    )
    assert judge(replace(WHOLE, brokers=brokers), Limits()).shared_volume
    assert not judge(WHOLE, Limits()).shared_volume


def test_throttles_leases_and_what_runs_are_shown_and_only_what_is_left_behind_is_unhealthy() -> None:
    running = Begun(7, "asgard.execution/v1", "balance", "ann", "2026-11-24T09:00:00Z", abandoned=False)
    around = Activity(
        Throttles(
            {"leader.replication.throttled.rate": "50000000"}, {3: {"follower.replication.throttled.rate": "1"}}, ("t",)
        ),
        (running,),
        (Held("cluster/c/change", "thor balance", "ann", "host:77", "2026-11-24T09:00:00Z"),),
    )
    status = judge(WHOLE, Limits(), around)
    assert status.healthy
    shown = words(status)
    for line in (
        "throttle: leader.replication.throttled.rate=47.7 MiB/s for all brokers",
        "throttle: follower.replication.throttled.rate=1 B/s of broker 3",
        "throttle: replicas are marked in 1 topic (t)",
        "running: balance (asgard.execution/v1), by ann since 2026-11-24T09:00:00Z",
        "lease: change is held by thor balance (ann, host:77) since 2026-11-24T09:00:00Z",
    ):
        assert line in shown.splitlines()
    left = judge(WHOLE, Limits(), replace(around, operations=(replace(running, abandoned=True),)))
    assert not left.healthy
    assert "left behind: balance (asgard.execution/v1)" in words(left) and "`asgard recover`" in words(left)


def test_of_many_brokers_those_that_are_not_well_are_shown() -> None:
    status = judge(without(generate(100, 1000), 77), Limits())
    (table,) = status_words.tables(status)
    assert len(table.rows) == status_words.ROWS_SHOWN
    assert 77 in [row[0] for row in table.rows]
    assert len(status.brokers) == 100


@pytest.mark.parametrize(("dead", "code"), [((), 0), ((3,), 1)])
def test_the_exit_code_says_whether_it_is_well(
    dead: tuple[int, ...], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    snapshot_file.write(without(WHOLE, *dead), "s.json")
    assert cli.main(["thor", "status", "--snapshot", "s.json"]) == code


def test_a_cluster_that_does_not_answer_is_unreachable_and_not_unwell(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["thor", "status", "--bootstrap-server", "127.0.0.1:1"]) == 3
    assert "no broker answers at 127.0.0.1:1" in capsys.readouterr().err
