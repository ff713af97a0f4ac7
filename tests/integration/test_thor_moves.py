"""Plans carried out on a real cluster: what a user sees of drains, kills, handovers, cancels and lost brokers."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from asgard.cli.main import main
from asgard.cluster import look as measure
from asgard.cluster import moves
from asgard.cluster.limits import Limits
from asgard.cluster.plan import Plan
from asgard.compose import holding
from asgard.core import events
from asgard.journal import operations
from asgard.journal.rules import Priority
from asgard.journal.store.database import open_journal
from asgard.kafka.admin import AdminClient, connect
from asgard.kafka.model import ConfigChange, Move
from asgard.kafka.target import pick
from asgard.thor.plan import file as plan_file
from asgard.thor.plan import planner, replan
from tests.harness import AckedProducer, RealCluster
from tests.harness.placing import cleared, eventually, filled, led_by_preferred, placed, replicas_of, throttles

pytestmark = pytest.mark.kafka

BROKERS = (1, 2, 3, 4)
ASGARD = Path(sys.executable).with_name("asgard")


class Bench:
    """The cluster with one user's home, plans and commands."""

    def __init__(self, cluster: RealCluster, control: AdminClient, home: Path) -> None:
        self.cluster = cluster
        self.control = control
        self.home = home
        self.options = [
            "--bootstrap-server",
            cluster.bootstrap_servers,
            "--command-config",
            str(cluster.client_properties),
        ]

    def planned(self, make: Any, *args: Any, limits: Limits | None = None) -> tuple[Plan, Path]:
        """A plan for the cluster as it is, and its file."""
        plan = make(measure.take(self.control), *args, limits or Limits())
        file = self.home / f"{plan.kind}-{time.monotonic_ns()}.json"
        plan_file.write(plan, file)
        return plan, file

    def asgard(self, *args: str | Path) -> int:
        """A command in this process; its exit code."""
        return main([*map(str, args), *self.options, "--yes"])

    def start(self, *args: str | Path, home: Path | None = None) -> subprocess.Popen[str]:
        """A command in a process of its own."""
        command = [str(ASGARD), *map(str, args), *self.options, "--yes", "--json"]
        environment = {**os.environ, "ASGARD_HOME": str(home or self.home)}
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    def started(self, *args: str | Path) -> subprocess.Popen[str]:
        """A command in a process of its own, once moves are in flight."""
        process = self.start(*args)
        eventually(lambda: self.moving() != set() or process.poll() is not None, what="a move")
        assert process.poll() is None, process.communicate()
        return process

    def throttles(self) -> dict[str, dict[str, str]]:
        return throttles(self.control, BROKERS)

    def moving(self) -> set[str]:
        return {f"{p.topic}-{p.partition}" for p in self.control.reassignments()}

    def unfinished(self) -> list[str]:
        with open_journal() as journal:
            return [u.operation.subject for u in operations.unfinished(journal)]


def untouched(control: AdminClient) -> None:
    """Free the cluster of what another test may have left: topics, moves, throttles, cordons."""
    control.reassign([Move(p.topic, p.partition, ()) for p in control.reassignments()])
    cleared(control)
    eventually(lambda: control.reassignments() == [])
    for name, configs in throttles(control, BROKERS).items():
        topic = not name.isdecimal() and name != "cluster"
        broker = "" if name == "cluster" else name
        control.alter_configs(
            [ConfigChange("topic" if topic else "broker", name if topic else broker, unset=tuple(configs))]
        )
    eventually(lambda: throttles(control, BROKERS) == {})
    eventually(lambda: not any(d.cordoned for dirs in control.log_dirs(BROKERS).values() for d in dirs))


@pytest.fixture
def bench(four_brokers: RealCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Nothing but internal topics, no cordon at the start; at the end no move, no throttle and no cordon."""
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    with connect(four_brokers.connection) as control:
        untouched(control)
        made = Bench(four_brokers, control, tmp_path)
        yield made
        assert made.moving() == set()
        assert made.throttles() == {}
        assert made.unfinished() == []


def at_its_place(bench: Bench, plan: Plan) -> None:
    """Every partition of the plan is where the plan wants it, in sync and led by its first replica."""
    wanted = {(c.topic, c.partition): c.after for c in plan.changes}
    topics = {topic for topic, _ in wanted}
    eventually(lambda: led_by_preferred(bench.control, topics))
    found = {(p.topic, p.partition): p.replicas for t in bench.control.topics(topics).values() for p in t.partitions}
    assert {key: found[key] for key in wanted} == wanted


@contextlib.contextmanager
def traffic(cluster: RealCluster, topic: str) -> Iterator[AckedProducer]:
    """Records written all the while, a hundred a second."""
    with AckedProducer(cluster.connection, timeout_s=120) as producer, producer.sending(topic):
        yield producer


def test_a_broker_is_drained_under_traffic_and_what_an_operator_had_set_is_put_back(
    bench: Bench, topic_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    placed(bench.control, topic_name, [(4, 1, 2), (1, 4, 3), (2, 3, 1), (4, 2, 3)], min_insync_replicas="2")
    filled(bench.cluster.connection, topic_name, 4, 8)
    operators = {"leader.replication.throttled.rate": "777777777"}
    bench.control.alter_configs([ConfigChange("broker", "", operators)])
    mark = {"follower.replication.throttled.replicas": "*"}
    bench.control.alter_configs([ConfigChange("topic", topic_name, mark)])
    before = replicas_of(bench.control, topic_name)
    try:
        eventually(lambda: bench.throttles() == {"cluster": operators, topic_name: mark})
        plan, file = bench.planned(planner.drain, [4])
        with traffic(bench.cluster, topic_name) as producer:
            process = bench.started("thor", "apply", file, "--throttle", "2MB/s")
            during = bench.throttles()
            out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert during["cluster"] == {
            "leader.replication.throttled.rate": "2000000",
            "follower.replication.throttled.rate": "2000000",
        }
        assert during["4"] == {"cordoned.log.dirs": "*"}
        moved = sorted({f"{c.partition}:{b}" for c in plan.changes if c.topic == topic_name for b in c.before})
        assert sorted(during[topic_name]["leader.replication.throttled.replicas"].split(",")) == moved
        assert during[topic_name]["follower.replication.throttled.replicas"] == "*", "it marks all of them already"
        assert json.loads(out)["moved"] == len(plan.changes)
        at_its_place(bench, plan)
        assert bench.throttles() == {
            "cluster": operators,
            topic_name: mark,
            "4": {"cordoned.log.dirs": "*"},
        }, "a drained broker gets no new replicas"
        assert bench.asgard("thor", "apply", file) == 0
        assert f"{len(plan.changes)} were already in place" in capsys.readouterr().out
        back = bench.planned(planner.undo, plan)[1]
        assert bench.asgard("thor", "apply", back) == 0
        assert "broker 4 is no longer cordoned" in capsys.readouterr().err
        assert replicas_of(bench.control, topic_name) == before
        assert bench.throttles() == {"cluster": operators, topic_name: mark}
        assert producer.failed == [] and len(producer.acked) > 20
        assert producer.lost(bench.cluster.connection) == []
    finally:
        bench.control.alter_configs([ConfigChange("broker", "", unset=tuple(operators))])
        bench.control.alter_configs([ConfigChange("topic", topic_name, unset=tuple(mark))])


THREE = [(1, 2, 3), (2, 3, 1), (3, 1, 2), (1, 3, 2)]


def killed(process: subprocess.Popen[str]) -> None:
    """SIGKILL."""
    process.kill()
    process.communicate()
    assert process.returncode == -9


def test_a_run_that_was_killed_is_gone_on_with_by_the_same_command(
    bench: Bench, topic_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    placed(bench.control, topic_name, THREE)
    count = filled(bench.cluster.connection, topic_name, 4, 8)
    plan, file = bench.planned(planner.fill, [4])
    killed(bench.started("thor", "apply", file, "--throttle", "50kB/s"))
    assert bench.throttles()["cluster"]["leader.replication.throttled.rate"] == "50000"
    assert bench.unfinished() == ["fill 4"]
    assert bench.asgard("thor", "apply", file, "--throttle", "20MB/s") == 0
    said = capsys.readouterr()
    assert "not yet: asgard.execution/v1 fill 4" in said.err, "it says what a dead run left"
    at_its_place(bench, plan)
    assert bench.throttles() == {}
    ends = bench.control.offsets([(topic_name, n) for n in range(4)])
    assert sum(end.records for end in ends.values()) == count


@pytest.mark.long
def test_what_changed_in_the_cluster_since_a_plan_was_begun_is_planned_anew(
    bench: Bench, topic_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    placed(bench.control, topic_name, [(4, 2, 3), (2, 4, 3), (3, 4, 2)])
    filled(bench.cluster.connection, topic_name, 3, 6)
    plan, file = bench.planned(planner.drain, [4])
    killed(bench.started("thor", "apply", file, "--throttle", "40kB/s"))
    resting = next(n for n in range(3) if f"{topic_name}-{n}" not in bench.moving())
    turned = tuple(reversed(replicas_of(bench.control, topic_name)[resting]))
    bench.control.reassign([Move(topic_name, resting, turned)])
    eventually(lambda: turned in replicas_of(bench.control, topic_name))
    assert bench.asgard("thor", "apply", file, "--throttle", "none") == 0
    assert "planned anew" in capsys.readouterr().err, "it was begun before, so it is not stale"
    assert all(4 not in replicas for replicas in replicas_of(bench.control, topic_name))
    known = {c.after for c in plan.changes} | {c.before for c in plan.changes}
    other = next(r for r in permutations((1, 2, 3)) if r not in known)
    bench.control.reassign([Move(topic_name, resting, other)])
    eventually(lambda: other in replicas_of(bench.control, topic_name))
    assert bench.asgard("thor", "apply", file) == 4
    assert "no longer fits" in capsys.readouterr().err, "what is done is not done again"
    untouched(bench.control)


def test_cancel_takes_back_what_a_killed_or_a_running_drain_has_in_flight(
    bench: Bench, topic_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    placed(bench.control, topic_name, [(4, 2, 3), (2, 4, 3)])
    filled(bench.cluster.connection, topic_name, 2, 4)
    before = replicas_of(bench.control, topic_name)
    ours = {f"{topic_name}-0", f"{topic_name}-1"}
    file = bench.planned(planner.drain, [4])[1]
    killed(bench.started("thor", "apply", file, "--throttle", "70kB/s"))
    assert bench.moving() >= ours
    assert {"cluster", "4", topic_name} <= set(bench.throttles())
    assert bench.asgard("thor", "cancel") == 0
    assert "took back drain 4: " in capsys.readouterr().out
    assert (bench.moving(), bench.throttles()) == (set(), {})
    running = bench.started("thor", "apply", file, "--throttle", "70kB/s")
    eventually(lambda: bench.moving() >= ours)
    assert bench.asgard("thor", "cancel") == 0
    assert "took back drain 4: " in capsys.readouterr().out
    out, err = running.communicate(timeout=60)
    assert running.returncode == 75 and "thor cancel" in json.loads(out)["handed_over"], err
    assert (bench.moving(), bench.throttles()) == (set(), {})
    assert replicas_of(bench.control, topic_name) == before
    assert bench.asgard("thor", "cancel") == 0
    assert "Nothing is in progress or half done." in capsys.readouterr().out


def test_a_broker_that_was_down_when_its_cordon_should_go_is_freed_by_the_next_run_that_sees_it(
    bench: Bench, topic_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    placed(bench.control, topic_name, [(4, 2, 3), (2, 4, 3)])
    filled(bench.cluster.connection, topic_name, 2, 4)
    file = bench.planned(planner.drain, [4])[1]
    process = bench.started("thor", "apply", file, "--throttle", "50kB/s")
    killed(process)
    bench.cluster.kill(4)
    try:
        eventually(lambda: {b.id: b.state for b in bench.control.cluster().brokers}[4] == "fenced")
        assert bench.asgard("thor", "cancel") == 0
        assert "still set, as its broker is down: cordoned.log.dirs of broker 4" in capsys.readouterr().out
        assert throttles(bench.control, (1, 2, 3)) == {} and bench.moving() == set()
        assert bench.unfinished() == ["cancel"]
    finally:
        bench.cluster.all_up()
    eventually(
        lambda: led_by_preferred(bench.control, []) and {b.state for b in bench.control.cluster().brokers} == {"up"}
    )
    assert bench.throttles() == {"4": {"cordoned.log.dirs": "*"}}
    assert bench.asgard("thor", "cancel") == 0, "any command that changes things does it"
    assert bench.throttles() == {}


def test_a_balance_stops_when_a_broker_is_lost_and_takes_back_what_is_in_flight(bench: Bench, topic_name: str) -> None:
    placed(bench.control, topic_name, THREE)
    filled(bench.cluster.connection, topic_name, 4, 12)
    file = bench.planned(planner.fill, [4])[1]
    process = bench.started("thor", "apply", file, "--throttle", "50kB/s")
    bench.cluster.kill(4)
    try:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 1, err
        assert json.loads(out)["stopped"] == "broker 4 was lost"
        assert bench.moving() == set()
        assert throttles(bench.control, (1, 2, 3)) == {}
        assert replicas_of(bench.control, topic_name) == THREE
    finally:
        bench.cluster.all_up()


@pytest.mark.long
def test_a_drain_goes_on_without_a_broker_that_is_lost(bench: Bench, topic_name: str) -> None:
    placed(bench.control, topic_name, [(4, 2), (2, 4), (4, 3), (3, 4)])
    filled(bench.cluster.connection, topic_name, 4, 6)
    plan, file = bench.planned(planner.drain, [4])
    process = bench.started("thor", "apply", file, "--throttle", "150kB/s")
    down = next(b for p in bench.control.reassignments() for b in p.adding)
    bench.cluster.kill(down)
    try:
        out, err = process.communicate(timeout=120)
        assert f"broker {down} was lost; the drain continues without it" in err
        # Three replicas find no place on two brokers: Kafka's own topic is named, and nothing else.
        refused = json.loads(out)["refused"]
        assert all(name.startswith("__consumer_offsets") for name in refused), out
        assert process.returncode == (1 if refused else 0), (out, err)
        left = set(BROKERS) - {4, down}
        assert {b for replicas in replicas_of(bench.control, topic_name) for b in replicas} <= left | {down}
        assert all(len(replicas) == 2 for replicas in replicas_of(bench.control, topic_name))
        assert throttles(bench.control, left) == {} and bench.moving() == set()
        assert json.loads(out)["what"] == "drain 4" and plan.changes
    finally:
        bench.cluster.all_up()
    assert bench.throttles() == {"4": {"cordoned.log.dirs": "*"}}
    untouched(bench.control)


def test_what_is_planned_is_carried_out_at_once_within_the_head_room_of_the_brokers(
    bench: Bench, topic_name: str
) -> None:
    placed(bench.control, topic_name, THREE)
    filled(bench.cluster.connection, topic_name, 4, 8)
    limits = bench.home / "thor.yaml"
    limits.write_text("limits: {throttle: 5MB/s, bytes_in: 2MB/s}")
    process = bench.started("thor", "plan", "fill", "4", "--apply", "--throttle", "auto", "--limits", limits)
    rate = bench.throttles()["cluster"]["follower.replication.throttled.rate"]
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert float(rate) == pytest.approx(1_600_000, rel=0.1), "four fifths of what the limit leaves"
    assert json.loads(out)["moved"] > 0
    assert any(4 in replicas for replicas in replicas_of(bench.control, topic_name))


def test_a_healing_takes_over_from_a_balance_and_is_not_throttled(bench: Bench, topic_name: str) -> None:
    other = f"{topic_name}-other"
    placed(bench.control, topic_name, THREE)
    placed(bench.control, other, [(1, 2), (2, 1), (1, 2), (2, 1)])
    for topic in (topic_name, other):
        filled(bench.cluster.connection, topic, 4, 8)
    balance = bench.planned(planner.fill, [4])[1]
    process = bench.started("thor", "apply", balance, "--throttle", "50kB/s")
    on_their_way = bench.moving()
    target = pick(None, bench.cluster.bootstrap_servers, str(bench.cluster.client_properties))
    try:
        with holding.to_change(target, priority=Priority.HEAL, doing="thor heal", healing=True, wait_s=30) as held:
            out, err = process.communicate(timeout=30)
            assert process.returncode == 75 and "thor heal" in json.loads(out)["handed_over"], err
            assert bench.moving() & on_their_way, "what was in flight runs on"
            bench.cluster.kill(3)
            eventually(lambda: {b.id: b.state for b in bench.control.cluster().brokers}[3] == "fenced")
            inherited = moves.inherit(held, {3})
            assert inherited.from_whom == ("fill 4",)
            heal, _ = bench.planned(planner.heal)
            assert heal.changes, "partitions that nobody was moving away from the dead broker"
            looks: list[set[str]] = []

            def look(event: events.Event) -> None:
                found = throttles(bench.control, (1, 2, 4)).get(topic_name, {})
                looks.append({mark.partition(":")[0] for marks in found.values() for mark in marks.split(",")})
                if event.text.startswith(f"{len(heal.changes)} of {len(heal.changes)} partitions"):
                    # All is healed. What was taken over still crawls along: end it.
                    crawling = [Move(p.topic, p.partition, ()) for p in bench.control.reassignments()]
                    bench.control.reassign(crawling)

            with events.listening(look):
                done = moves.run(held, heal, Limits(), replan=replan.again)
        assert done.exit_code == 0, done
        # A change that copies nothing (of leaders, or back to a replica that is still in sync) waits for its batch meanwhile.
        copied = [c for c in heal.changes if c.bytes_moved]
        assert copied
        healed = {str(c.partition) for c in copied if c.topic == topic_name}
        healed |= {str(f.partition) for f in inherited.freed if f.topic == topic_name}
        # At the first look the healing has not begun yet.
        assert not healed & {partition for look in looks[1:] for partition in look}
        assert looks[-1] == set()
        assert throttles(bench.control, (1, 2, 4)) == {}
        assert bench.moving() == set()
        assert all(len(r) == 3 and 3 not in r for r in replicas_of(bench.control, topic_name))
        assert all(len(r) == 2 for r in replicas_of(bench.control, other))
    finally:
        bench.cluster.all_up()
    assert bench.asgard("thor", "apply", balance, "--throttle", "none") == 0, "and the balance is gone on with"


def test_a_topic_deleted_meanwhile_is_left_out(
    bench: Bench, topic_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    doomed = f"{topic_name}-doomed"
    for topic in (topic_name, doomed):
        placed(bench.control, topic, [(1, 2), (2, 3)])
        filled(bench.cluster.connection, topic, 2, 3)
    limits = bench.home / "thor.yaml"
    limits.write_text("limits: {moves_per_broker: 1}")
    plan, file = bench.planned(planner.drain, [2], limits=Limits(moves_per_broker=1))
    process = bench.started("thor", "apply", file, "--throttle", "1MB/s", "--limits", limits)
    assert bench.control.delete_topics([doomed]) == {doomed: None}
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    done = json.loads(out)
    assert done["gone"] >= 1 and done["moved"] + done["gone"] == len(plan.changes)
    assert all(2 not in replicas for replicas in replicas_of(bench.control, topic_name))
    assert bench.asgard("thor", "apply", bench.planned(planner.undo, plan)[1], "--throttle", "none") in (0, 1)
    assert replicas_of(bench.control, topic_name) == [(1, 2), (2, 3)]


def test_a_replication_factor_is_changed_by_set_rf_alone(
    bench: Bench, topic_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    placed(bench.control, topic_name, [(1, 2), (2, 3)])
    count = filled(bench.cluster.connection, topic_name, 2, 2)
    plan, file = bench.planned(planner.set_rf, {topic_name: 3})
    sly = bench.home / "sly.json"
    document = json.loads(file.read_text())
    document["asgard"] |= {"kind": "balance", "arguments": []}
    sly.write_text(json.dumps(document))
    assert bench.asgard("thor", "apply", sly) == 1
    assert "replication factor" in capsys.readouterr().out
    assert replicas_of(bench.control, topic_name) == [(1, 2), (2, 3)]
    assert bench.asgard("thor", "apply", file) == 0
    at_its_place(bench, plan)
    assert [len(r) for r in replicas_of(bench.control, topic_name)] == [3, 3]
    assert bench.asgard("thor", "apply", bench.planned(planner.undo, plan)[1]) == 0
    assert replicas_of(bench.control, topic_name) == [(1, 2), (2, 3)]
    ends = bench.control.offsets([(topic_name, n) for n in range(2)])
    assert sum(end.records for end in ends.values()) == count


def test_two_who_know_nothing_of_each_other_never_change_a_replication_factor(bench: Bench, topic_name: str) -> None:
    placed(bench.control, topic_name, THREE)
    filled(bench.cluster.connection, topic_name, 4, 4)
    plans = [bench.planned(planner.fill, [4])[1], bench.planned(planner.drain, [1])[1]]
    homes = [bench.home / "one", bench.home / "two"]
    racing = [
        bench.start("thor", "apply", file, "--throttle", "2MB/s", home=home)
        for file, home in zip(plans, homes, strict=True)
    ]
    ends = [(process.communicate(timeout=120), process.returncode) for process in racing]
    assert {code for _, code in ends} <= {0, 1, 4}, ends
    assert 0 in {code for _, code in ends} or 1 in {code for _, code in ends}
    assert all(len(set(r)) == 3 for r in replicas_of(bench.control, topic_name))
    eventually(lambda: bench.moving() == set())
    left = bench.throttles()
    assert set(left) <= {"1"}, "a drained broker stays cordoned, nothing else is left"
    untouched(bench.control)


def test_what_does_not_fit_is_refused_before_anything_is_changed(
    bench: Bench, topic_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    placed(bench.control, topic_name, [(1, 2), (2, 3)])
    filled(bench.cluster.connection, topic_name, 2, 1)
    file = bench.planned(planner.drain, [2])[1]

    def refused(why: str, *options: str, plan: Path = file) -> None:
        assert bench.asgard("thor", "apply", plan, *options) == 4
        assert why in capsys.readouterr().err
        assert bench.moving() == set()

    night = bench.home / "thor.yaml"
    hour = time.gmtime(time.time() + 7200).tm_hour
    night.write_text(f"limits: {{windows: ['{hour:02}:00-{hour:02}:30']}}")
    refused("planned moves may start only in", "--limits", str(night))
    theirs = [
        ConfigChange("broker", "", {"leader.replication.throttled.rate": "5"}),
        ConfigChange("topic", topic_name, {"leader.replication.throttled.replicas": "0:1"}),
    ]
    bench.control.alter_configs(theirs)
    eventually(lambda: topic_name in bench.throttles() and "cluster" in bench.throttles())
    refused("another tool has set a throttle: leader.replication.throttled.replicas of topic")
    bench.control.alter_configs([ConfigChange(c.resource_type, c.name, unset=tuple(c.set)) for c in theirs])
    eventually(lambda: bench.throttles() == {})
    document = json.loads(file.read_text())
    document["asgard"]["cluster_id"] = "another"
    another = bench.home / "another.json"
    another.write_text(json.dumps(document))
    refused("the plan is for the cluster another", plan=another)
    cleared(bench.control)
    placed(bench.control, topic_name, [(1, 2), (2, 1)])
    refused(f"{topic_name}-1 has the replicas [2, 1] now, but the plan found [2, 3]")
