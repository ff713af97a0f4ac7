"""What a drill breaks, and when: a plan drawn from a seed. Pure: the same seed and the same cluster give the same plan. Seconds."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from asgard.core.errors import Refused, WrongUsage
from asgard.kafka.model import Broker, Partition
from asgard.loki.load.scenario import Acks, Consumers, LoadTopic, Producers, Scenario, Stage, Values

TOPIC = "drill"
PARTITIONS = 12
SIZE_BYTES = 512
TIMEOUT_S = 60.0
"""How long a record waits for its acknowledgement before it is given up: longer than Kafka needs to notice and elect, and Thor to start a node."""
WARM_UP_S = 2.0
HEAL_S = 180.0
"""A cluster that has not recovered this long after a fault counts as not healed."""
RESTART_S = 90.0
"""How long a broker's restart in a rolling restart may take."""
AFTER_S = 3.0
"""The load continues this long after the last fault is healed."""
STEP_S = 0.25
"""The resolution of the series of acknowledged and read records."""


@dataclass(frozen=True)
class Strike:
    """A fault: `after_s` from when the one before it was healed (or from the start of the load).

    `lasts_s`: the drill itself puts it back this long after it began; None: that is left to the healing. `alone` False: the next fault comes
    `after_s` from when this one began, healed or not. `takes_s`: how long the fault itself may take. `role`: it targets the leader or a
    follower of the drill topic's partitions, which `aimed` finds once the topic exists.
    """

    after_s: float
    action: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    lasts_s: float | None = None
    alone: bool = True
    takes_s: float = 0.0
    role: Literal["leader", "follower"] | None = None


@dataclass(frozen=True)
class Safety:
    """What the topic and its producers ask of Kafka."""

    acks: Acks = "all"
    replication: int = 3
    min_isr: int = 2
    unclean: bool = False


SAFE = Safety()
UNSAFE = Safety("1", 2, 1, True)


@dataclass(frozen=True)
class DrilledCluster:
    """What a plan is based on: the brokers that are up, and the leader of the metadata quorum."""

    brokers: tuple[Broker, ...]
    controller: int

    @property
    def others(self) -> list[int]:
        """Brokers that are not the active controller, by id."""
        return sorted(b.id for b in self.brokers if b.id != self.controller)

    @property
    def racks(self) -> dict[str, list[int]]:
        """Racks and their brokers."""
        found: dict[str, list[int]] = {}
        for broker in self.brokers:
            if broker.rack is not None:
                found.setdefault(broker.rack, []).append(broker.id)
        return found


@dataclass(frozen=True)
class DrillScenario:
    """A built-in scenario: `steps` draws its faults. `loses`: it is meant to lose records, and says so."""

    about: str
    steps: Callable[[random.Random, DrilledCluster], list[Strike]]
    safety: Safety = SAFE
    loses: bool = False


@dataclass(frozen=True)
class DrillPlan:
    """A drill as it is to be carried out."""

    scenario: str
    about: str
    seed: int
    steps: tuple[Strike, ...]
    safety: Safety
    rate_per_s: float
    loses: bool = False

    @property
    def longest_s(self) -> float:
        """How long it may take at most, if every fault takes all the time allowed for healing."""
        return sum(step.after_s + step.takes_s + HEAL_S for step in self.steps) + AFTER_S


def _pause(source: random.Random) -> float:
    return round(source.uniform(3, 6), 2)


def _broker_dies(source: random.Random, cluster: DrilledCluster) -> list[Strike]:
    return [Strike(_pause(source), "kill_broker", {"broker": source.choice(cluster.others)})]


def _broker_hangs(source: random.Random, cluster: DrilledCluster) -> list[Strike]:
    return [Strike(_pause(source), "pause_broker", {"broker": source.choice(cluster.others)})]


def _controller_dies(source: random.Random, cluster: DrilledCluster) -> list[Strike]:
    return [Strike(_pause(source), "kill_controller")]


def _rack_lost(source: random.Random, cluster: DrilledCluster) -> list[Strike]:
    racks = cluster.racks
    if len(racks) < 3:
        raise Refused(
            f"the brokers are in {len(racks)} racks, and a drill that kills a rack needs three",
            "Give the stack `racks: 3`, or run another scenario.",
        )
    return [Strike(_pause(source), "lose_rack", {"rack": source.choice(sorted(racks))})]


def _rolling_restart(source: random.Random, cluster: DrilledCluster) -> list[Strike]:
    return [Strike(_pause(source), "rolling_restart", takes_s=RESTART_S * len(cluster.brokers))]


def _everything(source: random.Random, cluster: DrilledCluster) -> list[Strike]:
    kinds = [_broker_dies, _broker_hangs, _controller_dies, _rolling_restart]
    kinds += [_rack_lost] if len(cluster.racks) >= 3 else []
    source.shuffle(kinds)
    return [step for kind in kinds for step in kind(source, cluster)]


def _unclean(source: random.Random, cluster: DrilledCluster) -> list[Strike]:
    """The follower hangs while the leader acknowledges alone; the leader dies, and the follower, which lacks those records, leads."""
    gap_s = round(source.uniform(2.5, 4), 2)
    return [
        Strike(_pause(source), "pause_broker", lasts_s=gap_s + 0.2, alone=False, role="follower"),
        Strike(gap_s, "kill_broker", role="leader"),
    ]


KINDS = {
    "broker-dies": DrillScenario("a broker is killed", _broker_dies),
    "broker-hangs": DrillScenario("a broker hangs: its process is alive but answers no requests", _broker_hangs),
    "controller-dies": DrillScenario("the broker that leads the metadata quorum is killed", _controller_dies),
    "rack-lost": DrillScenario("all brokers of one rack are killed at once", _rack_lost),
    "rolling-restart": DrillScenario("every broker is restarted under load, one by one", _rolling_restart),
    "everything": DrillScenario("all of these in turn, in an order set by the seed", _everything),
    "acks1-unclean": DrillScenario(
        "loses records on purpose: acks=1, two replicas, and a new leader that lacks what the dead one acknowledged",
        _unclean,
        UNSAFE,
        loses=True,
    ),
}


def plan(name: str, seed: int, cluster: DrilledCluster, rate_per_s: float) -> DrillPlan:
    """The plan of a scenario. Raises WrongUsage for an unknown name, Refused if the cluster is too small for it."""
    kind = KINDS.get(name)
    if kind is None:
        raise WrongUsage(f"there is no scenario {name}", f"There are {', '.join(KINDS)}.")
    if len(cluster.brokers) < 3:
        raise Refused(
            f"{len(cluster.brokers)} brokers are up, and a drill needs three: its topic has three replicas",
            "Give the stack `brokers: 3`.",
        )
    steps = kind.steps(random.Random(f"{name}/{seed}"), cluster)
    return DrillPlan(name, kind.about, seed, tuple(steps), kind.safety, rate_per_s, kind.loses)


def aimed(plan: DrillPlan, partitions: Iterable[Partition], controller: int) -> DrillPlan:
    """The plan with its roles given to brokers: to the leader and follower that share the most partitions of its topic.

    Neither of them is the active controller, as nothing would elect the follower then. Raises Refused if there is no such pair.
    """
    if not any(step.role for step in plan.steps):
        return plan
    shared = Counter(
        (p.leader, follower)
        for p in partitions
        for follower in p.replicas
        if p.leader >= 0 and follower != p.leader and controller not in (p.leader, follower)
    )
    if not shared:
        raise Refused(
            f"every partition of the drill's topic has a replica on broker {controller}, the active controller",
            "Run it again: Kafka places the replicas differently each time.",
        )
    most = max(shared.values())
    leader, follower = random.Random(plan.seed).choice(sorted(pair for pair, count in shared.items() if count == most))
    roles = {"leader": leader, "follower": follower}
    steps = (replace(s, arguments={"broker": roles[s.role]}) if s.role else s for s in plan.steps)
    return replace(plan, steps=tuple(steps))


def load_of(plan: DrillPlan) -> Scenario:
    """The load that runs meanwhile, on a scratch topic: two producers at a constant rate, and a group of two consumers."""
    safety, longest_s = plan.safety, plan.longest_s
    sends = Producers(
        name="producers",
        topic=TOPIC,
        users=2,
        stages=(Stage(longest_s, plan.rate_per_s, plan.rate_per_s),),
        values=Values(SIZE_BYTES, SIZE_BYTES),
        acks=safety.acks,
        idempotence=safety.acks == "all",
        timeout_s=TIMEOUT_S,
    )
    config = {
        "min.insync.replicas": str(safety.min_isr),
        "unclean.leader.election.enable": str(safety.unclean).lower(),
    }
    return Scenario(
        name=f"drill {plan.scenario}",
        duration_s=longest_s,
        producers=(sends,),
        consumers=(Consumers(TOPIC, users=2),),
        topics=(LoadTopic(TOPIC, PARTITIONS, safety.replication, config),),
        warm_up_s=WARM_UP_S,
        drain_s=30.0,
        seed=plan.seed,
        finest_s=STEP_S,
    )
