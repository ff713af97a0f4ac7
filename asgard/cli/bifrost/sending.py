"""What happens to a typed request: previewed, confirmed if it deletes records, sent here or through a portal, shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asgard.cli.bifrost.options import Config, NoWait, Reason, Team, Where, session
from asgard.cli.bifrost.remote import Portal, Remote
from asgard.core import console
from asgard.core.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asgard.bifrost.ask import Ask
    from asgard.bifrost.policy.judge import Judgement
    from asgard.bifrost.store.requests import Request
    from asgard.compose.bifrost import Preview

Token = Annotated[
    str | None,
    typer.Option("--token", metavar="TEXT", help="Idempotency token: a CI step that runs again gets the same request."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show policy's answer and Odin's preview; send nothing.")]
Draft = Annotated[bool, typer.Option("--draft", help="Save it as a draft; `request send` sends it.")]


@dataclass(frozen=True)
class Sending:
    """The options of every request: for whom, where and why, and how to send it."""

    team: Team = None
    environment: Where = None
    reason: Reason = None
    token: Token = None
    dry_run: DryRun = False
    draft: Draft = False
    no_wait: NoWait = False
    portal: Portal = None
    config: Config = None

    @property
    def named(self) -> dict[str, Any]:
        """The fields of the request itself."""
        values = {"team": self.team, "environment": self.environment, "reason": self.reason, "token": self.token}
        return {key: value for key, value in values.items() if value}


def ask(values: dict[str, Any], how: Sending, question: str | None = None) -> int:
    """Send the request that a command's options describe."""
    from asgard.bifrost import read

    return send(read.request_of({**how.named, **values}), how, question)


def send(wanted: Ask, how: Sending, question: str | None = None) -> int:
    """Send a request; the exit code reflects the result. `question` is always asked, and so is consent to deleting records."""
    if how.portal is not None:
        return _send_to(Remote(how.portal), wanted, how, question)
    from asgard.bifrost.estimate import cost
    from asgard.compose import bifrost

    with session(how.config) as (gate, who):
        if how.dry_run:
            return _show_preview(bifrost.preview(gate, who, wanted))
        losses = bifrost.losses(gate, who, wanted)
        confirm((loss["sentence"] for loss in losses), question)
        sent = bifrost.submit(gate, who, wanted, draft=how.draft, known=losses)
        request = sent.request
        if sent.judgement is not None:
            console.say(f"{request.id}: {sent.judgement.sentence}")
            prices = gate.directory.costs
            for line in _estimate(sent.judgement.usage.storage, cost(sent.judgement.usage, prices), prices.currency):
                console.say(line)
        if request.state == "pending":
            lines, impossible = bifrost.changes(gate, who, request.ask)
            for line in (*lines, *([f"it can't be made as requested: {impossible}"] if impossible else ())):
                console.say(line)
        if request.state in ("approved", "applying") and not how.no_wait:
            request = bifrost.carried_out(gate, who, request.id)
        return show(request, sent.judgement)


def confirm(losses: Iterable[str], question: str | None = None) -> None:
    """Ask whether these records may be deleted. Raises what `console.ask` raises if the answer is no."""
    told = [*losses, *([question] if question else [])]
    for line in told:
        console.say(line)
    if told:
        console.ask("Ask for that?")


def _send_to(remote: Remote, wanted: Ask, how: Sending, question: str | None) -> int:
    from asgard.bifrost.ask import as_request

    document = {**as_request(wanted), **({"token": wanted.token} if wanted.token else {})}
    if how.dry_run:
        return _show_remote_preview(remote.call("POST", "/preview", document, change="true"))
    losses = remote.call("POST", "/preview", document)["losses"] if wanted.may_lose else []
    confirm((loss["sentence"] for loss in losses), question)
    query = {"draft": how.draft, "accept_losses": bool(losses)}
    request = remote.call("POST", "/requests", document, **{k: str(v).lower() for k, v in query.items()})
    return show_remote(request if how.no_wait else remote.until_done(request))


def show(request: Request, judged: Judgement | None) -> int:
    """The result of a request."""
    from asgard.compose.bifrost import document

    lines = [f"{request.id} is {request.state}: {request.kind} {request.subject} ({request.environment})"]
    if request.state == "pending":
        lines.append(f"It waits for approval by {' and '.join(request.by)}.")
        lines += [loss["sentence"] for loss in request.losses]
    if request.state in ("rejected", "failed") and request.reason:
        lines.append(request.reason)
    if judged is not None and request.state in ("rejected", "pending"):
        lines += _nearest_lines(judged.document())
    if request.state == "ready" and request.ask.users:
        lines += [f"Next: asgard bifrost credentials {u.name} --out {u.name}.properties" for u in request.ask.users]
    console.emit(document(request, judged), text="\n".join(lines))
    return _code(request.state)


def show_remote(request: dict[str, Any]) -> int:
    """The result of a request, as a portal reports it."""
    state = request["state"]
    lines = [f"{request['id']} is {state}: {request['kind']} {request['subject']} ({request['environment']})"]
    if state == "pending":
        lines.append(f"It waits for approval by {' and '.join(request['waits_for'])}.")
        lines += [loss["sentence"] for loss in request["losses"]]
    if state in ("rejected", "failed") and request["reason"]:
        lines.append(request["reason"])
    if state in ("rejected", "pending"):
        lines += _nearest_lines(request["policy"])
    console.emit(request, text="\n".join(lines))
    return _code(state)


def _code(state: str) -> int:
    return {"rejected": ExitCode.REFUSED, "failed": ExitCode.FAILED}.get(state, ExitCode.OK)


def _show_preview(preview: Preview) -> int:
    judged = preview.judgement
    lines = [judged.sentence, *preview.changes]
    if preview.impossible:
        lines.append(f"it can't be made as requested: {preview.impossible}")
    lines += _estimate(preview.storage_bytes, preview.cost_per_month, preview.currency)
    document = {
        "policy": judged.document(),
        "changes": preview.changes,
        "impossible": preview.impossible,
        "storage_bytes": preview.storage_bytes,
        "cost_per_month": preview.cost_per_month,
        "currency": preview.currency,
    }
    lines += _nearest_lines(document["policy"])
    console.emit(document, text="\n".join(lines))
    return ExitCode.REFUSED if judged.outcome == "deny" else ExitCode.OK


def _estimate(storage_bytes: int, cost_per_month: float, currency: str) -> list[str]:
    from asgard.core.units import format_size

    if not storage_bytes and not cost_per_month:
        return []
    month = f", {cost_per_month:.2f} {currency} a month" if cost_per_month else ""  # 0: bifrost.yaml has no prices
    return [f"estimated: {format_size(storage_bytes)}{month}"]


def _show_remote_preview(told: dict[str, Any]) -> int:
    said = told["policy"]
    lines = [f"{said['outcome']} by rule {said['rule']}: {said['because']}", *(told["changes"] or ())]
    lines += [loss["sentence"] for loss in told["losses"]]
    lines += _estimate(told["storage_bytes"], told["cost_per_month"], told["currency"])
    if told["impossible"]:
        lines.append(f"it can't be made as requested: {told['impossible']}")
    console.emit(told, text="\n".join(lines + _nearest_lines(said)))
    return ExitCode.REFUSED if said["outcome"] == "deny" else ExitCode.OK


def _nearest_lines(said: Any) -> list[str]:
    if said["nearest"] is None:
        return []
    return ["The nearest request that passes:", json.dumps(said["nearest"], ensure_ascii=False)]
