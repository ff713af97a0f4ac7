"""Brokers are killed and hang on a real cluster, and Thor heals it: four brokers in three racks, three of them controllers.

The full counts, with Kafka's own session time-out, are in tests/proof/thor_drills.py and thor_watch.py.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asgard.kafka.data import Record, Writer
from asgard.kafka.model import ConfigChange, Move
from tests.harness.placing import eventually, filled, placed, replicas_of, throttles
from tests.harness.watched import TOPIC, HealContext, watched

pytestmark = pytest.mark.kafka

NO_RESTARTS = "restart: {attempts: 0}, flapping: {times: 100}"
RESTARTS = "grace: 10m, flapping: {times: 100}"


@pytest.fixture(scope="module")
def context(session_home: Path) -> Iterator[HealContext]:
    with watched(session_home / "healed", NO_RESTARTS, quick_detection=True) as made:
        yield made


@pytest.fixture(autouse=True)
def all_well_again(context: HealContext) -> Iterator[None]:
    """Each test begins and ends with all brokers up and nothing for Thor to do."""
    yield
    context.policy(NO_RESTARTS)
    context.cluster.all_up()
    context.until(lambda: not context.fenced(), "all brokers")
    healed(context, "healthy")


def healed(context: HealContext, *states: str) -> dict[str, Any]:
    """Heal again and again, as cron does, until one of these states is reached."""
    while True:
        code, document = context.run("thor", "heal", "--yes")
        assert document is not None and code in (0, 1)
        assert code == (0 if document["state"] in ("healthy", "healed") else 1)
        if document["state"] in states:
            return dict(document)


def test_a_killed_broker_is_waited_for_in_its_grace_by_one_run_and_healed_by_a_later_one(context: HealContext) -> None:
    context.policy(f"grace: 10m, {NO_RESTARTS}")
    with context.traffic(seed=5) as traffic:
        context.cluster.kill(4)
        context.until(lambda: 4 in context.fenced(), "broker 4 fenced")
        code, first = context.run("thor", "heal", "--yes")
        assert (code, first["state"], first["brokers"]) == (1, "waiting", [4])
        assert 0 < first["remaining_s"] < 598, "it counts from when Kafka last heard of the broker"
        assert "its grace is 10 m" in first["cause"]
        context.policy(f"grace: 2s, {NO_RESTARTS}")
        code, then = context.run("thor", "heal", "--yes")
        assert (code, then["state"]) == (0, "healed"), "the next run counts on from there"
        assert (then["decision"], then["brokers"]) == ("reassign", [4])
        context.until(context.whole, "every partition in sync")
        assert all(4 not in p.replicas for p in context.partitions())
        context.cluster.start_node(4)
        context.until(lambda: not context.fenced(), "broker 4")
        filled = healed(context, "healed")
        assert (filled["decision"], filled["action"]) == ("resume", "filling broker 4")
        context.until(context.whole, "every partition in sync")
        assert any(4 in p.replicas for p in context.partitions())
    assert traffic.acked > 100
    assert traffic.lost() == 0
    _, told = context.run("thor", "history")
    last = [h for h in told if 4 in h["brokers"]][-2:]
    assert [(h["decision"], h["state"]) for h in last] == [("reassign", "done"), ("resume", "done")]
    assert last[0]["cause"].startswith("broker 4 (r0) is fenced, gone for")


def test_of_two_healers_at_once_one_restarts_the_process_that_hangs_and_the_other_says_who(
    context: HealContext,
) -> None:
    context.policy(RESTARTS)
    context.cluster.pause(4)
    context.until(lambda: 4 in context.fenced(), "broker 4 fenced")
    before = context.run("thor", "history", "--last", "1000")[1]
    both = [
        context.start("thor", "heal", "--yes", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    answers = [(json.loads(out), p.returncode) for p in both for out, _ in [p.communicate()]]
    acted = [told for told, code in answers if code == 0 and told["decision"] == "restart"]
    assert [told["state"] for told in acted] == ["healed"], answers
    assert "its process hangs" in acted[0]["cause"]
    other, code = next(answer for answer in answers if answer[0] not in acted)
    if code == 75:
        assert "is held by thor heal orders (restarting the node of broker 4)" in other["error"]["what"]
    else:  # on a busy machine it may look only when the first is through
        assert other["state"] in ("waiting", "healthy"), answers
    context.until(context.whole, "every partition in sync")
    after = context.run("thor", "history", "--last", "1000")[1]
    assert [h["decision"] for h in after[len(before) :]] == ["restart"]


def test_many_brokers_lost_at_once_are_waited_for_and_nothing_is_done(context: HealContext) -> None:
    context.policy("grace: 0s")
    before = context.partitions()
    for broker in (3, 4):
        context.cluster.pause(broker)
    context.until(lambda: context.fenced() == {3, 4}, "brokers 3 and 4 fenced")
    for _ in range(2):
        code, document = context.run("thor", "heal", "--yes")
        assert (code, document["state"]) == (1, "held")
        assert "2 of 4 brokers are gone at once (3, 4)" in document["cause"]
        assert "first" in document["cause"], "it names the broker to bring back first"
    for broker in (3, 4):
        context.cluster.resume(broker)
    context.until(lambda: not context.fenced(), "brokers 3 and 4")
    context.until(context.whole, "every partition in sync")
    assert [(p.topic, p.partition, p.replicas) for p in context.partitions()] == [
        (p.topic, p.partition, p.replicas) for p in before
    ]
    _, events = context.run("journal", "events", "--kind", "thor.heal.held", "--since", "1h")
    assert [e["data"]["key"] for e in events].count("outage") == 1, "nobody is told twice"


def test_the_watcher_restarts_what_dies_and_ends_cleanly(context: HealContext) -> None:
    context.policy(RESTARTS)
    with context.watching("--every", "1s") as watcher:
        context.cluster.kill(4)
        context.until(lambda: any(t["decision"] == "restart" for t in watcher.turns()), "a restart")
        context.until(context.whole, "every partition in sync")
        context.until(lambda: watcher.turns()[-1]["state"] == "healthy", "all well")
        assert watcher.stop() == 0
    assert "no longer watching orders; nothing is half done" in watcher.err.read_text()
    done = [t["decision"] for t in watcher.turns() if t["state"] == "healed"]
    assert done[0] == "restart"
    assert set(done[1:]) <= {"resume"}


def test_an_unclean_leader_is_elected_only_for_who_says_so_and_it_is_told_whom_to_bring_back(
    context: HealContext,
) -> None:
    topic = f"{TOPIC}.small"
    placed(context.control, topic, [[4, 3]], min_insync_replicas="1")
    context.cluster.kill(3)
    context.until(lambda: context.control.topics([topic])[topic].partitions[0].isr == (4,), "broker 3 out of sync")
    with Writer(context.cluster.connection) as writer:
        writer.send(Record(topic, b"only broker 4 has it"))
    assert writer.tally.acked == 1
    context.cluster.kill(4)
    context.cluster.start_node(3)
    context.until(lambda: context.fenced() == {4}, "broker 3 alone back")
    name = f"{topic}-0"

    code, document = context.run("thor", "heal", "--yes", "--grace", "0")
    assert code == 1 or document["state"] == "healed"
    assert "Bring back broker 4 first: it was in sync last" in document["cause"]
    assert context.control.topics([topic])[topic].partitions[0].leader == -1, "healing never elects an unclean leader"

    code, document = context.run("thor", "elect", "--unclean", name, "--yes")
    assert code == 4
    assert document["error"]["what"].startswith(
        f"broker 3 would lead {name}: every record acknowledged while it was out of sync is lost, for good"
    )
    assert "bring back broker 4 first: it was in sync last" in document["error"]["hint"]
    assert context.control.topics([topic])[topic].partitions[0].leader == -1

    code, document = context.run("thor", "elect", "--unclean", name, "--allow-data-loss", "--yes")
    assert (code, document) == (0, {"led": [name], "refused": {}})
    eventually(lambda: context.control.topics([topic])[topic].partitions[0].leader == 3)
    _, events = context.run("journal", "events", "--kind", "thor.leader.elected")
    assert events[-1]["subject"] == name and events[-1]["data"]["safe"] == [4]
    context.cluster.start_node(4)
    context.until(lambda: not context.fenced(), "broker 4")
    context.control.delete_topics([topic])


def test_moves_of_another_tool_to_a_broker_that_died_are_told_of_or_ended(context: HealContext) -> None:
    topic = f"{TOPIC}.foreign"
    before = [(1, 2, 3), (2, 3, 1)]
    placed(context.control, topic, before, min_insync_replicas="2")
    filled(context.cluster.connection, topic, 2, 4)
    # What `kafka-reassign-partitions --throttle` sets: rates of brokers, marks on the topic; then it asks for the moves.
    rate = {"leader.replication.throttled.rate": "1000"}
    marks = {"leader.replication.throttled.replicas": "*", "follower.replication.throttled.replicas": "0:4,1:4"}
    changes = [ConfigChange("broker", str(b), rate) for b in (1, 2, 3)]
    context.control.alter_configs([*changes, ConfigChange("topic", topic, marks)])
    eventually(lambda: throttles(context.control, (1, 2, 3)).keys() >= {"1", "2", "3", topic})
    try:
        asked = [Move(topic, 0, (1, 2, 4)), Move(topic, 1, (2, 3, 4))]
        assert set(context.control.reassign(asked).values()) == {None}
        context.cluster.kill(4)
        context.until(lambda: 4 in context.fenced(), "broker 4 fenced")
        assert {p.partition for p in context.control.reassignments()} == {0, 1}, "4 MB at 1 kB/s are on their way"
        _, status = context.run("thor", "status")
        found = next(f for f in status["findings"] if f["kind"] == "move-stuck")
        assert (found["subject"], found["brokers"]) == ("broker 4", [4])

        context.policy(f"grace: 0s, foreign_moves: tell, {NO_RESTARTS}")
        code, told = context.run("thor", "heal", "--yes")
        assert code == 1 and "Another tool is moving" in told["cause"] and "foreign_moves: tell" in told["cause"]
        assert len(context.control.reassignments()) == 2

        context.policy(f"grace: 0s, {NO_RESTARTS}")
        healed(context, "healed")
        assert context.control.reassignments() == []
        assert all(4 not in p.replicas for p in context.partitions())
        assert [set(r) for r in replicas_of(context.control, topic)] == [set(r) for r in before]
        _, noted = context.run("journal", "events", "--kind", "thor.moves.ended")
        ended = {(t, n): (was, wanted) for t, n, was, wanted in noted[-1]["data"]["moves"]}
        assert ended == {(m.topic, m.partition): (list(before[m.partition]), list(m.replicas)) for m in asked}
    finally:
        context.control.alter_configs([ConfigChange("broker", str(b), unset=tuple(rate)) for b in (1, 2, 3)])
        context.control.delete_topics([topic])
    context.until(context.whole, "every partition in sync")
