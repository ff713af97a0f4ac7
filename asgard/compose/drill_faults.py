"""The part of a drill that breaks things: faults by plan, continuous looks at the cluster, and Thor healing it in parallel.

A fault counts as healed when the cluster has shown its effect and then every replica is in sync again: on brokers that came back,
or on others. Looks query the cluster itself, at most four times a second, so that the times don't depend on Thor's reports.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from asgard.cluster import health
from asgard.cluster.limits import Limits
from asgard.compose import heal
from asgard.core import events
from asgard.core.errors import AsgardError, Interrupted
from asgard.kafka.ports import ControlPlane
from asgard.kafka.target import Target
from asgard.loki import chaos
from asgard.loki.chaos import ChaosSite, Fault
from asgard.loki.drill.result import Struck
from asgard.loki.drill.scenarios import AFTER_S, HEAL_S, DrillPlan, Strike
from asgard.thor.heal.policy import Policy

if TYPE_CHECKING:
    from asgard.loki.load.run import Load
    from asgard.thor.heal.once import Turn

LOOK_S = 0.25
BACK_S = 120.0
"""How long the cluster may take to recover once the drill has put everything back."""
TOLD_S = 10.0
_PASSING = frozenset({"rolling_restart", "restart_broker"})
_UNEVEN = frozenset({"leader-imbalance", "limit-exceeded", "log-dir-over-limit"})
_REMEDIES = frozenset({"restart", "replace", "reassign"})


@dataclass(frozen=True)
class ClusterLook:
    """The cluster at a moment: brokers that are up, those that hold replicas, those that some partition lacks.

    Stricter than "under-replicated": a replica that a move is still adding counts as lacking too, and all must be in sync.
    """

    up: frozenset[int]
    holding: frozenset[int]
    lacking: frozenset[int]
    leaderless: bool

    def shows(self, brokers: tuple[int, ...]) -> bool:
        """Whether it shows that one of these brokers is not serving."""
        return any(b not in self.up or b in self.lacking for b in brokers)

    @property
    def whole(self) -> bool:
        """Whether every replica is in sync; a broker that is gone no longer holds any."""
        return self.holding <= self.up and not self.lacking and not self.leaderless


def look(control: ControlPlane) -> ClusterLook | None:
    """One look; None if no answer came in time."""
    try:
        up = frozenset(b.id for b in control.cluster().brokers if b.state == "up")
        # Without reassignments, a replica being added looks like any other.
        partitions = [p for topic in control.topics(moves=False).values() for p in topic.partitions]
    except AsgardError:
        return None
    holding = frozenset(replica for p in partitions for replica in p.replicas)
    lacking = frozenset(replica for p in partitions for replica in health.missing(p))
    return ClusterLook(up, holding, lacking, any(map(health.offline, partitions)))


@dataclass
class Sights:
    """What Thor saw and did, turn by turn: seconds since 1970 with the unhealthy brokers, and the result."""

    seen: list[tuple[float, frozenset[int]]] = field(default_factory=list)
    done: list[tuple[float, tuple[int, ...], str]] = field(default_factory=list)
    trouble: str = ""

    def report(self, turn: Turn) -> None:
        """Record a turn of the watcher."""
        case, healed = turn.situation, turn.healed
        unwell = {b.id for b in case.gone} | set(case.snapshot.silent)
        unwell |= {b for f in case.findings if f.kind not in _UNEVEN for b in f.brokers}
        if unwell:
            self.seen.append((case.now, frozenset(unwell)))
        if healed.state in ("healed", "failed"):
            events.note(f"thor: {healed}")
            if healed.decision in _REMEDIES:
                self.done.append((case.now, healed.brokers, f"{healed.action}: {healed.outcome}"))

    def complain(self, error: AsgardError) -> None:
        """Record an error of the watcher."""
        self.trouble = error.what

    def noticed(self, fault: Fault) -> float | None:
        """When it first saw that a broker of the fault was unhealthy."""
        return next(
            (at for at, unwell in list(self.seen) if at >= fault.at and unwell.intersection(fault.brokers)), None
        )

    def healing(self, fault: Fault) -> str:
        """The first thing it did about a broker of the fault."""
        return next((what for at, who, what in list(self.done) if at >= fault.at and set(who) & set(fault.brokers)), "")


@contextlib.contextmanager
def watched(target: Target, policy: Policy, limits: Limits, confirm: str | None) -> Iterator[Sights]:
    """`thor watch` in a separate thread, until the block ends; of its events only what `Sights` makes of a turn is shown."""
    over, sights = threading.Event(), Sights()
    healing = heal.Healing(target, policy, limits, heal.Manner(None, confirm))
    report = events.carried(sights.report)

    def watch() -> None:
        try:
            heal.watch(healing, every_s=1.0, over=over, report=report, complain=sights.complain)
        except AsgardError as error:
            sights.complain(error)

    with ThreadPoolExecutor(1, "thor watch") as pool:
        watching = pool.submit(watch)
        try:
            yield sights
        finally:
            over.set()
        watching.result()


@dataclass
class _Standing:
    """A fault that the drill still has open, with what was seen of it (seconds since 1970)."""

    step: Strike
    fault: Fault
    struck: Struck
    shown_at: float | None = None
    back_at: float | None = None


class Breaker:
    """Injects the faults of a plan while a load runs, and ends the load. `struck` has the outcome of each."""

    def __init__(
        self, site: ChaosSite, plan: DrillPlan, load: Load, control: ControlPlane, sights: Sights, over: threading.Event
    ) -> None:
        self.struck: list[Struck] = []
        self.failure: BaseException | None = None
        self._site, self._plan, self._load, self._control = site, plan, load, control
        self._sights, self._over = sights, over
        self._brokers: frozenset[int] = frozenset()
        self._standing: list[_Standing] = []

    def run(self) -> None:
        """All of it; call it in a separate thread. Ends early if `over` is set."""
        try:
            self._run()
        except BaseException as error:  # the main thread raises it after the load has ended
            self.failure = error
        finally:
            self._load.stop()

    def _run(self) -> None:
        while self._load.began_us is None:
            if self._over.wait(0.05):
                return
        self._brokers = frozenset(b.id for b in self._control.cluster().brokers if b.state == "up")
        since = self._load.began_us / 1e6
        for step in self._plan.steps:
            if self._sleep_until(since + step.after_s):
                return
            since = self._break(step)
            if step.alone and not self._until_healed():
                return
            since = time.time() if step.alone else since
        if self._standing and not self._until_healed():
            return
        self._over.wait(AFTER_S)

    def _break(self, step: Strike) -> float:
        fault = chaos.inject(self._site, step.action, **step.arguments)
        assert self._load.began_us is not None
        struck = Struck(
            step.action,
            str(fault),
            fault.brokers,
            round(fault.at - self._load.began_us / 1e6, 2),
            heals=step.action not in _PASSING and step.lasts_s is None,
        )
        self._standing.append(_Standing(step, fault, struck))
        return fault.at

    def _sleep_until(self, at: float) -> bool:
        """Wait, and put back what is due. Returns whether the drill should end."""
        while (left := at - time.time()) > 0:
            if self._over.wait(min(left, 0.05)):
                return True
            self._put_back_what_is_due()
        return self._over.is_set()

    def _put_back_what_is_due(self) -> None:
        for s in self._standing:
            if s.step.lasts_s is not None and s.back_at is None and time.time() >= s.fault.at + s.step.lasts_s:
                chaos.put_back(self._site, s.fault)
                s.back_at = time.time()

    def _until_healed(self) -> bool:
        """Wait until all open faults are healed, or put them back once that takes too long. Returns whether the drill continues."""
        for s in self._standing:  # first: a hung broker may hold up a look
            if s.step.lasts_s is not None and self._sleep_until(s.fault.at + s.step.lasts_s):
                return False
        self._put_back_what_is_due()
        give_up = time.time() + HEAL_S
        while not (healed := self._look()) and time.time() < give_up:
            if self._over.wait(LOOK_S):
                return False
        healed_at = time.time() if healed else None
        if healed_at is not None:
            self._load.mark("recovered", at=healed_at)
            self._until_told()
        for s in self._standing:
            chaos.put_back(self._site, s.fault)
            self.struck.append(self._told(s, healed_at))
        self._standing.clear()
        return self._until_back()

    def _until_told(self) -> None:
        """Thor reports a turn when it is finished, which may be shortly after everything has recovered."""
        give_up = time.time() + TOLD_S
        while time.time() < give_up and not self._over.wait(LOOK_S):
            if all(self._sights.healing(s.fault) for s in self._standing if s.struck.heals):
                return

    def _look(self) -> bool:
        """Look once. Returns whether the effect of each fault was seen and is gone."""
        seen, now = look(self._control), time.time()
        if seen is None:
            return False
        for s in self._standing:
            if s.shown_at is None and seen.shows(s.fault.brokers):
                s.shown_at = now
        over = all(s.shown_at is not None or s.back_at is not None or s.step.action in _PASSING for s in self._standing)
        return over and seen.whole

    def _told(self, s: _Standing, healed_at: float | None) -> Struck:
        noticed_at = self._sights.noticed(s.fault)

        def after(at: float | None) -> float | None:
            return None if at is None else round(at - s.fault.at, 2)

        return replace(
            s.struck,
            kafka_s=after(s.shown_at),
            noticed_s=after(noticed_at),
            healed_s=after(healed_at),
            healing=self._sights.healing(s.fault) or (self._sights.trouble if healed_at is None else ""),
            by_hand=healed_at is None,
        )

    def _until_back(self) -> bool:
        """Wait until every broker is back, including those whose replicas went to others. Returns whether they are."""
        give_up, seen = time.time() + BACK_S, None
        while time.time() < give_up and not self._over.wait(LOOK_S):
            seen = look(self._control)
            if seen is not None and seen.whole and self._brokers <= seen.up:
                return True
        if not self._over.is_set():
            events.note(f"{_not_back(self._brokers, seen)} after everything was put back; the drill ends here")
        return False


def _not_back(brokers: frozenset[int], seen: ClusterLook | None) -> str:
    if seen is None:
        return f"no broker answered within {BACK_S:.0f} s"
    gone = sorted(brokers - seen.up)
    if gone:
        return f"broker {', '.join(map(str, gone))} is not up {BACK_S:.0f} s"
    return f"not every replica is in sync {BACK_S:.0f} s"


@contextlib.contextmanager
def breaking(site: ChaosSite, plan: DrillPlan, load: Load, control: ControlPlane, sights: Sights) -> Iterator[Breaker]:
    """The faults of a plan, in a separate thread. On exit all of them are put back, whatever happened."""
    over = threading.Event()

    def may_go_on() -> None:
        if over.is_set():
            raise Interrupted("the drill ends")

    breaker = Breaker(replace(site, may_go_on=may_go_on), plan, load, control, sights, over)
    thread = threading.Thread(target=events.carried(breaker.run), name="drill faults")
    thread.start()
    try:
        yield breaker
    finally:
        over.set()
        thread.join()
        chaos.put_all_back(site)
    if breaker.failure is not None:
        raise breaker.failure
