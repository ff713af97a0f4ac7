"""What Thor does for a cluster, and what it says about it. Four brokers in racks r1 to r4, eight partitions, three replicas each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from asgard.cluster import findings
from asgard.cluster.limits import BrokerLimit, Limits
from asgard.journal.rules import Priority
from asgard.kafka.model import Broker, ClusterSnapshot, LogDir, Node, Partition, Quorum, TopicFacts, Voter
from asgard.thor.heal.decide import decide
from asgard.thor.heal.memory import Absence, Memory, Stuck
from asgard.thor.heal.policy import Flapping, Policy, Restart
from asgard.thor.heal.situation import Decision, Holder, Situation

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC).timestamp()
"""A Tuesday morning."""
ALIVE = (1, 2, 3, 4)
NO_RESTARTS = Policy(restart=Restart(0))


def cluster(
    *,
    gone: Sequence[int] = (),
    emptied: Sequence[int] = (),
    behind: Sequence[int] = (),
    unled: Sequence[int] = (),
    offline_disk: Sequence[int] = (),
    silent: tuple[int, ...] = (),
    size: int | None = 100,
    brokers: int = 4,
    following: dict[int, int] | None = None,
) -> ClusterSnapshot:
    """Brokers `gone` are out of all ISRs, `behind` ones too although they are up; `unled` ones lead nothing.

    `emptied` ones hold no replica. `following`: broker to milliseconds since it was last heard of by the controllers.
    """
    ids = [b for b in range(1, brokers + 1) if b not in emptied]
    parts = []
    for i in range(8):
        replicas = tuple(ids[(i + k) % len(ids)] for k in range(min(3, len(ids))))
        isr = tuple(r for r in replicas if r not in (*gone, *behind))
        leader = next((r for r in isr if r not in unled), -1)
        parts.append(Partition("t", i, replicas, isr or (replicas[-1],), leader, size_bytes=size))
    nodes = tuple(
        Broker(
            b,
            f"r{b}",
            state="fenced" if b in gone else "up",
            log_dirs=(LogDir("/d", 100_000, 600, offline=b in offline_disk),),
        )
        for b in range(1, brokers + 1)
    )
    quorum = Quorum(1, (Voter(1, 0, None, 10_000_000, None),))
    if following:
        observers = tuple(Voter(b, 0, None, 10_000_000 - ago, None) for b, ago in following.items())
        quorum = replace(quorum, observers=observers)
    topics = {"t": TopicFacts(2)}
    return ClusterSnapshot("2026-11-24T09:00:00Z", "c", 1, nodes, tuple(parts), topics, quorum, silent)


def decided(
    snapshot: ClusterSnapshot,
    memory: Memory = Memory(),
    policy: Policy = NO_RESTARTS,
    *,
    limits: Limits = Limits(),
    nodes: dict[int, str] | None = None,
    holder: Holder | None = None,
    left_behind: int = 0,
    now: float = NOW,
) -> Decision:
    counted = findings.tally(snapshot)
    found = findings.findings(snapshot, limits, counted)
    machines = None if nodes is None else tuple(Node(n, s, None, ("broker",)) for n, s in nodes.items())  # type: ignore[arg-type]
    return decide(Situation(snapshot, found, counted, memory, policy, limits, now, machines, holder, left_behind))


def gone(broker: int = 3, ago: float = 60, **tried: float) -> Memory:
    """This broker is gone for so many seconds."""
    absence = replace(Absence(NOW - ago, "incident"), **tried)  # type: ignore[arg-type]
    return Memory(absent={broker: absence}, lost={broker: (NOW - ago,)})


def back(broker: int = 3, ago: float = 5, **more: object) -> Memory:
    return replace(Memory(returned={broker: NOW - ago}), **more)  # type: ignore[arg-type]


# A broker that is gone


def test_a_healthy_cluster_is_left_alone() -> None:
    assert str(decided(cluster())) == "healthy: 4 brokers up, all replicas of 8 partitions in sync"


def test_inside_its_grace_a_broker_is_waited_for_and_the_time_left_is_told() -> None:
    decision = decided(cluster(gone=[3]), gone(ago=60))
    assert (decision.kind, decision.remaining_s, decision.brokers) == ("wait", 240, (3,))
    assert str(decision).startswith(
        "waiting, 4 m left: broker 3 (r3) is fenced, gone for 1 m; its grace is 5 m"
    )  # fmt: skip


def test_grace_runs_from_now_where_nobody_has_seen_it_before() -> None:
    assert decided(cluster(gone=[3])).remaining_s == 300


def test_after_the_grace_its_replicas_go_to_others() -> None:
    decision = decided(cluster(gone=[3]), gone(ago=300))
    assert (decision.kind, decision.brokers, decision.priority) == ("reassign", (3,), Priority.HEAL)
    assert decision.what == "moving the replicas of broker 3 to other brokers"


def test_without_any_grace_they_go_at_once() -> None:
    assert decided(cluster(gone=[3]), policy=replace(NO_RESTARTS, grace_s=0)).kind == "reassign"


def test_a_broker_that_only_replica_lists_name_is_gone_too() -> None:
    snapshot = cluster()
    missing = replace(
        snapshot, brokers=tuple(replace(b, state="missing") if b.id == 3 else b for b in snapshot.brokers)
    )
    decision = decided(missing, gone(ago=400))
    assert decision.kind == "reassign"
    assert "broker 3 (r3) is missing" in decision.why


def test_a_broker_that_is_gone_and_holds_nothing_is_no_harm() -> None:
    decision = decided(cluster(gone=[3], emptied=[3]), gone(ago=4000))
    assert decision.kind == "healthy"
    assert "broker 3 is gone and holds no replica: bring it back, or unregister it" in decision.why


# Its node


@pytest.mark.parametrize(("state", "word"), [("stopped", "its process is gone"), ("paused", "its process hangs")])
def test_a_node_that_stopped_or_hangs_is_started_again_before_any_data_moves(state: str, word: str) -> None:
    for grace_s in (0, 300):
        decision = decided(cluster(gone=[3]), gone(ago=1), Policy(grace_s=grace_s), nodes={3: state})
        assert (decision.kind, decision.brokers) == ("restart", (3,))
        assert decision.what == "restarting the node of broker 3"
        assert word in decision.why


@pytest.mark.parametrize(
    ("tried", "ago", "kind"),
    [
        ({"restarts": 1, "restarted_at": NOW - 2}, 60, "wait"),
        ({"restarts": 1, "restarted_at": NOW - 30}, 60, "restart"),
        ({"restarts": 2, "restarted_at": NOW - 30}, 60, "wait"),
        ({"restarts": 2, "restarted_at": NOW - 30}, 400, "reassign"),
    ],
)
def test_a_node_that_does_not_come_back_is_started_so_often_then_its_replicas_go(
    tried: dict[str, float], ago: float, kind: str
) -> None:
    decision = decided(cluster(gone=[3]), gone(ago=ago, **tried), Policy(), nodes={3: "stopped"})
    assert decision.kind == kind
    if kind == "reassign":
        assert decision.why.startswith("broker 3 (r3) is fenced, gone for 6 m 40 s, 2 starts of its node did not help")


@pytest.mark.parametrize(
    ("following", "ago", "kind"),
    [
        ({3: 300}, 60, "wait"),  # it follows the controllers: it recovers its log
        ({3: 300}, 299, "wait"),
        ({3: 300}, 301, "reassign"),
        ({3: 29_000}, 29, "wait"),  # it may just be starting
        ({3: 40_000}, 40, "restart"),
        ({}, 40, "restart"),
    ],
)
def test_a_process_that_runs_is_only_killed_where_it_hangs(following: dict[int, int], ago: float, kind: str) -> None:
    snapshot = cluster(gone=[3], following=following)
    assert decided(snapshot, gone(ago=ago, restarts=0), Policy(), nodes={3: "running"}).kind == kind


@pytest.mark.parametrize(("ago", "kind"), [(1, "wait"), (59, "wait"), (61, "reassign")])
def test_a_broker_that_follows_the_controllers_has_a_minute_whatever_the_grace(ago: float, kind: str) -> None:
    snapshot = cluster(gone=[3], following={3: 300})
    for nodes in (None, {3: "running"}, {3: "stopped"}):
        assert decided(snapshot, gone(ago=ago), Policy(grace_s=0), nodes=nodes).kind == kind


def test_brokers_that_are_alive_do_not_make_an_outage() -> None:
    snapshot = cluster(gone=[3, 4], following={3: 9_000, 4: 300}, brokers=6)
    decision = decided(snapshot, policy=replace(NO_RESTARTS, grace_s=0))
    assert (decision.kind, decision.brokers) == ("reassign", (3,))
    assert decided(cluster(gone=[3, 4], following={3: 9_000, 4: 9_000}, brokers=6)).key == "outage"


def test_a_node_without_replicas_is_started_too_but_nothing_more() -> None:
    snapshot = cluster(gone=[3], emptied=[3])
    assert decided(snapshot, gone(), Policy(), nodes={3: "stopped"}).kind == "restart"
    assert decided(snapshot, gone(restarts=2, ago=900), Policy(), nodes={3: "stopped"}).kind == "healthy"


def test_a_node_is_replaced_where_the_policy_says_so_after_its_grace_and_once() -> None:
    policy = Policy(replace=True)
    tried = gone(ago=400, restarts=2)
    assert decided(cluster(gone=[3]), gone(ago=200, restarts=2), policy, nodes={3: "stopped"}).kind == "wait"
    decision = decided(cluster(gone=[3]), tried, policy, nodes={3: "stopped"})
    assert (decision.kind, decision.what) == ("replace", "replacing the node of broker 3")
    tried = gone(ago=400, restarts=3, replaced=True)
    assert decided(cluster(gone=[3]), tried, policy, nodes={3: "stopped"}).kind == "reassign"


def test_a_node_with_the_last_replica_in_sync_is_never_replaced_by_an_empty_one() -> None:
    snapshot = cluster(gone=[3])
    last = tuple(replace(p, isr=(3,), leader=-1) if p.partition == 0 else p for p in snapshot.partitions)
    decision = decided(replace(snapshot, partitions=last), gone(ago=400), replace(NO_RESTARTS, replace=True), nodes={3: "stopped"})  # fmt: skip
    assert decision.kind == "reassign"
    assert "its node can't be replaced by an empty one: 1 partition would lose the last in-sync replica" in decision.why
    assert "Bring back broker 3 first: it was in sync last" in decision.why


def test_whoever_changes_the_cluster_may_have_stopped_the_broker_so_its_node_is_left_alone_in_its_grace() -> None:
    up = Holder("odin up orders (ada, pid 7 on host)", Priority.CHANGE)
    decision = decided(cluster(gone=[3]), gone(), Policy(), nodes={3: "stopped"}, holder=up)
    assert decision.kind == "wait"
    assert "while odin up orders (ada, pid 7 on host) changes the cluster" in decision.why
    assert decided(cluster(gone=[3]), gone(ago=301), Policy(), nodes={3: "stopped"}, holder=up).kind == "restart"
    balance = replace(up, priority=Priority.BALANCE)
    assert decided(cluster(gone=[3]), gone(), Policy(), nodes={3: "stopped"}, holder=balance).kind == "restart"


# Many, and again and again


def test_many_brokers_gone_at_once_are_an_outage_of_something_else() -> None:
    memory = Memory(absent={b: Absence(NOW - 900, "i") for b in (2, 3)})
    for policy in (Policy(), replace(NO_RESTARTS, grace_s=0)):
        decision = decided(cluster(gone=[2, 3]), memory, policy, nodes={2: "stopped", 3: "stopped"})
        assert (decision.kind, decision.key) == ("hold", "outage")
        assert decision.why.startswith(
            "2 of 4 brokers are gone at once (2, 3), and the policy heals at most 1:"
            " this is an outage of something else (power, network, a zone). "
        )


def test_a_rack_that_is_gone_as_a_whole_is_named() -> None:
    def racked(*gone: int) -> ClusterSnapshot:
        snapshot = cluster(gone=gone, brokers=6)
        return replace(snapshot, brokers=tuple(replace(b, rack=f"az{(b.id - 1) % 3 + 1}") for b in snapshot.brokers))

    decision = decided(racked(2, 5))
    assert (decision.kind, decision.key) == ("hold", "outage")
    assert "this is an outage of rack az2: all of its brokers are gone, and no others" in decision.why
    for others in ((2, 3), (2, 3, 5)):
        assert "this is an outage of something else" in decided(racked(*others)).why


def test_of_many_it_names_the_broker_to_bring_back_first() -> None:
    decision = decided(cluster(gone=[2, 3, 4]))
    assert decision.kind == "hold"
    assert "Bring back broker 4 first: it was in sync last, so it has every acknowledged record." in decision.why
    decision = decided(cluster(gone=[5, 6], brokers=12))
    assert "Bring back broker 5 (r5) first: most partitions need it." in decision.why


def test_with_a_higher_cap_several_are_healed_together_those_whose_grace_is_over() -> None:
    memory = Memory(absent={2: Absence(NOW - 900, "i"), 3: Absence(NOW - 900, "i"), 4: Absence(NOW - 10, "i")})
    decision = decided(cluster(gone=[2, 3, 4], brokers=8), memory, replace(NO_RESTARTS, max_dead=3))
    assert (decision.kind, decision.brokers) == ("reassign", (2, 3))
    decision = decided(
        cluster(gone=[2, 3, 4], brokers=8), memory, Policy(max_dead=3), nodes={2: "stopped", 4: "paused"}
    )
    assert (decision.kind, decision.brokers) == ("restart", (2, 4)), "the mildest remedy first"


def test_a_broker_that_flaps_is_not_restarted_again_and_has_no_new_grace() -> None:
    memory = replace(gone(ago=20), lost={3: (NOW - 400, NOW - 200, NOW - 20)})
    policy = Policy(flapping=Flapping(3, 1800))
    decision = decided(cluster(gone=[3]), memory, policy, nodes={3: "stopped"})
    assert decision.kind == "reassign"
    assert "lost 3 times in 30 m" in decision.why
    young = replace(gone(ago=20), lost={3: (NOW - 60, NOW - 40, NOW - 20)})
    decision = decided(cluster(gone=[3]), young, policy, nodes={3: "stopped"})
    assert (decision.kind, decision.remaining_s) == ("wait", 240)
    rarely = replace(memory, lost={3: (NOW - 4000, NOW - 2000, NOW - 20)})
    assert decided(cluster(gone=[3]), rarely, policy, nodes={3: "stopped"}).kind == "restart"


def test_a_broker_that_flaps_gets_nothing_to_do_while_it_is_up() -> None:
    memory = back(lost={3: (NOW - 400, NOW - 200, NOW - 20)}, emptied=frozenset({3}))
    decision = decided(cluster(unled=[3]), memory)
    assert (decision.kind, decision.key) == ("hold", "flapping 3")
    assert decided(cluster(unled=[3]), memory, now=NOW + 1800).kind == "resume"


def test_a_healing_that_failed_is_tried_again_later_each_time() -> None:
    waits = [decided(cluster(gone=[3]), gone(ago=900, failures=n, failed_at=NOW - 1)).remaining_s for n in (1, 2, 3, 9)]
    assert waits == [9, 19, 39, 299]
    assert decided(cluster(gone=[3]), gone(ago=900, failures=1, failed_at=NOW - 10)).kind == "reassign"


def test_where_replicas_had_nowhere_to_go_it_holds_still_until_a_broker_comes() -> None:
    stuck = Stuck("reassign", (3,), (1, 2, 4), "No broker has room.", NOW - 60)
    decision = decided(cluster(gone=[3]), replace(gone(ago=900), stuck=stuck))
    assert (decision.kind, decision.key) == ("hold", "nowhere 3")
    assert decision.why.endswith("No broker has room.")
    more = cluster(gone=[3], brokers=5)
    assert decided(more, replace(gone(ago=900), stuck=stuck)).kind == "reassign"
    assert decided(cluster(gone=[3]), replace(gone(ago=900), stuck=stuck), now=NOW + 600).kind == "reassign"


# Back again


def test_a_broker_that_is_back_catches_up_then_leads_again() -> None:
    decision = decided(cluster(behind=[3]), back())
    assert (decision.kind, decision.why) == ("wait", "broker 3 is back and is catching up on 6 partitions")
    decision = decided(cluster(unled=[3]), back())
    assert (decision.kind, decision.what) == ("resume", "letting broker 3 lead again")
    assert decision.partitions == (("t", 2), ("t", 6))
    assert decided(cluster(), back()).kind == "healthy", "a broker that comes back costs nothing"


def test_a_broker_whose_replicas_were_moved_is_filled_when_it_is_back() -> None:
    memory = back(emptied=frozenset({3}))
    decision = decided(cluster(emptied=[3]), memory)
    assert (decision.kind, decision.what, decision.partitions) == ("resume", "filling broker 3", ())
    assert decision.priority == Priority.FILL
    quiet = replace(NO_RESTARTS, quiet_hours=("tue 08:00-18:00",))
    decision = decided(cluster(emptied=[3]), memory, quiet)
    assert decision.kind == "healthy"
    assert "broker 3 is filled later: these are quiet hours (tue 08:00-18:00 UTC)" in decision.why


def test_a_broker_that_may_get_nothing_is_filled_once_that_ends() -> None:
    memory = back(emptied=frozenset({3}))
    snapshot = cluster(emptied=[3])
    cordoned = tuple(
        replace(b, log_dirs=(replace(b.log_dirs[0], cordoned=True),)) if b.id == 3 else b for b in snapshot.brokers
    )
    excluded = Limits(exclude_brokers=frozenset({3}))
    for decision, why in (
        (decided(replace(snapshot, brokers=cordoned), memory), "cordoned"),
        (decided(snapshot, memory, limits=excluded), "excluded"),
    ):
        assert decision.kind == "healthy"
        assert decision.why.endswith(f"; broker 3 is filled later: {why}")
    assert decided(snapshot, memory).kind == "resume"


def test_a_broker_that_is_back_but_does_not_answer_yet_is_not_filled() -> None:
    memory = back(emptied=frozenset({3}))
    assert decided(cluster(emptied=[3], silent=(3,)), memory).kind == "wait"
    failed = replace(memory, failed={"resume": NOW - 30})
    assert decided(cluster(emptied=[3]), failed).kind == "healthy"
    assert decided(cluster(emptied=[3]), failed, now=NOW + 30).kind == "resume"


def test_what_dead_runs_left_is_put_back_once_all_is_quiet() -> None:
    decision = decided(cluster(), left_behind=1)
    assert (decision.kind, decision.why) == ("settle", "1 operation left by interrupted runs")
    assert decided(cluster(gone=[3]), left_behind=1).kind == "wait"
    assert decided(cluster(), Memory(failed={"settle": NOW - 60}), left_behind=1).kind == "healthy"


# No broker is gone


def test_a_slow_broker_is_waited_for_then_somebody_is_told() -> None:
    noted = Memory(noted={("under-replicated", "broker 3"): NOW - 60})
    decision = decided(cluster(behind=[3]), noted)
    assert (decision.kind, decision.remaining_s) == ("wait", 240)
    decision = decided(cluster(behind=[3]), noted, now=NOW + 240)
    assert (decision.kind, decision.key) == ("hold", "under-replicated")
    assert "broker 3 is up, yet 6 partitions (t-0, t-1, t-2, …) are out of sync there" in decision.why


def test_a_broker_that_does_not_answer_is_waited_for_the_controllers_will_say() -> None:
    assert decided(cluster(silent=(3,))).kind == "wait"


def test_replicas_on_an_offline_disk_go_to_others_after_the_grace() -> None:
    snapshot = cluster(offline_disk=[3], behind=[3])
    noted = Memory(noted={("log-dir-offline", "broker 3"): NOW - 60})
    assert decided(snapshot, noted).remaining_s == 240
    decision = decided(snapshot, noted, now=NOW + 240)
    assert (decision.kind, decision.brokers) == ("reassign", (3,))
    assert decision.what == "moving the replicas on offline disks of broker 3 to other brokers"
    failed = replace(noted, failed={"reassign": NOW})
    assert decided(snapshot, failed, now=NOW + 240).kind == "hold"


def test_partitions_that_are_offline_without_a_broker_gone_are_for_people() -> None:
    snapshot = cluster()
    offline = replace(snapshot, partitions=(replace(snapshot.partitions[0], leader=-1), *snapshot.partitions[1:]))
    decision = decided(offline)
    assert (decision.kind, decision.key) == ("hold", "partitions-offline")


@pytest.mark.parametrize(("gone_ms", "patience_s"), [((90_000,), 300), ((90_000, 90_000), 20)])
def test_controllers_that_are_gone_are_for_people_soon_where_there_is_no_majority(
    gone_ms: tuple[int, ...], patience_s: float
) -> None:
    clock = 100_000
    there = [Voter(b, 0, None, clock) for b in range(1, 4 - len(gone_ms))]
    gone_ones = [Voter(9 + i, 0, None, clock - ms) for i, ms in enumerate(gone_ms)]
    snapshot = replace(cluster(), quorum=Quorum(1, (*there, *gone_ones)))
    assert (decided(snapshot).kind, decided(snapshot).remaining_s) == ("wait", patience_s)
    noted = Memory(noted={("quorum-at-risk", "metadata quorum"): NOW - 300})
    decision = decided(snapshot, noted)
    assert (decision.kind, decision.key) == ("hold", "quorum-at-risk")


# Planned work


def test_leaders_are_elected_where_too_many_lead_elsewhere() -> None:
    decision = decided(cluster(unled=[3]))
    assert (decision.kind, decision.partitions, decision.priority) == ("elect", (("t", 2), ("t", 6)), Priority.BALANCE)


@pytest.mark.parametrize(
    "policy",
    [replace(NO_RESTARTS, leaders=False), replace(NO_RESTARTS, quiet_hours=("08:00-18:00",))],
)
def test_leaders_are_left_alone_where_the_policy_says_so(policy: Policy) -> None:
    assert decided(cluster(unled=[3]), policy=policy).kind == "healthy"


def test_a_broker_over_a_limit_is_relieved_outside_quiet_hours_and_inside_windows() -> None:
    limits = Limits(brokers={3: BrokerLimit(replicas=4)})
    decision = decided(cluster(), limits=limits)
    assert (decision.kind, decision.brokers) == ("balance", (3,))
    assert not decision.heals
    for policy, reason in (
        (replace(NO_RESTARTS, limits=False), "the policy does not heal limits"),
        (replace(NO_RESTARTS, quiet_hours=("08:00-18:00",)), "these are quiet hours (08:00-18:00 UTC)"),
    ):
        decision = decided(cluster(), policy=policy, limits=limits)
        assert (decision.kind, decision.key) == ("hold", "limits 3")
        assert decision.why.endswith(f"Nothing is moved: {reason}.")
    closed = replace(limits, windows=("sat-sun 00:00-24:00",))
    assert "moves may start only in sat-sun 00:00-24:00 UTC" in decided(cluster(), limits=closed).why
    failed = Memory(failed={"balance": NOW - 60})
    assert "the last balance could not fix it" in decided(cluster(), failed, limits=limits).why


def test_an_uneven_cluster_is_balanced_where_the_policy_says_so() -> None:
    uneven = cluster(emptied=[4])
    assert decided(uneven).kind == "healthy"
    on = replace(NO_RESTARTS, balance=True)
    decision = decided(uneven, policy=on)
    assert (decision.kind, decision.why) == ("balance", "the fullest broker holds 1.33 of the mean of all")
    assert decided(cluster(), policy=on).kind == "healthy"
    assert decided(cluster(emptied=[4], size=None), policy=on).kind == "healthy", "what is not measured is not uneven"
    assert decided(uneven, Memory(failed={"balance": NOW - 60}), on).kind == "healthy"


def test_quiet_hours_do_not_keep_a_lost_broker_from_being_healed() -> None:
    quiet = replace(NO_RESTARTS, quiet_hours=("00:00-24:00",))
    assert decided(cluster(gone=[3]), gone(ago=400), quiet).kind == "reassign"


def test_while_something_is_wrong_nothing_planned_is_done() -> None:
    limits = Limits(brokers={2: BrokerLimit(replicas=4)})
    assert decided(cluster(behind=[3], unled=[1]), limits=limits).kind == "wait"
