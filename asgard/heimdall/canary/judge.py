"""What a round says of a broker, from two sides: what clients got, and what the cluster and the machine say. Pure.

Latencies are seconds; None: not measured, or no answer in time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from asgard.kafka.model import BrokerState


class CanaryState(StrEnum):
    """`hung`: connections are accepted, and nothing is answered. `down`: they are refused. `silent`: it is only known that clients
    get no answer. `failing`: it answers, but refuses. `away`: it serves, but another broker leads its partition right now."""

    OK = "ok"
    HUNG = "hung"
    DOWN = "down"
    SILENT = "silent"
    FAILING = "failing"
    AWAY = "away"


@dataclass(frozen=True)
class Try:
    """One thing a client tried. `error` is empty if it worked."""

    seconds: float | None = None
    error: str = ""

    @property
    def well(self) -> bool:
        """Whether it worked in time."""
        return self.seconds is not None


@dataclass(frozen=True)
class Probe:
    """A round with one broker. `led`: it led its partition; `commit` None: it coordinates no group. `cluster`: what the others say about it.

    `accepts`: its port takes connections; `answers`: it answers a direct request. None: not asked, as clients were well.
    """

    broker: int
    led: bool
    produce: Try
    consume: Try
    commit: Try | None
    cluster: BrokerState | None = None
    accepts: bool | None = None
    answers: bool | None = None

    @property
    def clients_well(self) -> bool:
        """Whether everything that was tried worked."""
        return self.produce.well and self.consume.well and (self.commit is None or self.commit.well)

    @property
    def state(self) -> CanaryState:
        """Both sides in one word."""
        if self.led and self.clients_well:
            return CanaryState.OK
        if self.accepts is False:
            return CanaryState.DOWN
        if self.accepts and self.answers is False:
            return CanaryState.HUNG
        if self.answers:
            return CanaryState.FAILING if self.led else CanaryState.AWAY
        return CanaryState.SILENT

    @property
    def sentence(self) -> str:
        """Both sides in words."""
        failed = [name for name, tried in self.tries() if not tried.well]
        clients = "clients are served" if not failed else f"clients can't {' or '.join(failed)}"
        if not self.led:
            clients = "another broker leads its partition"
        machine = {
            CanaryState.HUNG: "; its port accepts connections, but no request is answered",
            CanaryState.DOWN: "; its port refuses connections",
            CanaryState.FAILING: "; it answers other requests",
        }.get(self.state, "")
        cluster = f"; the cluster says it is {self.cluster}" if self.cluster else ""
        return f"{clients}{machine}{cluster}"

    def tries(self) -> list[tuple[str, Try]]:
        """What was tried, by name."""
        tried = [("produce", self.produce), ("consume", self.consume)]
        return tried + ([("commit", self.commit)] if self.commit is not None else [])


@dataclass
class Times:
    """How often something was tried, how often it worked, and how long that took."""

    tried: int = 0
    worked: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, one: Try) -> None:
        """Count one."""
        self.tried += 1
        if one.seconds is not None:
            self.worked += 1
            self.seconds.append(one.seconds)
            del self.seconds[:-_KEPT]

    @property
    def availability(self) -> float | None:
        """The share that worked, 0 to 1; None if nothing was tried."""
        return self.worked / self.tried if self.tried else None

    def quantile(self, share: float) -> float | None:
        """A quantile of the latest latencies; None if there are none."""
        ordered = sorted(self.seconds)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


_KEPT = 10_000
_NOTHING: Mapping[int, CanaryState] = {}
KINDS = ("produce", "consume", "commit")


@dataclass
class BrokerTally:
    """All rounds of a broker."""

    broker: int
    rounds: int = 0
    state: CanaryState | None = None
    sentence: str = ""
    times: dict[str, Times] = field(default_factory=lambda: {kind: Times() for kind in KINDS})


@dataclass(frozen=True)
class News:
    """A broker changed its state."""

    broker: int
    before: CanaryState | None
    state: CanaryState
    sentence: str

    @property
    def bad(self) -> bool:
        """Whether clients are not served."""
        return self.state not in (CanaryState.OK, CanaryState.AWAY)


def count(
    tallies: dict[int, BrokerTally], probes: Iterable[Probe], before: Mapping[int, CanaryState] = _NOTHING
) -> list[News]:
    """Count a round; returns the brokers whose state changed. A broker that starts out well is not reported.

    `before`: the brokers that did not serve clients when an earlier canary ended: that one is well again is news.
    A round in which the broker did not lead its partition says nothing about how it serves clients, unless it is down or hung.
    """
    news = []
    for probe in probes:
        tally = tallies.setdefault(probe.broker, BrokerTally(probe.broker, state=before.get(probe.broker)))
        tally.rounds += 1
        if probe.state is not CanaryState.AWAY:
            for kind, tried in probe.tries():
                tally.times[kind].add(tried)
        starts_well = tally.state is None and probe.state in (CanaryState.OK, CanaryState.AWAY)
        if probe.state is not tally.state and not starts_well:
            news.append(News(probe.broker, tally.state, probe.state, probe.sentence))
        tally.state, tally.sentence = probe.state, probe.sentence
    return news


def healthy(tallies: Mapping[int, BrokerTally]) -> bool:
    """Whether every broker served in its latest round."""
    return bool(tallies) and all(tally.state in (CanaryState.OK, CanaryState.AWAY) for tally in tallies.values())


def ordered(tallies: Mapping[int, BrokerTally]) -> Sequence[BrokerTally]:
    """By broker."""
    return [tallies[broker] for broker in sorted(tallies)]
