"""The watcher's loop: when it looks, what it tries again, and what ends it. Turns are made up; real ones are in tests/integration."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from asgard.core.errors import AsgardError, Busy, Interrupted, Refused, Unreachable
from asgard.kafka.model import Broker, ClusterInfo, Healed
from asgard.thor.heal import watch as loop
from asgard.thor.heal.memory import Memory

Step = Healed | AsgardError


@dataclass
class Story:
    """What each turn comes to, and what the loop did. After the last turn it is over."""

    steps: list[Step]
    states: dict[int, str] = field(default_factory=lambda: {1: "up", 2: "up", 3: "up"})
    silent: tuple[int, ...] = ()
    every_s: float = 0.0
    connections: int = 0
    unasked: list[tuple[int, ...]] = field(default_factory=list)
    reported: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    peeks: int = 0

    @contextlib.contextmanager
    def reach(self) -> Iterator[Any]:
        self.connections += 1
        yield SimpleNamespace(control=SimpleNamespace(cluster=self.cluster))

    def cluster(self) -> ClusterInfo:
        self.peeks += 1
        return ClusterInfo("c", tuple(Broker(b, state=s) for b, s in self.states.items()))  # type: ignore[arg-type]

    def once(self, context: Any, memory: Memory, *, unasked: tuple[int, ...] = ()) -> Any:
        self.unasked.append(unasked)
        step = self.steps.pop(0)
        if not self.steps:
            self.over.set()
        if isinstance(step, AsgardError):
            raise step
        snapshot = SimpleNamespace(brokers=self.cluster().brokers, silent=self.silent)
        up = tuple(b for b, s in self.states.items() if s == "up")
        return SimpleNamespace(healed=step, situation=SimpleNamespace(snapshot=snapshot, up=up), memory=memory)

    def run(self, monkeypatch: pytest.MonkeyPatch) -> Story:
        monkeypatch.setattr(loop, "once", self.once)
        monkeypatch.setattr(loop, "PEEK_S", 0.0)
        monkeypatch.setattr(loop, "LONGEST_PAUSE_S", 0.0)
        loop.watch(
            self.reach,
            every_s=self.every_s,
            over=self.over,
            report=lambda turn: self.reported.append(turn.healed.state),
            complain=lambda error: self.complaints.append(error.what),
        )
        return self


HEALTHY = Healed("healthy", "healthy", "", "")
HEALED = Healed("healed", "restart", "", "")


def test_a_cluster_that_can_not_be_reached_is_connected_to_again(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story([HEALTHY, Unreachable("no broker answers"), Unreachable("no broker answers"), HEALTHY]).run(
        monkeypatch
    )
    assert story.connections == 3
    assert story.complaints == ["no broker answers"] * 2
    assert story.reported == ["healthy", "healthy"]


def test_somebody_else_who_heals_is_no_reason_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story([Busy("held by thor heal"), HEALTHY]).run(monkeypatch)
    assert (story.connections, story.complaints, story.reported) == (1, ["held by thor heal"], ["healthy"])


@pytest.mark.parametrize("error", [Refused("protected"), Interrupted("cut short")])
def test_a_refusal_or_an_interruption_ends_it(monkeypatch: pytest.MonkeyPatch, error: AsgardError) -> None:
    with pytest.raises(type(error)):
        Story([HEALTHY, error, HEALTHY]).run(monkeypatch)


def test_after_a_healing_it_looks_at_once_and_else_in_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story([HEALED, HEALED, HEALTHY], every_s=3600).run(monkeypatch)
    assert story.reported == ["healed", "healed", "healthy"], "without waiting for an hour"


def test_a_broker_that_goes_away_is_looked_at_before_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story([HEALTHY, HEALTHY], every_s=3600)
    before = story.cluster

    def cluster() -> ClusterInfo:
        if story.peeks > 4:
            story.states[3] = "fenced"
        return before()

    story.cluster = cluster  # type: ignore[method-assign]
    assert story.run(monkeypatch).reported == ["healthy", "healthy"]


def test_a_silent_broker_holds_up_one_look_and_is_asked_again_once_it_was_fenced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story = Story([HEALTHY] * 3, silent=(3,)).run(monkeypatch)
    assert story.unasked == [(), (3,), (3,)]
    story = Story([HEALTHY] * 3, silent=(3,), states={1: "up", 2: "up", 3: "fenced"}).run(monkeypatch)
    assert story.unasked == [(), (3,), ()]
