"""Notices: rows with a state and tries, written together with what they report, and sent afterwards to web hooks and by e-mail.

A row names the team and the place of its channel, never the address: that is in `bifrost.yaml` and may hold a token. A
failed channel is retried later by itself; the others don't wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from asgard.bifrost.gate import Bifrost
from asgard.bifrost.store import tables
from asgard.bifrost.store.requests import Request
from asgard.bifrost.teams import Channel, Mail, TeamDirectory
from asgard.core import mail, outbox
from asgard.core.outbox import NotSent
from asgard.core.post import post

TIMEOUT_S = 5.0
_n = tables.notices.c


@dataclass(frozen=True)
class TeamNotice:
    """One message to one channel. `state`: waiting, sent, failed (given up)."""

    id: int
    team: str
    kind: str
    place: int
    text: str
    state: str
    attempts: int
    next_at: float
    error: str | None
    created_at: float


@dataclass(frozen=True)
class TeamMessage:
    """What a team is told, on all of its channels. The same team, kind and key twice is one notice."""

    team: str
    kind: str
    key: str
    text: str


def of_request(connection: Connection, directory: TeamDirectory, request: Request, now: float) -> None:
    """Notify those concerned by a move of a request: approvers if it waits, the team of its outcome."""
    what = (
        f"{request.kind} {request.subject} ({request.environment}), asked for by {request.requester} of {request.team}"
    )
    key = f"{request.id}:{request.version}"
    if request.state == "pending":
        text = f"{request.id} waits for approval: {what}. asgard bifrost approve {request.id}"
        for party in request.by:
            tell(connection, directory, TeamMessage(party.removeprefix("team:"), "approval", key, text), now)
    elif request.state in ("approved", "rejected", "ready", "failed", "expired"):
        why = f": {request.reason}" if request.reason and request.state != "ready" else ""
        text = f"{request.id} is {request.state}: {what}{why}"
        tell(connection, directory, TeamMessage(request.team, request.state, key, text), now)


def tell(connection: Connection, directory: TeamDirectory, message: TeamMessage, now: float) -> None:
    """Write a notice for every channel of the team."""
    for place, channel in enumerate(directory.channels(message.team)):
        whole = f"{message.team}:{message.kind}:{message.key}:{place}"
        if connection.execute(sa.select(_n.id).where(_n.key == whole)).first() is None:
            connection.execute(
                sa.insert(tables.notices).values(
                    key=whole, team=message.team, kind=message.kind, channel=channel.kind, place=place, text=message.text,
                    state="waiting", attempts=0, next_at=now, error=None, created_at=now,
                )
            )  # fmt: skip


def listed(
    connection: Connection, teams: Iterable[str] | None = None, *, states: Iterable[str] | None = None
) -> list[TeamNotice]:
    """Notices, oldest first."""
    query = sa.select(tables.notices).order_by(_n.id)
    if teams is not None:
        query = query.where(_n.team.in_(list(teams)))
    if states is not None:
        query = query.where(_n.state.in_(list(states)))
    return [_notice(row) for row in connection.execute(query).all()]


def deliver(gate: Bifrost) -> dict[str, int]:
    """Send what is due; returns how many were sent, wait for later, and were given up. A channel's failure never raises."""

    def one(row: Any) -> NotSent | None:
        channels = gate.directory.channels(row.team)
        if row.place >= len(channels):
            return NotSent("the channel is gone from bifrost.yaml")
        return send(channels[row.place], row.text, row.kind, gate.directory.mail)

    return outbox.deliver(gate.store, tables.notices, receiver=(_n.team, _n.place), send=one)


def send(channel: Channel, text: str, kind: str, server: Mail | None) -> NotSent | None:
    """Send to one channel; returns the reason if it failed (it never holds the address)."""
    try:
        if channel.kind == "email":
            by = mail.MailServer(server.host, server.port, server.sender) if server else None
            mail.send(by, [channel.address], f"Kafka self-service: {kind}", text, TIMEOUT_S)
        else:
            post(channel.address, {"text": text, "event": f"bifrost.{kind}"}, TIMEOUT_S)
    except Exception as error:  # whatever a channel does, the others get theirs
        return outbox.not_sent(str(error).partition("\n")[0].replace(channel.address, "the address")[:200], error)
    return None


def _notice(row: Any) -> TeamNotice:
    return TeamNotice(
        row.id, row.team, row.kind, row.place, row.text, row.state, row.attempts, row.next_at, row.error, row.created_at
    )
