"""Brokers killed and hung one after the other while Thor watches: is everything healed, how fast, and is any record lost?

Four brokers in three racks (Kafka's own session time-out of 9 s), 24 partitions with RF 3 and min ISR 2, two producers with
acks=all that remember every acknowledged record. Each round has a cluster of its own and loses each broker twice, once by
SIGKILL and once by SIGSTOP, in an order and after pauses that its seed gives. Policy: no grace and no restarts, so that each
loss is healed by moving replicas; then the broker comes back and is filled again. Two times are measured: from the fault until
Kafka has fenced the broker (and no other: `tests.harness.watched.Loss`), and from there until no partition lacks a replica. `load` is the machine's (processes that want a core, over a minute) at that time.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from tests.harness.watched import LOOK_S, Fault, HealContext, Loss, Watcher, watched

SEEDS = (11, 23, 47)
BROKERS = (1, 2, 3, 4)
WITHIN_S = 2.0
POLICY = "grace: 0s, restart: {attempts: 0}, flapping: {times: 100}"


def prove(seeds: tuple[int, ...] = SEEDS) -> tuple[dict[str, object], list[str]]:
    """All drills of all seeds: the figures and what went wrong."""
    losses: list[Loss] = []
    wrong: list[str] = []
    acked = lost = refused = 0
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="asgard-drills-") as scratch, watched(Path(scratch), POLICY) as context:
            with context.watching() as watcher, context.traffic(seed) as traffic:
                for broker, fault, pause in drills(seed):
                    time.sleep(pause)
                    losses.append(drill(context, watcher, broker, fault, wrong))
                    told = losses[-1]
                    print(f"seed {seed}: broker {broker} {fault}: detected after {told.kafka_s:.2f} s, healed {told.thor_s:.2f} s later", file=sys.stderr, flush=True)  # fmt: skip
            acked, lost, refused = acked + traffic.acked, lost + traffic.lost(), refused + traffic.refused()
    late = [f"broker {x.broker} {x.fault}: {x.thor_s:.2f} s" for x in losses if x.thor_s > WITHIN_S]
    wrong += [f"healed later than {WITHIN_S} s after Kafka's detection: {text}" for text in late]
    wrong += [f"{lost} acknowledged records are lost"] if lost else []
    return figures(losses, seeds, acked, lost, refused), wrong


def drills(seed: int) -> list[tuple[int, Fault, float]]:
    """Each broker by each fault, in an order of the seed, with pauses before."""
    source = random.Random(seed)
    faults: tuple[Fault, ...] = ("kill", "stop")
    found = [(broker, fault) for broker in BROKERS for fault in faults]
    source.shuffle(found)
    return [(broker, fault, source.uniform(1, 4)) for broker, fault in found]


def drill(context: HealContext, watcher: Watcher, broker: int, fault: Fault, wrong: list[str]) -> Loss:
    """Lose a broker, wait until it is healed, bring it back, wait until it is in use again."""
    before = len(watcher.turns())
    loss = context.lose(broker, fault)
    context.until(lambda: any(healed(t, "reassign") for t in watcher.turns()[before:]), "what Thor says of it")
    context.bring_back(broker)
    context.until(lambda: any(healed(t, "resume") for t in watcher.turns()[before:]), f"broker {broker} filled again")
    context.until(context.whole, "every partition in sync")
    moves = [t for t in watcher.turns()[before:] if healed(t, "reassign")]
    if len(moves) != 1:
        wrong.append(f"broker {broker} {fault} was healed {len(moves)} times")
    return loss


def healed(turn: dict[str, Any], decision: str) -> bool:
    """Whether this line says that it was done."""
    return bool(turn["state"] == "healed" and turn["decision"] == decision)


def figures(losses: list[Loss], seeds: tuple[int, ...], acked: int, lost: int, refused: int) -> dict[str, object]:
    """In seconds."""

    def spread(values: list[float]) -> dict[str, float]:
        return {"least": round(min(values), 2), "median": round(median(values), 2), "most": round(max(values), 2)}

    return {
        "drills": len(losses),
        "seeds": list(seeds),
        "healed": len(losses),
        "acknowledged_records": acked,
        "acknowledged_records_lost": lost,
        "records_never_acknowledged": refused,
        "fault_to_detected_s": spread([x.kafka_s for x in losses]),
        "detected_to_healed_s": spread([x.thor_s for x in losses]),
        "drills_in_which_kafka_fenced_others_too": sum(1 for x in losses if x.innocent_s > LOOK_S * 4),
        "each": [
            {
                "broker": x.broker,
                "fault": x.fault,
                "fault_to_detected_s": round(x.kafka_s, 2),
                "others_fenced_s": round(x.innocent_s, 2),
                "detected_to_healed_s": round(x.thor_s, 2),
                "load": round(x.load, 1),
            }
            for x in losses
        ],
    }
