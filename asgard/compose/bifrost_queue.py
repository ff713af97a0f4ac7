"""Approved requests become resources: many of them in one `up`, under one lease; failed ones are rolled back alone.

    take what is due -> write the managed file -> commit it -> odin up -> ready

The process may be killed at each arrow: the next run finds the requests as `applying` and repeats the steps, which changes nothing
that was already done.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from asgard.bifrost import notices
from asgard.bifrost.authorise import What
from asgard.bifrost.desired import Desired, undo_of
from asgard.bifrost.gate import Bifrost, demand
from asgard.bifrost.store import queue, rows
from asgard.bifrost.store import requests as stored
from asgard.bifrost.store.requests import Request
from asgard.bifrost.teams import Actor, Environment
from asgard.compose import bifrost_stack as stacks
from asgard.core import events
from asgard.core.errors import AsgardError, Busy, ExitCode, Interrupted, Refused, Unreachable

if TYPE_CHECKING:
    from asgard.journal.store.database import Database as Journal
    from asgard.odin.engine.steps import Failure
    from asgard.odin.lifecycle.apply import ApplyOutcome
    from asgard.odin.spec.model import StackSpec


MOST_LINES = 20
"""At most this many of a run's changes are shown."""


@dataclass
class Applied:
    """What a run of the queue did. `ups`: how often Odin was called; `drift`: what it restored."""

    ready: list[Request] = field(default_factory=list)
    failed: list[Request] = field(default_factory=list)
    later: list[Request] = field(default_factory=list)
    drift: list[str] = field(default_factory=list)
    ups: int = 0


class _Rejected(AsgardError):
    """A plan that can't be carried out, with the failures that explain why."""

    def __init__(self, failures: list[Failure]) -> None:
        super().__init__(failures[0].message, failures[0].hint)
        self.exit_code = failures[0].exit_code
        self.failures = failures


def apply_queue(gate: Bifrost, who: Actor, environment: str | None = None, *, mend: bool = False) -> Applied:
    """Run the queue of one environment by hand, as a data engineer."""
    demand(who, "apply.run", What(), "the queue")
    return run_queue(gate, environment, mend=mend)


def run_queue(gate: Bifrost, environment: str | None = None, *, mend: bool = False, wait_s: float = 0.0) -> Applied:
    """Carry out approved requests until none are left. Raises Busy if another process is doing so.

    `mend` overwrites manual changes, in the managed file and on the cluster.
    """
    from asgard.journal import leases
    from asgard.journal.leases import Priority
    from asgard.journal.store.database import open_journal

    where = gate.environment(environment)
    applied = Applied()
    with open_journal() as journal:
        publish(gate, journal)
        name = f"bifrost/{where.name}/apply"
        with leases.hold(journal, name, priority=Priority.CHANGE, doing="bifrost apply", wait_s=wait_s):
            for _ in range(1000):
                if not _round(gate, where, applied, mend=mend):
                    break
        publish(gate, journal)
    return applied


def waiting(gate: Bifrost, environment: Environment) -> bool:
    """Whether there is anything to carry out."""
    with gate.store.read() as connection:
        now = gate.store.now(connection)
        return bool(queue.dirty(connection, environment.name)) or bool(queue.due(connection, environment.name, now))


def publish_rest(gate: Bifrost) -> None:
    """`publish`, for when no queue runs: people's moves, and those of a run killed before it could publish them."""
    from asgard.journal.store.database import open_journal

    with gate.store.read() as connection:
        if not stored.unjournalled(connection):
            return
    with open_journal() as journal:
        publish(gate, journal)


def publish(gate: Bifrost, journal: Journal) -> None:
    """Write the missing moves of requests to the journal; after a kill -9 one of them may be duplicated."""
    from asgard.bifrost.states import VERBS
    from asgard.journal import events as journalled

    while True:
        with gate.store.read() as connection:
            moves = stored.unjournalled(connection)
        if not moves:
            return
        with journal.write() as connection:
            for move in moves:
                data = {"from": move.before, "to": move.after, "reason": move.reason, "moved_at": move.at}
                journalled.record(
                    journal, f"bifrost.request.{VERBS[move.after]}", move.request, data, actor=move.actor,
                    correlation=move.request, connection=connection,
                )  # fmt: skip
        with gate.store.write() as connection:
            stored.mark_journalled(connection, moves)


def _round(gate: Bifrost, where: Environment, applied: Applied, *, mend: bool) -> bool:
    """One batch. Returns whether there may be more."""
    batch = queue.begin(gate.store, where.name, gate.directory.owner_of)
    with gate.store.read() as connection:
        mark = queue.dirty(connection, where.name)
    if not batch and not mark:
        return False
    try:
        _carry_out(gate, where, batch, applied, mend=mend)
    except AsgardError as error:
        if isinstance(error, Busy | Interrupted):
            moved = queue.put_off(gate.store, where.name, batch, error.what, pause_s=queue.FIRST_PAUSE_S)
        else:
            retries = gate.directory.retries
            moved = queue.take_back(gate.store, where.name, [(r, error.what) for r in batch], retries=retries)
        _told(gate, where, moved, applied)
        raise
    finished = queue.finish(gate.store, where.name, batch)
    queue.clean(gate.store, where.name, mark)
    _told(gate, where, finished, applied)
    return True


def _carry_out(gate: Bifrost, where: Environment, batch: list[Request], applied: Applied, *, mend: bool) -> None:
    """Apply a batch. A request that can't be made is taken back with its reason, and is then no longer in `batch`.

    Raises trouble that is not theirs, with the requests that it holds up still in `batch`.
    """
    while True:
        try:
            spec = _write(gate, where, batch, mend=mend)
            _up(spec, where, batch, applied, mend=mend)
            return
        except _Rejected as error:
            bad = _guilty(batch, error.failures)
            if not bad:
                raise
        except (Busy, Interrupted, Unreachable, Drifted, stacks.GitFailed):
            raise
        except AsgardError as error:
            if not batch:
                raise
            _up_without(gate, where, batch, applied, mend=mend)
            # It is one of theirs, and does not say whose: try half of them without the others.
            bad = [(batch[0], error.what)] if len(batch) == 1 else []
        if bad:
            moved = queue.take_back(gate.store, where.name, bad, retries=0)
            _told(gate, where, moved, applied)
        else:
            half = batch[len(batch) // 2 :]
            why = "tried together with others; one of them can't be made"
            moved = queue.put_off(gate.store, where.name, half, why, pause_s=0.0)
        gone = {r.id for r in moved}
        batch[:] = [r for r in batch if r.id not in gone]


def _up_without(gate: Bifrost, where: Environment, batch: list[Request], applied: Applied, *, mend: bool) -> None:
    """`odin up` as if these requests were not there. Raises what fails even so."""
    with gate.store.read() as connection:
        final = rows.load(connection, where.name)
    text = stacks.part_text(gate, where, stacks.stack_spec(where, part=""), _before(final, batch))
    spec = stacks.stack_spec(where, part=text)
    stacks.write_part(gate, where, text)
    _up(spec, where, [], applied, mend=mend)


class Drifted(Refused):
    """Something that Bifrost would overwrite was changed by hand."""


def _write(gate: Bifrost, where: Environment, batch: list[Request], *, mend: bool) -> StackSpec:
    """Write and commit the managed file: one commit per requester, so that each has an author. Returns the stack with it."""
    bare = stacks.stack_spec(where, part="")
    with gate.store.read() as connection:
        final = rows.load(connection, where.name)
    wanted = stacks.part_text(gate, where, bare, final)
    try:
        stacks.refuse_hand_edits(gate, where, wanted, mend=mend)
    except Refused as error:
        raise Drifted(error.what, error.hint) from None
    # Before it is in place: with a file that can't be read, no command of the stack would work.
    spec = stacks.stack_spec(where, part=wanted)
    steps = _steps(final, batch)
    for author, requests, desired in steps:
        stacks.write_part(gate, where, stacks.part_text(gate, where, bare, desired))
        named = [f"{r.id}: {r.kind} {r.subject} ({r.team})" for r in requests]
        subject = named[0] if len(named) == 1 else f"{len(named)} requests of {author}"
        stacks.commit_part(where, _author(gate, author), f"bifrost {subject}", [] if len(named) == 1 else named)
    stacks.write_part(gate, where, wanted)
    stacks.commit_part(where, _author(gate, queue.WORKER), "bifrost: grants that ended or were withdrawn")
    return spec


def _steps(final: Desired, batch: list[Request]) -> list[tuple[str, list[Request], Desired]]:
    """The desired state after each requester's requests, in order: the last one is the final state."""
    by_requester: dict[str, list[Request]] = {}
    for request in batch:
        by_requester.setdefault(request.requester, []).append(request)
    found = []
    current = _before(final, batch)
    for requester, requests in by_requester.items():
        current = Desired(dict(current.topics), dict(current.users), dict(current.grants))
        for request in requests:
            for table, key, _ in undo_of(request.before or "[]"):
                current.put(table, key, final.table(table).get(key))
        found.append((requester, requests, current))
    return found


def _before(final: Desired, batch: list[Request]) -> Desired:
    """The desired state without these requests."""
    before = Desired(dict(final.topics), dict(final.users), dict(final.grants))
    for request in sorted(batch, key=lambda r: -r.number):
        before.undo(undo_of(request.before or "[]"))
    return before


def _author(gate: Bifrost, name: str) -> str:
    email = next((p.email for p in gate.directory.people() if p.name == name and p.email), None)
    return f"{name} <{email or f'{name}@localhost'}>"


def _up(spec: StackSpec, where: Environment, batch: list[Request], applied: Applied, *, mend: bool) -> None:
    from asgard.compose import up as composed
    from asgard.odin.lifecycle.options import OdinOptions

    # Only losses recorded when the request was judged: its approvers saw those.
    may_lose = {loss["topic"] for r in batch for loss in r.losses}

    def approve(outcome: ApplyOutcome) -> None:
        if outcome.seen is not None and outcome.seen.drifts:
            _look_at_drift(outcome, applied, mend=mend)
        if not outcome.result.ok:
            raise _of(outcome)
        _show_plan(outcome)

    applied.ups += 1
    why = f"{len(batch)} request{'s' if len(batch) > 1 else ''}" if batch else "what is due"
    events.step(f"odin up {spec.name} for {why}")
    options = OdinOptions(frozenset(may_lose), where.confirm)
    outcome = composed.up(spec, options, approve, skip_gate=True)
    if outcome.result.interrupted:
        raise Unreachable("it was interrupted")
    if not outcome.result.ok:
        raise _of(outcome)


def _show_plan(outcome: ApplyOutcome) -> None:
    """What Odin is about to change, a line each, for the person who asked."""
    from asgard.odin.lifecycle import display

    lines = [line for step in display.changes(outcome.result) for line in display.block(step)]
    for line in lines[:MOST_LINES]:
        events.note(line)
    if len(lines) > MOST_LINES:
        events.note(f"  … and {len(lines) - MOST_LINES} more lines")


def _of(outcome: ApplyOutcome) -> AsgardError:
    failures = outcome.result.errors
    if all(f.exit_code == ExitCode.UNREACHABLE for f in failures):
        return Unreachable(failures[0].message, failures[0].hint)
    return _Rejected(failures)


def _look_at_drift(outcome: ApplyOutcome, applied: Applied, *, mend: bool) -> None:
    """What is gone is created again, with a message; what was changed or added by hand waits for an answer."""
    assert outcome.seen is not None
    changed = [d for d in outcome.seen.drifts if d.what in ("changed", "extra")]
    if changed and not mend:
        raise Drifted(
            "changed by hand on the cluster: " + "; ".join(str(d) for d in changed[:5]),
            "`asgard bifrost apply --mend` reverts it; to keep it, request it or add it to the stack file.",
        )
    for drift in outcome.seen.drifts:
        events.warn(f"drift: {drift}; reverting it")
        applied.drift.append(str(drift))


def _guilty(batch: Collection[Request], failures: list[Failure]) -> list[tuple[Request, str]]:
    """The requests that failed resources belong to, each with the reason."""
    found: dict[str, tuple[Request, str]] = {}
    for failure in failures:
        mine = [r for r in batch if _concerns(r, failure.name)]
        for request in mine:
            found.setdefault(request.id, (request, failure.message))
    return list(found.values())


def _concerns(request: Request, resource: str) -> bool:
    ask = request.ask
    names = {t.name for t in ask.topics} | {c.topic for c in ask.changes} | {d.name for d in ask.deletions}
    people = {u.name for u in ask.users} | {a.user for a in ask.access}
    parts = resource.split(":")
    acl = len(parts) >= 5 and any(f"User:{user}" in resource for user in people)
    return resource in names | people or acl or resource in {f"user={user}" for user in people}


def _told(gate: Bifrost, where: Environment, moved: Collection[Request], applied: Applied) -> None:
    lists: dict[str, list[Any]] = {"ready": applied.ready, "failed": applied.failed, "approved": applied.later}
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        for request in moved:
            lists[request.state].append(request)
            if request.state != "approved":
                notices.of_request(connection, gate.directory, request, now)
