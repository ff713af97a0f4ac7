"""Self-service as a whole: a request judged, previewed, recorded and carried out. The functions that the command line, the API
and the portal call; each takes the open `Bifrost` and the acting person.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from asgard.bifrost import service
from asgard.bifrost.ask import Ask
from asgard.bifrost.desired import Granting, carry_out
from asgard.bifrost.estimate import cost
from asgard.bifrost.gate import Bifrost
from asgard.bifrost.policy.judge import Judgement
from asgard.bifrost.service import Submitted
from asgard.bifrost.store import rows
from asgard.bifrost.store.requests import Request, new_id
from asgard.bifrost.teams import Actor
from asgard.compose import bifrost_queue, bifrost_stack
from asgard.compose.bifrost_queue import Applied, apply_queue
from asgard.core.errors import AsgardError, Busy

if TYPE_CHECKING:
    from asgard.odin.lifecycle.apply import ApplyOutcome

__all__ = [
    "Applied", "Preview", "apply_queue", "carried_out", "changes", "decide", "losses", "losses_of_draft", "preview", "send_draft", "submit", "weigh",
]  # fmt: skip


@dataclass(frozen=True)
class Preview:
    """What a request would result in: policy's answer, Odin's changes, storage in bytes and its monthly cost."""

    judgement: Judgement
    changes: tuple[str, ...] = ()
    storage_bytes: int = 0
    cost_per_month: float = 0.0
    currency: str = "EUR"
    impossible: str | None = None
    ask: Ask = field(default_factory=Ask)


def weigh(gate: Bifrost, who: Actor, ask: Ask) -> Judgement:
    """Policy's answer only; writes nothing."""
    bifrost_stack.sync(gate, gate.environment(ask.environment))
    return service.weigh(gate, who, ask)


def preview(gate: Bifrost, who: Actor, ask: Ask) -> Preview:
    """Policy's answer, and Odin's preview of the change unless it is denied; writes nothing."""
    judged = weigh(gate, who, ask)
    ask = service.completed(gate, who, ask)
    prices = gate.directory.costs
    lines, impossible = changes(gate, who, ask) if judged.outcome != "deny" else ((), None)
    month = round(cost(judged.usage, prices), 2)
    return Preview(judged, lines, judged.usage.storage, month, prices.currency, impossible, ask)


def changes(gate: Bifrost, who: Actor, ask: Ask) -> tuple[tuple[str, ...], str | None]:
    """Odin's preview of a completed request: a line for each change, and why it can't be made as is."""
    from asgard.odin.lifecycle import display

    try:
        outcome = _outcome(gate, who, ask)
    except AsgardError as error:
        return (), error.what
    lines = [line for step in display.changes(outcome.result) for line in display.block(step)]
    lines += [display.loss_sentence(loss) for loss in outcome.losses]
    lines += [f"{failure.name}: {failure.message}" for failure in outcome.result.errors]
    return tuple(lines), None


def losses(gate: Bifrost, who: Actor, ask: Ask) -> list[dict[str, Any]]:
    """The records that a request would delete, by topic, with a `sentence` each; only for topics it names itself.

    They are kept with the request: approvers see them, and Odin may delete the records of these topics only.
    """
    from asgard.odin.lifecycle import display

    if not ask.may_lose:
        return []
    try:
        # Say nothing about denied requests: the topic may be another team's.
        if weigh(gate, who, ask).outcome == "deny":
            return []
        outcome = _outcome(gate, who, service.completed(gate, who, ask))
        found = [loss for loss in outcome.losses if loss.topic in ask.may_lose]
    except (AsgardError, KeyError):
        return []  # what could not be checked is not allowed: Odin refuses it later
    return [{**asdict(loss), "sentence": display.loss_sentence(loss)} for loss in found]


def _outcome(gate: Bifrost, who: Actor, ask: Ask) -> ApplyOutcome:
    from asgard.compose.settle import leftovers
    from asgard.odin.lifecycle import apply
    from asgard.odin.lifecycle.options import OdinOptions

    where = gate.environment(ask.environment)
    with gate.store.read() as connection:
        desired = rows.load(connection, where.name)
    how = Granting("preview", who.name, gate.policy.version, time.time(), new_id, gate.directory.owner_of)
    carry_out(desired, ask, how)
    text = bifrost_stack.part_text(gate, where, bifrost_stack.stack_spec(where, part=""), desired)
    return apply.preview(bifrost_stack.stack_spec(where, part=text), OdinOptions(), leftovers())


def submit(
    gate: Bifrost, who: Actor, ask: Ask, *, draft: bool = False, known: list[dict[str, Any]] | None = None
) -> Submitted:
    """Record a request with policy's answer. `known`: the result of `losses`, if already called."""
    bifrost_stack.sync(gate, gate.environment(ask.environment))
    return service.submit(gate, who, ask, draft=draft, losses=losses(gate, who, ask) if known is None else known)


def losses_of_draft(gate: Bifrost, who: Actor, request_id: str) -> list[dict[str, Any]]:
    """The records that a draft would delete if sent now."""
    return losses(gate, who, service.view(gate, who, request_id)[0].ask)


def send_draft(gate: Bifrost, who: Actor, request_id: str, known: list[dict[str, Any]]) -> Submitted:
    """Send a draft: policy judges it against the current state. `known`: the result of `losses_of_draft`."""
    request, _ = service.view(gate, who, request_id)
    bifrost_stack.sync(gate, gate.environment(request.environment))
    return service.submit_draft(gate, who, request_id, losses=known)


def decide(gate: Bifrost, who: Actor, request_id: str, *, approve: bool, reason: str | None = None) -> Request:
    """Approve or reject; `carried_out` or the next run of the queue carries out what is approved."""
    return service.decide(gate, who, request_id, approve=approve, reason=reason)


def carried_out(gate: Bifrost, who: Actor, request_id: str, *, wait_s: float = 60.0) -> Request:
    """Run the queue until this request is finished: in this process, or in another one that is already running it."""
    give_up = time.monotonic() + wait_s
    while True:
        request, _ = service.view(gate, who, request_id)
        if request.state not in ("approved", "applying"):
            return request
        if request.state == "approved" and (request.retry_at or 0) > gate.store.time():
            return request
        try:
            bifrost_queue.run_queue(gate, request.environment)
        except Busy:
            if time.monotonic() > give_up:
                return request
            time.sleep(0.2)


def document(request: Request, judged: Judgement | None = None) -> dict[str, Any]:
    """A request for programs."""
    return {
        "id": request.id,
        "state": request.state,
        "kind": request.kind,
        "subject": request.subject,
        "team": request.team,
        "environment": request.environment,
        "requester": request.requester,
        "waits_for": list(request.by),
        "approved_by": list(request.approved_by),
        "reason": request.reason,
        "policy": judged.document() if judged is not None else request.judgement,
        "losses": list(request.losses),
        "created_at": request.created_at,
        "updated_at": request.updated_at,
    }
