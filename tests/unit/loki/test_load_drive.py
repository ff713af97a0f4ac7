"""The loops of producers, against a cluster that is a table of answer times, on a clock that only they move."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from asgard.loki.load import drive
from asgard.loki.load.pace import SendSchedule
from asgard.loki.load.scenario import Stage

MS = 1_000_000


class World:
    """A clock in nanoseconds, and a sender whose records are answered `takes(now)` nanoseconds after they were sent."""

    def __init__(self, takes: Callable[[int], int], room: int = 10**9) -> None:
        self.now = 0
        self.takes = takes
        self.most = room
        self.waiting: list[tuple[int, int, int]] = []  # answered at, due, sent
        self.answers: list[tuple[int, int]] = []  # due, sent, in order of the answers
        self.latencies_ms: list[float] = []
        self.from_send_ms: list[float] = []
        self.batches: list[int] = []
        self.longest_wait_s = 0.0

    # what the loops call
    @property
    def in_flight(self) -> int:
        return len(self.waiting)

    @property
    def room(self) -> int:
        return self.most - self.in_flight

    def send(self, due_ns: list[int]) -> None:
        assert len(due_ns) <= self.room
        assert all(due <= self.now for due in due_ns), "nothing is sent before it is due"
        self.batches.append(len(due_ns))
        self.waiting += [(self.now + self.takes(self.now), due, self.now) for due in due_ns]

    def send_now(self, count: int) -> None:
        self.send([self.now] * count)

    def breathe(self, wait_s: float) -> None:
        self.longest_wait_s = max(self.longest_wait_s, wait_s)
        self.now += max(int(wait_s * 1e9), 10_000)  # a turn costs 10 µs
        for answer in [w for w in self.waiting if w[0] <= self.now]:
            self.waiting.remove(answer)
            at, due, sent = answer
            self.latencies_ms.append((at - due) / MS)
            self.from_send_ms.append((at - sent) / MS)

    def give_up(self) -> None:
        self.waiting.clear()

    @staticmethod
    def never() -> bool:
        return False


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    def go(loop: str, world: World, **how: object) -> World:
        monkeypatch.setattr(drive.time, "monotonic_ns", lambda: world.now)
        monkeypatch.setattr(drive.time, "monotonic", lambda: world.now / 1e9)
        if loop == "open":
            unsent = drive.open_loop(
                world, how["pace"], 0, how.get("most"), world.breathe, how.get("over", world.never)
            )  # type: ignore[arg-type]
            how["left"] = unsent
        else:
            drive.closed_loop(world, how["in_flight"], how["most"], world.breathe, world.never)  # type: ignore[arg-type]
        drive.settle(world, 60, world.breathe)  # type: ignore[arg-type]
        return world

    return go


def test_an_open_loop_sends_what_is_due_in_slices_of_at_most_5_ms(run: Callable[..., World]) -> None:
    world = run("open", World(lambda now: 2 * MS), pace=SendSchedule([Stage(2, 1000, 1000)]))
    assert len(world.latencies_ms) == 2000
    assert world.longest_wait_s <= 0.005
    assert max(world.latencies_ms) <= 2 + 5 + 5


def test_a_cluster_that_hangs_shows_in_an_open_loop_and_hides_from_a_closed_one(run: Callable[..., World]) -> None:
    def hangs(now: int) -> int:
        """2 ms, but nothing is answered between second 3 and second 6."""
        return max(2 * MS, 6_000 * MS - now) if 3_000 * MS <= now < 6_000 * MS else 2 * MS

    honest = sorted(run("open", World(hangs), pace=SendSchedule([Stage(20, 200, 200)])).latencies_ms)
    # One request after the other, the next when the last was answered: three seconds cost one bad figure.
    blind = sorted(run("closed", World(hangs), in_flight=1, most=3000).latencies_ms)
    assert honest[int(len(honest) * 0.9)] > 900, "15 % of the records were due while nothing was answered"
    assert blind[int(len(blind) * 0.999)] < 20


def test_what_a_full_client_held_up_is_sent_late_and_the_lateness_counts(run: Callable[..., World]) -> None:
    slow = run("open", World(lambda now: 1000 * MS, room=10), pace=SendSchedule([Stage(1, 100, 100)]))
    assert len(slow.latencies_ms) == 100, "none is left out"
    assert max(slow.from_send_ms) < 1100
    assert max(slow.latencies_ms) > 8000


def test_a_closed_loop_sends_batches_of_500_and_never_has_more_in_flight_than_it_may(run: Callable[..., World]) -> None:
    world = run("closed", World(lambda now: 5 * MS, room=2000), in_flight=2000, most=10_100)
    assert len(world.latencies_ms) == 10_100
    assert max(world.batches) == 500
    alone = run("closed", World(lambda now: 5 * MS, room=1), in_flight=1, most=20)
    assert alone.batches == [1] * 20


def test_what_is_over_is_not_sent_any_more(run: Callable[..., World]) -> None:
    world = World(lambda now: 2 * MS)
    run("open", world, pace=SendSchedule([Stage(10, 100, 100)]), over=lambda: world.now > 1000 * MS)
    assert 95 <= len(world.latencies_ms) <= 105
