"""What is found to be wrong with a cluster, and the words for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from asgard.cluster import findings as detect
from asgard.cluster.findings import KINDS, Finding, findings
from asgard.cluster.limits import BrokerLimit, Limits
from asgard.cluster.moves import foreign
from asgard.core.errors import Refused
from asgard.kafka.model import Broker, ClusterSnapshot, LogDir, Partition, Quorum, TopicFacts, Voter
from asgard.thor.plan import planner
from tests.benchmarks.thor_clusters import generate, without
from tests.harness.examples import examples
from tests.unit.thor.random_clusters import clusters


def broker(number: int, state: str = "up", *dirs: LogDir) -> Broker:
    return Broker(number, f"r{number % 3}", "h", 9092, state, dirs or (LogDir("/d", 1000, 100),))  # type: ignore[arg-type]


def part(
    n: int, replicas: tuple[int, ...], isr: tuple[int, ...] | None = None, leader: int | None = None, **more: object
) -> Partition:
    """A partition of topic t: in sync everywhere and led by the first, unless told otherwise."""
    isr = replicas if isr is None else isr
    led = (isr[0] if isr else -1) if leader is None else leader
    return Partition("t", n, replicas, isr, led, size_bytes=10, **more)  # type: ignore[arg-type]


def cluster(brokers: tuple[Broker, ...], *partitions: Partition, **more: object) -> ClusterSnapshot:
    return ClusterSnapshot(
        "2026-11-24T09:00:00Z",
        "c",
        1,
        brokers,
        partitions,
        {"t": TopicFacts(min_isr=2)},
        **more,  # type: ignore[arg-type]
    )


FOUR = tuple(broker(b) for b in (1, 2, 3, 4))


def without_four(state: str = "fenced") -> tuple[Broker, ...]:
    return (*FOUR[:3], broker(4, state))


def found(snapshot: ClusterSnapshot, limits: Limits | None = None) -> list[Finding]:
    return list(findings(snapshot, limits or Limits()))


def test_nothing_is_found_in_a_cluster_that_is_well() -> None:
    assert found(cluster(FOUR, part(0, (1, 2, 3)), part(1, (4, 1)))) == []
    assert findings(generate(10, 100), Limits()) == ()


def test_a_fenced_broker_is_one_finding_with_its_partitions() -> None:
    dead = cluster(without_four(), part(0, (4, 1, 2), (1, 2)), part(1, (4, 3), (3,)), part(2, (1, 2, 3)))
    kinds = [f.kind for f in found(dead)]
    assert kinds == ["under-min-isr", "broker-fenced"]
    low, fenced = found(dead)
    assert (fenced.brokers, fenced.partitions, fenced.count) == ((4,), ("t-0", "t-1"), 2)
    assert fenced.text == (
        "broker 4 (r1) is fenced: the controller gets no heartbeats from it. 2 replicas are there;"
        " 1 partition has a single replica in sync left."
    )
    assert low.partitions == ("t-1",)
    assert "writes with acks=all are refused. Out of sync: broker 4." in low.text


def test_a_broker_that_only_replica_lists_name_is_missing() -> None:
    (finding,) = found(cluster(without_four("missing"), part(0, (4, 1, 2), (1, 2))))
    assert (finding.kind, finding.brokers) == ("broker-missing", (4,))
    assert "is not registered, but is in replica lists. 1 replica is there." in finding.text


def test_a_dead_broker_that_holds_nothing_is_found_all_the_same() -> None:
    (finding,) = found(cluster(without_four(), part(0, (1, 2, 3))))
    assert (finding.kind, finding.count) == ("broker-fenced", 0)
    assert "no replica is there" in finding.text


@pytest.mark.parametrize(
    ("partitions", "first", "says"),
    [
        ([part(0, (4, 3), (4,), -1)], 4, "Bring back broker 4 first: it was in sync last"),
        ([part(0, (3, 4), (), -1, elr=(4,))], 4, "Bring back broker 4 first: it was in sync last"),
        ([part(0, (3, 4), (), -1, elr=(3, 4)), part(1, (4,), (4,), -1)], 4, "Bring back broker 4 first"),
    ],
)
def test_of_offline_partitions_the_broker_to_bring_back_first_was_in_sync_last(
    partitions: list[Partition], first: int, says: str
) -> None:
    gone = (*FOUR[:2], broker(3, "fenced"), broker(4, "fenced"))
    offline = [f for f in found(cluster(gone, *partitions)) if f.kind == "partitions-offline"]
    assert [(f.brokers[0], f.count) for f in offline] == [(first, len(partitions))]
    assert says in offline[0].text


def test_without_a_safe_replica_nobody_is_told_to_elect_an_unclean_leader() -> None:
    gone = (*FOUR[:2], broker(3, "fenced"), broker(4, "fenced"))
    offline = found(cluster(gone, part(0, (3, 4), (), -1)))[0]
    assert (offline.kind, offline.brokers) == ("partitions-offline", (3, 4))
    assert "bring back brokers 3, 4, all of them if you can, before you consider an unclean leader" in offline.text


def test_offline_partitions_whose_broker_is_up_lack_a_log_directory() -> None:
    hurt = (*FOUR[:3], broker(4, "up", LogDir("/a", 1000, 1), LogDir("/b", offline=True)))
    offline, lost = found(cluster(hurt, part(0, (4,), (4,), -1), part(1, (4, 1, 2), (1, 2))))
    assert offline.text.endswith("Repair the log directory /b of broker 4 first: it was in sync last.")
    assert (lost.kind, lost.partitions) == ("log-dir-offline", ("t-1",))


def test_a_replica_that_lags_although_its_broker_is_up_is_a_slow_broker() -> None:
    (finding,) = found(cluster(FOUR, part(0, (1, 2, 3), (1, 2)), part(1, (3, 1, 2))))
    assert (finding.kind, finding.brokers, finding.partitions) == ("under-replicated", (3,), ("t-0",))


def test_replicas_that_a_move_just_brings_are_not_out_of_sync() -> None:
    moving = part(0, (1, 2, 3, 4), (1, 2, 3), adding=(4,), removing=(3,))
    assert found(cluster(FOUR, moving)) == []


def test_a_topic_with_fewer_replicas_than_min_isr_is_not_under_it() -> None:
    assert found(cluster(FOUR, part(0, (1,)))) == []


def test_a_broker_that_did_not_answer_is_named() -> None:
    (finding,) = found(cluster(FOUR, part(0, (1, 2)), silent=(3,)))
    assert (finding.kind, finding.brokers) == ("broker-silent", (3,))


def test_preferred_leaders_that_could_lead_and_do_not_are_an_imbalance_beyond_the_tolerance() -> None:
    led = [part(n, (1, 2, 3), leader=2 if n < 3 else 1) for n in range(10)]
    (finding,) = found(cluster(FOUR, *led))
    assert (finding.kind, finding.brokers, finding.count) == ("leader-imbalance", (1,), 3)
    assert found(cluster(FOUR, *led), Limits(tolerance=0.3)) == []


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(disk=0.05), "broker 1 is over its limit of disk: 10.0%, allowed 5% of 1000 B."),
        (Limits(brokers={1: BrokerLimit(replicas=0)}), "broker 1 is over its limit of replicas: 1, allowed 0."),
        (Limits(brokers={1: BrokerLimit(leaders=0)}), "broker 1 is over its limit of leaders: 1, allowed 0."),
        (Limits(bytes_in_per_s=50), "broker 1 is over its limit of bytes in: 100 B/s, allowed 50 B/s."),
        (Limits(bytes_out_per_s=50), "broker 1 is over its limit of bytes out: 300 B/s, allowed 50 B/s."),
    ],
)
def test_a_broker_over_a_limit_is_named_with_both_figures(limits: Limits, says: str) -> None:
    p = replace(part(0, (1, 2)), bytes_in_per_s=100.0, bytes_out_per_s=200.0)
    over = [f for f in found(cluster(FOUR, p), limits) if 1 in f.brokers]
    assert [(f.kind, f.text.startswith(says)) for f in over] == [("limit-exceeded", True)], over


def test_a_volume_that_others_fill_is_not_for_a_balance_to_mend() -> None:
    full = (broker(1, "up", LogDir("/d", 1000, 900)), *FOUR[1:])
    (finding,) = found(cluster(full, part(0, (1, 2))))
    assert "890 B of that is not Kafka's: make room on the volume." in finding.text


def quorum(leader: int, *seen: int | None) -> Quorum:
    """Voters 1, 2, …, last seen so many milliseconds before now."""
    return Quorum(
        leader, tuple(Voter(i, 0, last_fetch_ms=None if ms is None else 1_000_000 - ms) for i, ms in enumerate(seen, 1))
    )


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (quorum(1, 0, 300, 400), None),
        (quorum(1, 0), None),
        (Quorum(1, (Voter(1, 0), Voter(2, 0))), None),
        (
            quorum(1, 0, 300, 9000),
            "controller 3 of 3 no longer follows the metadata quorum: the loss of one more stops the quorum.",
        ),
        (
            quorum(2, None, 0, 300),
            "controller 1 of 3 no longer follows the metadata quorum: the loss of one more stops the quorum.",
        ),
        (quorum(1, 0, 9, 9, 9, 9000), "controller 5 of 5 no longer follows the metadata quorum: 1 more may be lost."),
        (Quorum(-1), "the metadata quorum has no leader"),
    ],
)
def test_the_metadata_quorum_is_judged_by_who_follows_it(state: Quorum, says: str | None) -> None:
    texts = [f.text for f in found(cluster(FOUR, part(0, (1, 2)), quorum=state))]
    assert texts == [] if says is None else texts[0].startswith(says), texts


def test_findings_come_heaviest_first_and_name_a_few_of_many_partitions() -> None:
    snapshot = without(generate(10, 400, rf=2), 3, 7)
    listed = found(snapshot)
    assert [KINDS.index(f.kind) for f in listed] == sorted(KINDS.index(f.kind) for f in listed)
    assert {f.kind for f in listed} == {"partitions-offline", "under-min-isr", "broker-fenced"}
    assert all(len(f.partitions) <= detect.EXAMPLES and f.count >= len(f.partitions) for f in listed)


@settings(max_examples=examples(60), deadline=None)
@given(clusters(dead=4))
def test_every_partition_that_is_not_as_it_should_be_is_in_some_finding(given_: tuple[ClusterSnapshot, Limits]) -> None:
    """By a count that shares nothing with the one in `detect`."""
    snapshot, limits = given_
    listed = findings(snapshot, limits)
    assert listed == findings(snapshot, limits)
    up = {b.id for b in snapshot.brokers if b.state == "up" and not any(d.offline for d in b.log_dirs)}
    lost = {b.id for b in snapshot.brokers if b.state != "up"}
    counts = {kind: sum(f.count for f in listed if f.kind == kind) for kind in KINDS}
    assert counts["partitions-offline"] == sum(p.leader < 0 for p in snapshot.partitions)
    assert {b for f in listed if f.kind in ("broker-fenced", "broker-missing") for b in f.brokers} == lost
    lacking = {
        (b, p.topic, p.partition)
        for p in snapshot.partitions
        if p.leader >= 0
        for b in set(p.replicas) - set(p.isr) - set(p.adding)
    }
    assert counts["under-replicated"] == sum(b in up for b, _, _ in lacking)
    assert counts["broker-fenced"] + counts["broker-missing"] == sum(b in lost for b, _, _ in lacking)
    assert all(f.text and f.brokers for f in listed)


def test_a_move_to_a_broker_that_is_gone_is_a_finding_and_a_healing_plans_as_if_it_were_ended() -> None:
    brokers = tuple(Broker(b, state="fenced" if b == 4 else "up") for b in (1, 2, 3, 4))
    stuck = Partition("t", 0, (4, 1, 2), (1, 2), 1, adding=(4,), removing=(2,), size_bytes=10)
    fine = Partition("t", 1, (3, 1, 2), (1, 2), 1, adding=(3,), removing=(2,), size_bytes=10)
    held = Partition("u", 0, (4, 1), (1,), 1, size_bytes=10)
    snapshot = ClusterSnapshot("2026-11-24T09:00:00Z", "c", 1, brokers, (stuck, fine, held))
    (found,) = (f for f in findings(snapshot, Limits()) if f.kind == "move-stuck")
    assert (found.subject, found.partitions) == ("broker 4", ("t-0",))
    assert "which is gone: the move can't finish" in found.text
    plan = planner.heal(snapshot, Limits())
    assert [(c.name, c.before) for c in plan.changes] == [("u-0", (4, 1))]
    with pytest.raises(Refused, match="t-0 to broker 4, which is gone: the move can't finish"):
        foreign.refuse_moves([stuck, fine], {1, 2, 3})
    with pytest.raises(Refused, match="another tool is moving partitions in this cluster: t-1"):
        foreign.refuse_moves([fine], {1, 2, 3})
