"""Executes one plan: looks, asks `decide` for the next step, and takes it, until the last step.

Every write to the cluster is in the ledger first, so that the next run can continue one that was killed anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from asgard.cluster.held import HeldCluster
from asgard.cluster.limits import Limits
from asgard.cluster.moves import batch, decide, fit, within
from asgard.cluster.moves.back import take_back
from asgard.cluster.moves.decide import Sight
from asgard.cluster.moves.ledger import DONE, Ledger
from asgard.cluster.moves.record import Flight, in_flight
from asgard.cluster.moves.result import Executed, MovesProgress
from asgard.cluster.moves.watch import POLL_S, MovesWatch, Tuner
from asgard.cluster.plan import Change, Plan, Replan
from asgard.core import events as news
from asgard.core.errors import AsgardError
from asgard.kafka.model import DirMove, Move, Partition
from asgard.kafka.temporary import is_unknown_topic

_ELSEWHERE_AFTER_S = 10.0
TopicPartition = tuple[str, int]


@dataclass
class Results:
    """The state of the plan's changes so far."""

    moved: dict[TopicPartition, Change] = field(default_factory=dict)
    already: dict[TopicPartition, Change] = field(default_factory=dict)
    gone: set[TopicPartition] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Execution:
    """See the module. `left` are the changes not yet submitted, `flying` those submitted but not finished."""

    def __init__(
        self,
        held: HeldCluster,
        plan: Plan,
        limits: Limits,
        *,
        throttle: float | Tuner | None,
        ledger: Ledger,
        replan: Replan,
    ) -> None:
        self.held = held
        self.plan = plan
        self.limits = limits
        self.ledger = ledger
        self._replan = replan
        self.watch = MovesWatch(held.control)
        self._throttle = throttle
        self.tally = Results()
        self.left: list[Change] = []
        self.flying: dict[TopicPartition, Change] = {}
        self.inherited: tuple[Flight, ...] = ledger.taken_over
        self.inherited_rate = ledger.rate
        self.progress = MovesProgress(0, 0, 0, 0)
        self._missing_since: dict[TopicPartition, float] = {}
        self._landed: list[Change] = []
        self._lacking: dict[TopicPartition, int] = {}
        self._began = time.monotonic()

    @property
    def rate(self) -> float | None:
        """The throttle for its own moves, in bytes per second and broker; None: none."""
        return self._throttle.rate if isinstance(self._throttle, Tuner) else self._throttle

    def note(self, text: str) -> None:
        """Report something, and keep it for the end."""
        news.note(text)
        self.tally.notes.append(text)

    def start(self, found: fit.Fit) -> None:
        """Resume the plan where it is: moves that an earlier run left in flight become its own again."""
        for change in found.done:
            flight = next((f for f in self.inherited if f.key == _key(change) and f.after == change.after), None)
            if flight is None:
                self.tally.already[_key(change)] = change
            else:
                self.flying[_key(change)] = change
        self.inherited = tuple(f for f in self.inherited if f.key not in self.flying)
        self.left = list(found.todo)
        self.tally.gone |= {_key(c) for c in found.gone}
        if self.flying:
            self._throttle_flying()

    def leave_out(self, theirs: Iterable[Partition]) -> None:
        """Partitions that another tool moves stay as they are."""
        keys = {(p.topic, p.partition) for p in theirs}
        self.tally.refused |= {c.name: "another tool is moving it" for c in self.left if _key(c) in keys}
        self.left = [c for c in self.left if _key(c) not in keys]

    def run(self, may_go_on: Callable[[], None]) -> Executed:
        """Run to the end, or until it must stop. Raises what the control plane and `may_go_on` raise, and LeaseLost."""
        if self.plan.kind == "heal" and self.left:
            self.submit()  # checking every partition takes time in a large cluster
        while True:
            self.look()
            self.progress.tell()
            may_go_on()
            step = decide.next_step(self.sight())
            match step:
                case decide.Submit():
                    self.submit()
                case decide.Wait():
                    time.sleep(POLL_S)
                case decide.GoOn():
                    self.go_on(step)
                case decide.Finish():
                    self.elect(self.tally.already.values())
                    self.misplaced()
                    self.put_back(DONE if not self.tally.refused else f"{DONE}, but for some", keep_cordons=True)
                    return self.executed()
                case decide.HandOver(why):
                    return self.executed(handed_over=why)
                case decide.Pause(why):
                    self.put_back(f"paused: {why}")
                    return self.executed(paused=why)
                case decide.Stop(why, cancel):
                    if cancel:
                        self.cancel(self.flying)
                        self.put_back(f"stopped: {why}")
                    return self.executed(stopped=why)

    def sight(self) -> Sight:
        """What the next step depends on."""
        wanted = self.held.lease.wanted_by
        worse = self.watch.worse({*self.flying, *self.tally.moved, *(_key(c) for c in self.left)})
        return Sight(
            self.plan.kind,
            flying=len(self.flying),
            left=len(self.left),
            inherited=len(self.inherited),
            wanted_by=str(wanted) if wanted else None,
            closed=decide.closed(self.limits, time.time()) if self.left and self.plan.kind != "heal" else None,
            worse=worse,
            hit=len(fit.onto([*self.flying.values(), *self.left], worse.lost)) if worse.lost else 0,
            idle_s=self.watch.idle_s,
        )

    def look(self) -> None:
        """See which moves have finished, how much is left to copy, and how healthy the cluster is."""
        self.watch.look()
        moving = self.held.control.reassignments()
        self.inherited = in_flight(self.inherited, moving)
        going = {(p.topic, p.partition): p for p in moving}
        absent = [c for key, c in self.flying.items() if key not in going or going[key].target_replicas != c.after]
        if absent:
            self._land(absent)
            if not self.flying:
                self.elect(self._landed)
                self._landed = []
        theirs = {f.key for f in self.inherited}
        self._measure([p for key, p in going.items() if key in self.flying or key in theirs])
        if isinstance(self._throttle, Tuner) and self._throttle.tune_if_due(self.watch.up, self.watch.topics.values()):
            self._throttle_flying()

    def _land(self, absent: Collection[Change]) -> None:
        """The controller does not list them as moving: record where they are.

        It lists a move a moment after accepting it, and the broker that is asked for topics may see it even later: only
        in-sync new replicas have arrived, and only a partition that stays elsewhere for a while was moved by another
        tool.
        """
        topics = self.held.control.topics({c.topic for c in absent})
        there = {(p.topic, p.partition): p for t in topics.values() for p in t.partitions}
        now = time.monotonic()
        for change in absent:
            key = _key(change)
            p = there.get(key)
            overdue = now - self._missing_since.setdefault(key, now) > _ELSEWHERE_AFTER_S
            if p is None:
                self._deleted([change])
            elif p.replicas == change.after and (overdue or {*change.after}.difference(change.before) <= {*p.isr}):
                self.tally.moved[key] = change
                self._landed.append(change)
            elif overdue:
                self.tally.refused[change.name] = "its move was cancelled, or it was moved elsewhere in the meantime"
            else:
                continue
            del self.flying[key], self._missing_since[key]

    def _measure(self, moving: Collection[Partition]) -> None:
        lacking = self.watch.lacking(moving)
        if lacking is not None:
            self._lacking = lacking
        landed = sum(c.bytes_moved for c in self.tally.moved.values())
        flying = {key: c.bytes_moved for key, c in self.flying.items()}
        total = landed + sum(flying.values()) + sum(c.bytes_moved for c in self.left)
        # Moves in flight that were not measured yet lack all their bytes.
        left = sum(min(size, self._lacking.get(key, size)) for key, size in flying.items())
        theirs = sum(self._lacking.get(f.key, 0) for f in self.inherited)
        self.watch.at(len(flying) + len(self.inherited), landed + sum(flying.values()) - left, left + theirs)
        self.progress = MovesProgress(
            len(self.tally.moved) + len(flying) + len(self.left),
            len(self.tally.moved),
            total,
            min(total, self.watch.bytes_done),
            self.watch.rate,
            self.rate,
        )

    def submit(self) -> None:
        """Start the next batch: on disk, under the throttle, then to Kafka. Changes that no longer fit are left out."""
        control = self.held.control
        chosen, self.left = batch.first(self.left, self.rate, self.limits)
        found = fit.compare(chosen, control.topics({c.topic for c in chosen}))
        self.tally.already |= {_key(c): c for c in found.done}
        self._deleted(found.gone)
        self.tally.refused |= {c.name: f"another tool moved it to {list(now)}" for c, now in found.changed}
        if not found.todo:
            return
        self.flying = {_key(c): c for c in found.todo}
        self.inherited = tuple(f for f in self.inherited if f.key not in self.flying)
        self._throttle_flying()
        for change, error in self._submitted(found.todo):
            del self.flying[_key(change)]
            if is_unknown_topic(error):
                self._deleted([change])
            else:
                self.tally.refused[change.name] = error.what

    def _submitted(self, changes: Collection[Change]) -> list[tuple[Change, AsgardError]]:
        """Name the log directories of new replicas, then send the moves. Returns the refused ones."""
        ends = {
            DirMove(r, c.topic, c.partition, path): c
            for c in changes
            for r, path in zip(c.after, c.log_dirs, strict=False)
            if path and r not in c.before
        }
        errors = self.held.control.move_directories(list(ends)) if ends else {}
        refused = {_key(ends[move]): (ends[move], error) for move, error in errors.items() if error is not None}
        return [*refused.values(), *self._reassign(c for c in changes if _key(c) not in refused)]

    def misplaced(self) -> None:
        """Report new replicas that are in another log directory than planned because their broker was restarted
        meanwhile."""
        named = [
            (r, c, path)
            for c in self.tally.moved.values()
            for r, path in zip(c.after, c.log_dirs, strict=False)
            if path and r not in c.before
        ]
        disks = self.held.control.disks({r for r, _, _ in named}) if named else {}
        for r, c, path in named:
            there = disks[r].directories.get(_key(c), path) if r in disks else path
            if there != path:
                self.note(
                    f"{c.name} of broker {r} is in {there}, not in {path}: `asgard thor plan disks {r}` looks at it"
                )

    def _throttle_flying(self) -> None:
        flights = [_flight(c, self.rate is not None) for c in self.flying.values()]
        self.ledger.throttle([*self.inherited, *flights], self._rate())

    def _rate(self) -> float | None:
        if self.rate is not None:
            return self.rate
        return self.inherited_rate if any(f.throttled for f in self.inherited) else None

    def _reassign(self, changes: Iterable[Change]) -> list[tuple[Change, AsgardError]]:
        """Send the moves; only a plan for another replication factor may change one. Returns the refused ones."""
        kinds = {self.plan.kind, *(self.plan.arguments if self.plan.kind == "undo" else ())}
        may = not kinds.isdisjoint(("set-rf", "reassign"))
        by_key = {_key(c): c for c in changes}
        errors: dict[TopicPartition, AsgardError | None] = {}
        for other in (False, True):
            moves = [
                Move(c.topic, c.partition, c.after)
                for c in by_key.values()
                if (may and len(c.after) != len(c.before)) is other
            ]
            if moves:
                errors |= self.held.control.reassign(moves, allow_replication_factor_change=other)
        return [(by_key[key], error) for key, error in errors.items() if error is not None]

    def _deleted(self, changes: Collection[Change]) -> None:
        if changes:
            self.tally.gone |= {_key(c) for c in changes}
            names = ", ".join(sorted({c.topic for c in changes}))
            self.note(f"{names} was deleted in the meantime: {len(changes)} of its moves are skipped")

    def go_on(self, step: decide.GoOn) -> None:
        """Continue without lost brokers: moves to them are cancelled, and planned again with the rest."""
        from asgard.cluster import look

        self.watch.excuse(step.without)
        self.note(f"{step.why}; the {self.plan.kind} continues without it")
        if not step.replan:
            return
        hit = {_key(c): c for c in fit.onto(self.flying.values(), step.without)}
        self.cancel(hit)
        left = [*hit.values(), *self.left]
        made = self._replan(self.plan, left, look.take(self.held.control), self.limits)
        self.left = [c for c in made.changes if _key(c) not in self.flying]
        self.note(f"planned anew: {len(self.left)} moves are left")
        for unmet in made.unmet:
            if unmet.required:
                self.tally.refused |= dict.fromkeys(unmet.subjects, unmet.why)

    def cancel(self, flying: Iterable[TopicPartition]) -> None:
        """Cancel moves; they remain to be done."""
        changes = [self.flying.pop(key) for key in list(flying)]
        take_back(self.held.control, [_flight(c) for c in changes])
        self.left = [*changes, *self.left]

    def elect(self, changes: Iterable[Change]) -> None:
        """Make the first replica of these partitions the leader if it is not."""
        ours = {_key(c): c.after for c in changes}
        topics = self.held.control.topics({topic for topic, _ in ours})
        wrong = [
            (p.topic, p.partition)
            for t in topics.values()
            for p in t.partitions
            if ours.get((p.topic, p.partition)) == p.replicas and p.leader != p.replicas[0]
        ]
        errors = self.held.control.elect_preferred_leaders(wrong) if wrong else {}
        for (topic, partition), error in errors.items():
            if error is not None and not is_unknown_topic(error):
                self.tally.notes.append(f"{topic}-{partition} keeps its leader: {error.what}")

    def put_back(self, outcome: str, keep_cordons: bool = False) -> None:
        """All temporary settings, except those that inherited moves still need."""
        self.ledger.throttle(self.inherited, self.inherited_rate if self.inherited else None)
        self.ledger.throttle_dirs(within.in_flight(self.held.control, self.ledger.record.dirs), self.ledger.dirs_rate)
        if keep_cordons and self.plan.kind == "drain":
            self.ledger.keep_cordons()
        else:
            self.ledger.lift_cordons()
        self.ledger.close(outcome)
        for setting in self.ledger.foreign:
            self.note(f"{setting} was changed by another tool in the meantime and stays")

    def executed(self, **how: str) -> Executed:
        """The result."""
        return replace(
            Executed(
                self.plan.title,
                moved=len(self.tally.moved),
                bytes_moved=sum(c.bytes_moved for c in self.tally.moved.values()),
                already=len(self.tally.already),
                gone=len(self.tally.gone),
                left=len(self.left) + len(self.flying),
                flying=len(self.flying),
                refused=self.tally.refused,
                notes=tuple(self.tally.notes),
                seconds=time.monotonic() - self._began,
            ),
            **how,  # type: ignore[arg-type]
        )


def _key(change: Change) -> TopicPartition:
    return change.topic, change.partition


def _flight(change: Change, throttled: bool = False) -> Flight:
    return Flight(change.topic, change.partition, change.before, change.after, throttled)
