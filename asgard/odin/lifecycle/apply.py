"""Preview, up and destroy: what would change, what it would lose, and the change itself under the stack's leases.

    look at the cluster -> nothing to do? -> engine preview -> losses -> approval -> claims -> engine up -> context, event

`approve` is passed by the caller: it gets the planned outcome, shows it and asks; it raises to stop. Whatever happens,
what was done is in the state.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from asgard.core import events
from asgard.core.errors import Refused, Unreachable
from asgard.odin import program as programs
from asgard.odin import targets
from asgard.odin.engine.goals import DesiredStack
from asgard.odin.engine.state import State, StateStore
from asgard.odin.engine.steps import Event, OnEvent, Result
from asgard.odin.lifecycle import gate as gates
from asgard.odin.lifecycle import register, roll, shared
from asgard.odin.lifecycle.credentials import check_credentials, passwords_of
from asgard.odin.lifecycle.display import one_way
from asgard.odin.lifecycle.drift import Drift, DriftReport, look
from asgard.odin.lifecycle.losses import losses_of, topics_of
from asgard.odin.lifecycle.options import OdinOptions
from asgard.odin.lifecycle.passphrase import passphrase
from asgard.odin.lifecycle.propagation import wait_for_access
from asgard.odin.lifecycle.removals import refused_removals
from asgard.odin.lifecycle.session import Session, changing, reading
from asgard.odin.lifecycle.unchanged import untouched
from asgard.odin.resources.kinds import KINDS
from asgard.odin.spec.model import StackSpec

if TYPE_CHECKING:
    from asgard.journal.operations import Leftovers
    from asgard.kafka.model import GateVerdict
    from asgard.odin.engine.cli_engine import CliEngine
    from asgard.odin.engine.run import Engine
    from asgard.odin.resources.dataloss import Loss


@dataclass
class ApplyOutcome:
    """What was planned or done. `quick`: there was nothing to do, and the program did not have to run to find out.
    `wanted`: what a plan is about. `gate`: the result of the load, if it was due. `replaced`: the nodes that get new
    machines after the program."""

    result: Result
    losses: list[Loss] = field(default_factory=list)
    seen: DriftReport | None = None
    wanted: DesiredStack | None = None
    quick: bool = False
    gate: GateVerdict | None = None
    replaced: frozenset[int] = frozenset()

    @property
    def changes(self) -> bool:
        """Whether anything outside the state is to change."""
        return self.result.has_changes or bool(self.replaced)


Approve = Callable[[ApplyOutcome], None]


def preview(spec: StackSpec, options: OdinOptions, leftovers: Leftovers) -> ApplyOutcome:
    """What `up` would do."""
    options = options.fitting(spec)
    with reading(spec.name, spec) as session:
        session.store = shared.pull(session.ref, session.store, spec, writing=False)
        planned = _plan(session, spec, options)
        session.report(leftovers, session.store.load())
        return planned


def up(
    spec: StackSpec,
    options: OdinOptions,
    approve: Approve,
    *,
    leftovers: Leftovers,
    gatekeeper: gates.Gatekeeper | None = None,
) -> ApplyOutcome:
    """Bring the cluster to what the stack file says. Raises Refused if data would be lost without permission.

    If a gate is due, the `gatekeeper` runs it; without one it stays due, and the journal records that.
    """
    options = options.fitting(spec)
    with changing(spec.name, spec, doing=f"odin up {spec.name}", leftovers=leftovers) as session:
        register.check_protection(session, options.confirm)
        planned = _plan(session, spec, options)
        if planned.quick:
            return _gated(session, spec, planned, gatekeeper)
        approve(planned)
        _refuse_losses(planned.losses, options)
        register.check_one_way(session, one_way(planned.result), options.confirm)
        register.claim_all(session, spec)
        outcome = _apply(session, spec, options, planned)
        if planned.seen is not None and planned.seen.unseen and outcome.result.ok:
            # Nodes were down, so the state of the rest could not be read from the cluster; now it can.
            again = _plan(session, spec, options)
            if not again.quick:
                approve(again)  # these changes have not been shown yet
                _refuse_losses(again.losses, options)
                later = _apply(session, spec, options, again)
                later.result.steps = outcome.result.steps + [s for s in later.result.steps if s.op != "same"]
                outcome = later
        return _gated(session, spec, outcome, gatekeeper)


def destroy(
    name: str,
    options: OdinOptions,
    approve: Approve,
    *,
    leftovers: Leftovers,
) -> ApplyOutcome:
    """Delete everything that the stack's state holds, then the state. Naming the stack allows the loss of its records."""
    with changing(name, doing=f"odin destroy {name}", leftovers=leftovers) as session:
        state = session.store.load()
        options = options.fitting(None, (record["type"] for record in state.live.values()))
        planned = ApplyOutcome(engine(session, options, state).destroy(dry_run=True))
        planned.losses = losses_of(planned.result, session, state)
        approve(planned)
        if options.confirm != name:
            raise Refused(f"destroying stack {name} requires its name", f"To destroy it: --confirm {name}")
        cluster_id = session.cluster_id(state)
        # All of them, not just those with known losses: the contents of a partition without a leader are unknown.
        everything = topics_of(planned.result)
        session.forget_connection()
        if _forget_applied(state):
            session.store.save(state)
        register.say_never_ready(session, state)
        outcome = ApplyOutcome(
            engine(session, options.allowing(everything), state, on_event=_telling(f"odin destroy {name}")).destroy(),
            losses=planned.losses,
        )
        register.destroyed(session, cluster_id, outcome.result)
        return outcome


def refresh(name: str, spec: StackSpec | None, leftovers: Leftovers) -> DriftReport:
    """Update the state to what really exists; the cluster stays as it is."""
    with changing(name, spec, doing=f"odin refresh {name}", leftovers=leftovers) as session:
        state = session.store.load()
        seen = _look(session, state)
        if seen.drifts or _clouds(state):
            _forget_applied(seen.state)
            session.store.save(seen.state)
        return replace(seen, drifts=seen.drifts + _in_the_cloud(session, state, dry_run=False))


def drift(name: str, spec: StackSpec | None, leftovers: Leftovers) -> DriftReport:
    """What differs from the state."""
    with reading(name, spec) as session:
        session.store = shared.pull(session.ref, session.store, spec, writing=False)
        state = session.store.load()
        seen = _look(session, state)
        session.report(leftovers, state)
        return replace(seen, drifts=seen.drifts + _in_the_cloud(session, state, dry_run=True))


def _in_the_cloud(session: Session, state: State, *, dry_run: bool) -> tuple[Drift, ...]:
    """What was changed by hand in a cloud that the stack uses: the Pulumi CLI reads every resource. Raises Unreachable if
    the cloud can't be reached."""
    clouds = _clouds(state)
    if not clouds:
        return ()
    found = engine(session, OdinOptions(engine="pulumi"), state).refresh(dry_run=dry_run)
    if found.errors:
        names = " or ".join(sorted({cloud.name for cloud in clouds.values()}))
        raise Unreachable(f"can't ask {names} what changed: {found.errors[0].message}", "Check the credentials.")
    return tuple(
        Drift(
            "gone" if step.op == "delete" else "changed",
            step.type,
            step.name,
            step.urn,
            words=cloud.changed(step.type, step.name, step.old, None if step.op == "delete" else step.new),
        )
        for step in found.steps
        if (cloud := clouds.get(step.type)) and step.op in ("refresh", "delete")
    )


def _clouds(state: State) -> dict[str, targets.Cloud]:
    """The clouds that the stack uses, by type of resource."""
    return {token: cloud for token in {r["type"] for r in state.live.values()} if (cloud := targets.cloud_of(token))}


def credentials_refused(name: str, spec: StackSpec | None) -> dict[str, str]:
    """Users of the stack whose recorded password the cluster rejects, and why."""
    with reading(name, spec) as session:
        state = session.store.load()
        connection = session.connection(state)
        if connection is None:
            return {}
        found = check_credentials(name, state, connection)
    return {user: error.what for user, error in found.items() if error is not None}


def _look(session: Session, state: State) -> DriftReport:
    return look(state, session.observed(state), session.ref, register.acls_of_others(session, state))


def _plan(session: Session, spec: StackSpec, options: OdinOptions) -> ApplyOutcome:
    state = session.store.load()
    seen = _look(session, state) if state.live else DriftReport((), state)
    outdated = roll.outdated(spec) if state.live else set()
    if not outdated and _nothing_to_do(session, spec, state, seen):
        return ApplyOutcome(register.unchanged(state), seen=seen, quick=True)
    register.check_owners(session, spec, state)
    if targets.of(spec.target).has_guardrails:
        from asgard.odin.lifecycle import guardrails

        guardrails.refuse(spec)
    wanted = _wanted(session, spec, options, state, seen)
    result = engine(session, options, seen.state, spec, previewing=True).preview(*wanted)
    result.errors += refused_removals(result, session, state)
    replaced = frozenset(outdated | targets.of(spec.target).outdates(result.steps, spec.name))
    return ApplyOutcome(result, losses_of(result, session, seen.state, spec), seen, wanted, replaced=replaced)


def _nothing_to_do(session: Session, spec: StackSpec, state: State, seen: DriftReport) -> bool:
    known = state.meta.get("fingerprint")
    if known is None or seen.drifts or state.pending or state.retired or roll.LEVELS_DUE in state.meta:
        return False
    return bool(known == programs.fingerprint(spec, session.external))


def _forget_applied(state: State) -> bool:
    """Forget which stack file was applied last, before anything changes; whether that was known.

    A run that fails or is killed changes the state: with that stack file, the next `up` must look again.
    """
    return state.meta.pop("fingerprint", None) is not None


def _apply(session: Session, spec: StackSpec, options: OdinOptions, planned: ApplyOutcome) -> ApplyOutcome:
    assert planned.seen is not None
    assert planned.wanted is not None
    state = session.store.load()
    if planned.seen.drifts:
        state = planned.seen.state
    levels_due = roll.raises_levels(planned.result.steps)
    if levels_due:
        state.meta[roll.LEVELS_DUE] = True
    forgotten, reopened = _forget_applied(state), gates.reopen(planned.result, state)
    if forgotten or reopened or planned.seen.drifts or levels_due:
        session.store.save(state)
    session.forget_connection()
    result = engine(session, options, state, spec, _telling(f"odin up {spec.name}")).up(*planned.wanted)
    register.applied(session, spec, result)
    replaced = frozenset(roll.roll(session, spec)) if result.ok else frozenset()
    if result.ok and not wait_for_access(lambda: session.control(session.store.load()), result):
        result.warnings.append("not every broker knows the new users yet: their first login may be refused")
    return ApplyOutcome(result, planned.losses, planned.seen, replaced=replaced)


def _gated(
    session: Session, spec: StackSpec, outcome: ApplyOutcome, gatekeeper: gates.Gatekeeper | None
) -> ApplyOutcome:
    """The same outcome, with the gate's result if one is due. The gate runs when the cluster is as it should be."""
    if outcome.result.ok and spec.gate is not None and gates.due(spec, session.store.load()):
        if gatekeeper is None:
            gates.skip(session, spec)
        else:
            session.forget_connection()
            outcome.gate = gates.run(session, spec, gatekeeper)
    return outcome


def _refuse_losses(losses: list[Loss], options: OdinOptions) -> None:
    lost = [loss for loss in losses if loss.topic not in options.allow_data_loss]
    if lost:
        names = " ".join(f"--allow-data-loss {loss.topic}" for loss in lost)
        raise Refused(
            f"this deletes data of {', '.join(loss.topic for loss in lost)}; nothing was changed",
            f"To allow it: {names}",
        )


def _wanted(session: Session, spec: StackSpec, options: OdinOptions, state: State, seen: DriftReport) -> DesiredStack:
    """The desired stack: for the Pulumi CLI all of it is in the program; Asgard's own engine gets what lives in the
    cluster as goals, without the resources that are certainly up to date."""
    declared = list(programs.declared(spec, passwords_of(spec, state, seen.state)))
    if options.engine == "pulumi":
        return DesiredStack(programs.program(spec, declared, session.external))
    kept = untouched(spec, session.external, session.ref, state, seen.drifts)
    rest = [thing for thing in declared if (thing.type, thing.name) not in kept]
    program = programs.program(spec, external=session.external)
    return DesiredStack(program, programs.goals(spec, rest, session.ref), list(kept.values()))


def engine(
    session: Session,
    options: OdinOptions,
    state: State,
    spec: StackSpec | None = None,
    on_event: OnEvent | None = None,
    *,
    previewing: bool = False,
) -> Engine | CliEngine:
    """The engine that the options name, on the session's stack. `state` is the recorded one; `previewing`: the state as
    it would be after a refresh, used in its place."""
    store = shared.Copied(session.store, state) if previewing else session.store
    on_event = on_event or (lambda event: None)
    phrase = partial(passphrase, session.name, create=state.salt is None)
    if options.engine == "pulumi":
        from asgard.odin.engine.cli_engine import CliEngine

        ours = [urn for urn, (_, begun) in state.unfinished.items() if begun["type"] in KINDS]
        environment = {
            "ASGARD_ALLOW_DATA_LOSS": ",".join(sorted(options.allow_data_loss)),
            "ASGARD_ADOPTING": json.dumps(ours),
            **session.writes.environment(),
        }
        return CliEngine(session.ref, store, phrase, on_event, environment, shared.backend_of(spec, state))
    return _embedded(session, options, store, phrase, on_event)


def _telling(what: str) -> OnEvent:
    """The engine's steps as events of this operation; the Pulumi CLI reports them in a separate thread."""
    done = 0

    def tell(event: Event) -> None:
        nonlocal done
        if event.kind == "log":
            events.note(event.message)
        elif event.step is not None and event.step.op != "same":
            done += event.kind == "done"
            events.progress(what, f"{done} done, {event.step.op} {event.step.name}", done=done, unit="resources")

    return events.carried(tell)


def embedded(session: Session, options: OdinOptions) -> Engine:
    """Asgard's own engine, for what only it can do."""
    return _embedded(session, options, session.store, lambda: passphrase(session.name, create=True), lambda event: None)


def _embedded(
    session: Session, options: OdinOptions, store: StateStore, phrase: Callable[[], str], on_event: OnEvent
) -> Engine:
    from asgard.odin.engine.run import Engine
    from asgard.odin.provider.provider import AsgardProvider

    def provider(package: str, adopting: frozenset[str]) -> AsgardProvider:
        return AsgardProvider(
            allow_data_loss=options.allow_data_loss,
            adopting=adopting,
            connect=session.writes.connect,
            writes=session.writes,
        )

    return Engine(session.ref, store, provider, phrase, on_event)
