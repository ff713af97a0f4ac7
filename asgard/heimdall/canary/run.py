"""The canary at work: rounds until it is stopped, its partitions kept at home, and the proof that nothing was lost.

A separate thread looks at the cluster, so that a hung broker that happens to be asked for metadata does not hold up the rounds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from asgard.core import events
from asgard.core.errors import AsgardError, Busy, Failed
from asgard.heimdall.canary import placing, probe
from asgard.heimdall.canary.judge import BrokerTally, CanaryState, News, Probe, Try, count
from asgard.heimdall.canary.placing import Placement
from asgard.kafka.connection import Connection
from asgard.kafka.model import Broker, LossVerdict, NewTopic, Partition
from asgard.kafka.ports import ControlPlane, LossWitness

TOPIC = "asgard-canary"
CONFIG = {"retention.ms": str(24 * 3600 * 1000), "segment.ms": str(3600 * 1000), "cleanup.policy": "delete"}
LOOK_S = 2.0
PROVE_S = 300.0
READY_S = 30.0
OFFSETS_TOPIC = "__consumer_offsets"


@dataclass(frozen=True)
class CanarySettings:
    """`every_s` between rounds, `within_s` for an answer. `topic` must be the canary's alone.

    It ends after `duration_s`, or after so many `rounds`; None: when it is stopped.
    """

    every_s: float = 1.0
    within_s: float = 2.0
    topic: str = TOPIC
    duration_s: float | None = None
    rounds: int | None = None


@dataclass(frozen=True)
class Look:
    """The cluster as far as the canary needs it. `starts`: where to begin to read partitions that are new.

    `coordinated`: every group of the cluster has a coordinator, so it is known which brokers are coordinators.
    """

    brokers: Mapping[int, Broker]
    partitions: Mapping[int, Partition]
    groups: Mapping[int, str]
    placement: Placement
    coordinated: bool
    starts: Mapping[int, int] = field(default_factory=dict)


@dataclass
class CanaryResult:
    """What a run found. `verdict`: the proof at its end; None if the cluster could not be read."""

    tallies: dict[int, BrokerTally] = field(default_factory=dict)
    news: list[News] = field(default_factory=list)
    verdict: LossVerdict | None = None
    rounds: int = 0


Change = Callable[[], AbstractContextManager[object]]
"""Held while partitions are placed; raises Busy if something else is changing the cluster."""


def run(
    control: ControlPlane,
    connection: Connection,
    witness: LossWitness,
    settings: CanarySettings,
    *,
    change: Change,
    tell: Callable[[News], None],
    proved: Callable[[LossVerdict], None],
    stop: threading.Event,
    before: Mapping[int, CanaryState],
) -> CanaryResult:
    """Rounds until `stop` is set, or the settings' time or number of rounds is over; then the proof.

    `tell` gets each broker whose state changes (at first from `before`, see `judge.count`), `proved` each proof. Raises Failed if the topic can't be created.
    """
    result = CanaryResult()
    look = _begin(control, settings, change)
    end = None if settings.duration_s is None else time.monotonic() + settings.duration_s
    prove_at = time.monotonic() + PROVE_S
    with (
        ThreadPoolExecutor(1, "canary-look") as pool,
        probe.Clients(connection, settings.topic, settings.within_s, witness) as clients,
    ):
        clients.watch(look.starts)
        _warm_up(clients, look)
        looking: Future[Look] | None = None
        looked_at = time.monotonic()
        while not stop.is_set() and (end is None or time.monotonic() < end):
            began = time.monotonic()
            news = count(result.tallies, _round(clients, control, look, settings), before)
            result.rounds += 1
            for one in news:
                result.news.append(one)
                tell(one)
            if settings.rounds is not None and result.rounds >= settings.rounds:
                break
            if looking is not None and looking.done():
                look, looking = _taken(looking, look), None
                clients.watch(look.starts)
            if looking is None and time.monotonic() - looked_at >= LOOK_S:
                looked_at = time.monotonic()
                looking = pool.submit(events.carried(_keep), control, settings, change, look)
            if time.monotonic() >= prove_at:
                result.verdict = _prove(witness, proved)
                prove_at = time.monotonic() + PROVE_S
            stop.wait(max(0.0, settings.every_s - (time.monotonic() - began)))
    result.verdict = _prove(witness, proved) or result.verdict
    return result


def _begin(control: ControlPlane, settings: CanarySettings, change: Change) -> Look:
    """Create the topic, bring its partitions home, and wait until each broker that is up leads one."""
    give_up = time.monotonic() + READY_S
    while True:
        look = _keep(control, settings, change)
        if look.partitions and not look.coordinated and time.monotonic() < give_up:
            if not look.groups:
                # Kafka creates the topic of commits when the first group asks for its coordinator.
                control.commit_offsets(f"{placing.GROUP}-first", {(settings.topic, 0): 0})
            time.sleep(0.2)
            continue
        up = [b for b, broker in look.brokers.items() if broker.state == "up"]
        home = [b for b in up if b in look.placement.of and look.partitions[look.placement.of[b]].leader == b]
        if look.placement.done and len(home) == len(up):
            return look
        if time.monotonic() > give_up:
            away = ", ".join(str(b) for b in up if b not in home)
            events.warn(f"broker {away} does not lead its canary partition yet")
            return look
        time.sleep(0.2)


def _keep(control: ControlPlane, settings: CanarySettings, change: Change, before: Look | None = None) -> Look:
    """Look at the cluster, and bring home any partition that is elsewhere. `before`: the look before this one."""
    look = _look(control, settings.topic)
    if look.placement.done:
        return replace(look, starts=_starts(control, settings.topic, look, before))
    try:
        with change():
            _place(control, settings.topic, look)
    except Busy as error:
        events.note(f"the canary's partitions stay where they are for now: {error.what}")
    look = _look(control, settings.topic)
    return replace(look, starts=_starts(control, settings.topic, look, before))


def _look(control: ControlPlane, topic: str) -> Look:
    brokers = {broker.id: broker for broker in control.cluster().brokers}
    topics = control.topics([topic, OFFSETS_TOPIC])
    partitions = topics[topic].partitions if topic in topics else ()
    placement = placing.place(partitions, list(brokers.values()), _replication(brokers))
    leaders = {p.partition: p.leader for p in topics[OFFSETS_TOPIC].partitions} if OFFSETS_TOPIC in topics else {}
    coordinated = bool(leaders) and all(leader >= 0 for leader in leaders.values())
    groups = placing.groups(leaders, brokers)
    return Look(brokers, {p.partition: p for p in partitions}, groups, placement, coordinated)


def _replication(brokers: Mapping[int, Broker]) -> int:
    return min(3, len(brokers))


def _place(control: ControlPlane, topic: str, look: Look) -> None:
    placement = look.placement
    if not look.partitions:
        new = NewTopic(topic, placement.add, _replication(look.brokers), CONFIG)
        error = control.create_topics([new])[topic]
        if error is not None:
            raise Failed(f"the canary's topic {topic} can't be created: {error.what}", error.hint)
        events.note(f"created topic {topic}")
        _wait_for(control, topic, placement.add)
        return
    if placement.add:
        error = control.create_partitions({topic: len(look.partitions) + placement.add})[topic]
        if error is not None:
            raise Failed(f"topic {topic} can't be given another partition: {error.what}", error.hint)
    if placement.moves:
        for (_, number), refused in control.reassign(placement.moves, allow_replication_factor_change=True).items():
            if refused is not None:
                events.warn(f"partition {number} of {topic} can't be moved: {refused.what}")
    if placement.elections:
        control.elect_preferred_leaders(placement.elections)


def _wait_for(control: ControlPlane, topic: str, partitions: int) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        found = control.topics([topic])
        if topic in found and len([p for p in found[topic].partitions if p.leader >= 0]) >= partitions:
            return
        time.sleep(0.1)


def _starts(control: ControlPlane, topic: str, look: Look, before: Look | None) -> dict[int, int]:
    """Next offsets of the partitions that the look before did not have; one without a leader begins at its end (-1) once it has one."""
    new = [p for number, p in look.partitions.items() if before is None or number not in before.partitions]
    found = control.leader_offsets(new, deadline_s=LOOK_S) if new else {}
    return {p.partition: found.get((topic, p.partition), -1) for p in new}


def _warm_up(clients: probe.Clients, look: Look) -> None:
    """Connect and find coordinators before the first round counts."""
    until = time.monotonic() + READY_S / 3
    while time.monotonic() < until:
        tried = clients.round(look.placement.of, look.groups)
        up = [b for b in tried if look.brokers[b].state == "up"]
        if all(t is None or t.well for b in up for t in tried[b]):
            return


def _round(clients: probe.Clients, control: ControlPlane, look: Look, settings: CanarySettings) -> Iterator[Probe]:
    tried = clients.round(look.placement.of, look.groups)
    doubtful = {
        broker: look.brokers[broker]
        for broker, (produce, consume, commit) in tried.items()
        if not (_led(look, broker) and produce.well and consume.well and (commit is None or commit.well))
    }
    knocked = probe.knock(control, doubtful, settings.within_s)
    for broker, (produce, consume, commit) in tried.items():
        led = _led(look, broker)
        if not led:
            elsewhere = Try(error="another broker leads its partition")
            produce = consume = elsewhere
            commit = None
        accepts, answers = knocked.get(broker, (None, None))
        yield Probe(broker, led, produce, consume, commit, look.brokers[broker].state, accepts, answers)


def _led(look: Look, broker: int) -> bool:
    return look.partitions[look.placement.of[broker]].leader == broker


def _taken(looking: Future[Look], before: Look) -> Look:
    try:
        return looking.result()
    except AsgardError as error:
        events.note(f"the cluster could not be looked at: {error.what}")
        return before


def _prove(witness: LossWitness, proved: Callable[[LossVerdict], None]) -> LossVerdict | None:
    try:
        verdict = witness.prove()
    except AsgardError as error:
        events.warn(f"what was acknowledged could not be read back: {error.what}")
        return None
    proved(verdict)
    return verdict
