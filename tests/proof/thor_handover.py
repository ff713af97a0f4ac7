"""A healing that needs the cluster while somebody else moves data: does it get it at once, and is nothing left behind?

1. `thor watch` and a long throttled `thor plan fill --apply` run in processes of their own; a broker is killed with SIGKILL. Times from
   Kafka's own detection until the first move of the healing, and until no partition lacks a replica; at every look in
   between it is seen whether a move of the healing is under the throttle.
2. A broker dies in the middle of its own drain, and Thor with it. A healing takes over; the broker comes back afterwards. There is no
   throttle anywhere; the next run that sees the broker lifts its cordon.
3. Two plans for the same partitions are carried out at the same moment by two who share no journal. The replication factor of
   every partition stays; nothing is left set.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from asgard.cluster import look
from asgard.cluster.limits import Limits
from asgard.core.errors import AsgardError
from asgard.kafka.model import ConfigChange, Move, Partition
from asgard.thor.plan import file as plan_file
from asgard.thor.plan import planner
from tests.harness.placing import cleared, filled, placed, throttles
from tests.harness.watched import ASGARD, HealContext, watched

BROKERS = (1, 2, 3, 4)
POLICY = "grace: 0s, restart: {attempts: 0}, flapping: {times: 100}"
WITHIN_S = 3.0
ROUNDS = 6
RACES = 10
THREE = [(1, 2, 3), (2, 3, 1), (3, 1, 2), (1, 3, 2)] * 3
TWO = [(1, 2), (2, 3), (3, 1)] * 2


def prove(rounds: int = ROUNDS, races: int = RACES) -> tuple[dict[str, object], list[str]]:
    """All three: the figures and what went wrong."""
    wrong: list[str] = []
    taken: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="asgard-handover-") as scratch:
        with watched(Path(scratch) / "slow", POLICY, topic=False) as context:
            for number in range(rounds):
                _say(f"a healing takes over: {number + 1} of {rounds}")
                taken.append(takes_over(context, number, wrong))
        with watched(Path(scratch) / "quick", POLICY, topic=False, quick_detection=True) as context:
            _say("a broker dies in the middle of its drain")
            came_back(context, wrong)
            for number in range(races):
                _say(f"a race of two plans: {number + 1} of {races}")
                race(context, Path(scratch), number, wrong)
    late = [t for t in taken if t["first_move_s"] > WITHIN_S]
    wrong += [f"the healing began {t['first_move_s']} s after Kafka's detection" for t in late]
    figures: dict[str, object] = {
        "takeovers": len(taken),
        "first_move_after_detection_s": _spread([t["first_move_s"] for t in taken]),
        "healed_after_detection_s": _spread([t["healed_s"] for t in taken]),
        "kafka_detection_s": _spread([t["kafka_s"] for t in taken]),
        "moves_in_flight_when_the_broker_died": sum(t["in_flight"] for t in taken),
        "moves_of_the_healing": sum(t["moves"] for t in taken),
        "looks_at_which_one_of_them_was_throttled": sum(t["throttled"] for t in taken),
        "ended_the_other_run": sorted({t["other_exit_code"] for t in taken}),
        "races": races,
    }
    return figures, wrong


def takes_over(context: HealContext, seed: int, wrong: list[str]) -> dict[str, Any]:
    """Scenario 1, once."""
    _clean(context)
    for topic, layout in (("orders", THREE), ("clicks", TWO)):
        placed(context.control, topic, layout)
        filled(context.cluster.connection, topic, len(layout), len(layout) * 2)
    victim = random.Random(seed).choice([b for b in (1, 2, 3) if b != context.control.quorum().leader])
    with context.watching() as watcher:
        other = context.start("thor", "plan", "fill", "4", "--apply", "--yes", "--throttle", "60kB/s")
        context.until(lambda: bool(context.control.reassignments()), "moves of the other run")
        in_flight = {_name(p) for p in context.control.reassignments()}

        def healing() -> set[str]:
            return {_name(p) for p in context.control.reassignments() if victim in p.removing} - in_flight

        broken = time.monotonic()
        context.cluster.kill(victim)
        fenced = context.until(lambda: victim in context.fenced(), "the detection")
        looks, moves, first = 0, set[str](), 0.0
        healed = 0.0
        while not healed:
            with contextlib.suppress(AsgardError):
                now, marked, still = healing(), _marked(context), healing()
                if now and not first:
                    first = time.monotonic()
                moves |= now
                looks += bool(first) and bool(now & still & marked)
                if all(victim not in p.replicas and set(p.isr) >= set(p.target_replicas) for p in _data(context)):
                    healed = time.monotonic()
            assert time.monotonic() - fenced < 240, "it is not healed"
        context.until(
            lambda: not context.control.reassignments() and not throttles(context.control, _up(context)),
            "the end of all moves",
        )
        code = other.wait(120)
        context.until(
            lambda: any((t["state"], t["decision"]) == ("healed", "reassign") for t in watcher.turns()),
            "the end of the healing",
        )
    context.bring_back(victim)
    wrong += _left(context, "after a healing that took over")
    factors = {len(p.replicas) for p in _data(context) if p.topic == "orders"}
    wrong += [f"replication factors are {factors}"] if factors != {3} else []
    return {
        "kafka_s": round(fenced - broken, 2),
        "first_move_s": round(first - fenced, 2),
        "healed_s": round(healed - fenced, 2),
        "in_flight": len(in_flight),
        "moves": len(moves),
        "throttled": looks,
        "other_exit_code": code,
    }


def came_back(context: HealContext, wrong: list[str]) -> None:
    """Scenario 2."""
    _clean(context)
    placed(context.control, "orders", [(4, 1, 2), (2, 4, 3), (3, 4, 1)])
    filled(context.cluster.connection, "orders", 3, 6)
    drain = context.start("thor", "plan", "drain", "4", "--apply", "--yes", "--throttle", "60kB/s")
    context.until(lambda: bool(context.control.reassignments()), "moves of the drain")
    drain.kill()
    drain.wait()
    context.cluster.kill(4)
    context.until(lambda: 4 in context.fenced(), "the detection")
    context.until(lambda: context.run("thor", "heal", "--yes")[0] == 0, "the healing")
    context.until(lambda: all(4 not in p.replicas for p in _data(context)), "no replica on broker 4")
    context.until(lambda: not context.control.reassignments(), "the end of all moves")
    if left := throttles(context.control, (1, 2, 3)):
        wrong.append(f"while the broker is down there is {left}")
    context.bring_back(4)
    if (left := throttles(context.control, BROKERS)) != {"4": {"cordoned.log.dirs": "*"}}:
        wrong.append(f"the broker came back with {left}")
    context.run("thor", "heal", "--yes")
    wrong += _left(context, "after the next run that saw the broker")


def race(context: HealContext, scratch: Path, number: int, wrong: list[str]) -> None:
    """Scenario 3, once."""
    _clean(context)
    placed(context.control, "orders", THREE[:4])
    filled(context.cluster.connection, "orders", 4, 4)
    snapshot = look.take(context.control)
    runs = []
    for home, plan in (
        ("one", planner.fill(snapshot, [4], Limits())),
        ("two", planner.drain(snapshot, [1], Limits())),
    ):
        file = scratch / f"{home}-{number}.json"
        plan_file.write(plan, file)
        options = ("--bootstrap-server", context.cluster.bootstrap_servers)
        options += ("--command-config", str(context.cluster.client_properties))
        environment = {**os.environ, "ASGARD_HOME": str(scratch / home)}
        command = [str(ASGARD), "thor", "apply", str(file), "--yes", "--throttle", "2MB/s", *options]
        runs.append(subprocess.Popen(command, env=environment))
    codes = [run.wait(120) for run in runs]
    if not set(codes) <= {0, 1, 4}:
        wrong.append(f"race {number} ended with {codes}")
    context.until(lambda: not context.control.reassignments(), "the end of all moves")
    if any(len(set(p.replicas)) != 3 for p in _data(context)):
        wrong.append(f"race {number} changed a replication factor")
    # The broker that was drained stays cordoned, where the drain was the one that went on.
    _free(context, 1)
    wrong += _left(context, f"after race {number}")


def _left(context: HealContext, when: str) -> list[str]:
    found = throttles(context.control, BROKERS)
    moving = [_name(p) for p in context.control.reassignments()]
    unfinished = [o["subject"] for o in context.run("journal", "operations")[1]]
    named = (("set are", found), ("moving are", moving), ("unfinished are", unfinished))
    return [f"{when} {what} {value}" for what, value in named if value]


def _clean(context: HealContext) -> None:
    context.until(lambda: not context.fenced(), "all brokers")
    context.run("thor", "cancel", "--yes")
    context.control.reassign([Move(p.topic, p.partition, ()) for p in context.control.reassignments()])
    cleared(context.control)
    for broker in BROKERS:
        _free(context, broker)


def _free(context: HealContext, broker: int) -> None:
    """Take back a broker's cordon, until the broker itself knows."""
    context.control.alter_configs([ConfigChange("broker", str(broker), unset=("cordoned.log.dirs",))])
    context.until(
        lambda: "cordoned.log.dirs" not in context.control.broker_configs(str(broker)), f"broker {broker} free"
    )


def _data(context: HealContext) -> list[Partition]:
    return [p for p in context.partitions() if not p.topic.startswith("__")]


def _up(context: HealContext) -> list[int]:
    return [b for b in BROKERS if b not in context.fenced()]


def _marked(context: HealContext) -> set[str]:
    configs = context.control.topic_configs(["orders", "clicks"])
    lists = [(t, v) for t, c in configs.items() for k, v in c.items() if k.endswith("throttled.replicas") and v]
    return {f"{topic}-{mark.partition(':')[0]}" for topic, marks in lists for mark in marks.split(",")}


def _name(p: Partition) -> str:
    return f"{p.topic}-{p.partition}"


def _spread(values: list[float]) -> dict[str, float]:
    return {"least": min(values), "median": round(median(values), 2), "most": max(values)}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
