"""The commands about existing requests: look, approve, reject, withdraw, retry; and who did what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from asgard.cli.bifrost import app
from asgard.cli.bifrost.options import Config, NoWait, Reason, Team, session
from asgard.cli.bifrost.remote import Portal, Remote
from asgard.cli.bifrost.sending import show, show_remote
from asgard.cli.command import command
from asgard.core import console
from asgard.core.console import Table

Id = Annotated[str, typer.Argument(metavar="REQUEST", help="The request's id.")]
Last = Annotated[int, typer.Option(metavar="N", help="Show at most this many, the newest first.")]


def when(at: float | None) -> str | None:
    """A time (UTC) as shown in tables."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


@command(app, example="asgard bifrost requests\nasgard bifrost requests r-7f3kq2m8ax")
def requests(
    request_id: Annotated[
        str | None, typer.Argument(metavar="[REQUEST]", help="Show one request with its history.")
    ] = None,
    state: Annotated[
        list[str] | None, typer.Option(metavar="STATE", help="Only this state, such as pending; repeatable.")
    ] = None,
    last: Last = 50,
    config: Config = None,
) -> None:
    """Show your teams' requests and those waiting for your approval, or one request with its full history."""
    from asgard.bifrost import service, states
    from asgard.compose.bifrost import document
    from asgard.core.errors import WrongUsage

    with session(config) as (gate, who):
        if request_id is not None:
            request, history = service.view(gate, who, request_id)
            rows = [[when(m.at), m.actor, m.before, m.after, m.reason] for m in history]
            table = Table(["at (UTC)", "who", "from", "to", "why"], rows)
            head = f"{request.id}: {request.kind} {request.subject} ({request.environment}), {request.team}, {request.state}"
            head = "\n".join([head, *(loss["sentence"] for loss in request.losses)])
            console.emit({**document(request), "history": history}, table, text=head)
            return
        wanted: Any = state or None
        if wanted and (unknown := set(wanted) - set(states.FOLLOWS)):
            raise WrongUsage(f"--state is {min(unknown)!r}; allowed are {', '.join(states.FOLLOWS)}")
        found = service.requests(gate, who, in_states=wanted, last=last)
        columns = ["request", "state", "team", "who", "kind", "what", "environment", "waits for", "at (UTC)"]
        rows = [
            [
                r.id,
                r.state,
                r.team,
                r.requester,
                r.kind,
                r.subject,
                r.environment,
                ", ".join(r.by) or None,
                when(r.updated_at),
            ]
            for r in found
        ]
        console.emit([document(r) for r in found], Table(columns, rows))


@command(app, example="asgard bifrost approve r-7f3kq2m8ax --reason 'agreed with the owner'")
def approve(
    request_id: Id, reason: Reason = None, no_wait: NoWait = False, portal: Portal = None, config: Config = None
) -> int:
    """Approve a request that waits for you. The last approval carries it out."""
    if portal is not None:
        remote = Remote(portal)
        request = remote.call("POST", f"/requests/{quote(request_id)}/approve", {"reason": reason} if reason else {})
        return show_remote(request if no_wait else remote.until_done(request))
    from asgard.bifrost import service
    from asgard.compose import bifrost

    with session(config) as (gate, who):
        for loss in service.view(gate, who, request_id)[0].losses:
            console.say(loss["sentence"])
        request = bifrost.decide(gate, who, request_id, approve=True, reason=reason)
        if request.state == "approved" and not no_wait:
            request = bifrost.carried_out(gate, who, request.id)
        return show(request, None)


@command(app, example="asgard bifrost reject r-7f3kq2m8ax --reason 'use payments.settled instead'")
def reject(request_id: Id, reason: Reason = None, portal: Portal = None, config: Config = None) -> None:
    """Reject a request that waits for you."""
    if portal is not None:
        remote = Remote(portal)
        request = remote.call("POST", f"/requests/{quote(request_id)}/reject", {"reason": reason} if reason else {})
        show_remote(request)
        return
    from asgard.compose import bifrost

    with session(config) as (gate, who):
        show(bifrost.decide(gate, who, request_id, approve=False, reason=reason), None)


@command(app, example="asgard bifrost cancel r-7f3kq2m8ax")
def cancel(request_id: Id, reason: Reason = None, config: Config = None) -> None:
    """Cancel a request that is not carried out yet."""
    from asgard.bifrost import service

    with session(config) as (gate, who):
        show(service.cancel(gate, who, request_id, reason), None)


@command(app, example="asgard bifrost retry r-7f3kq2m8ax")
def retry(request_id: Id, no_wait: NoWait = False, config: Config = None) -> int:
    """Retry a failed request."""
    from asgard.bifrost import service
    from asgard.compose import bifrost

    with session(config) as (gate, who):
        request = service.retry(gate, who, request_id)
        if not no_wait:
            request = bifrost.carried_out(gate, who, request.id)
        return show(request, None)


@command(app, example="asgard bifrost audit --team orders")
def audit(
    team: Team = None,
    last: Last = 50,
    config: Config = None,
) -> None:
    """Show who did what: for owners of their team, for data engineers and auditors of all."""
    from asgard.bifrost import trail

    with session(config) as (gate, who):
        found = trail.trail(gate, who, team, last=last)
        rows = [[when(s.at), s.actor, s.what, s.about, s.request, s.team, s.reason] for s in found]
        console.emit(found, Table(["at (UTC)", "who", "did", "what", "request", "team", "reason"], rows))
