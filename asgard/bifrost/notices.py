"""Notices: rows with a state and tries, written with what they tell of, and sent afterwards to web hooks and by e-mail.

A row names the team and the place of its channel, never the address: that stands in `bifrost.yaml` and may hold a token. One
channel that fails is tried again later by itself; the others don't wait for it.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from asgard.bifrost.gate import Bifrost
from asgard.bifrost.store import tables
from asgard.bifrost.store.requests import Request
from asgard.bifrost.teams import Channel, Directory, Mail

TRIES = 10
FIRST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 6 * 3600.0
TIMEOUT_S = 5.0
_n = tables.notices.c


@dataclass(frozen=True)
class Notice:
    """One thing to tell one channel. `state`: waiting, sent, failed (given up)."""

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


def of_request(connection: Connection, directory: Directory, request: Request, now: float) -> None:
    """Tell those whom a move of a request concerns: approvers of what waits, the team of what came of it."""
    what = (
        f"{request.kind} {request.subject} ({request.environment}), asked for by {request.requester} of {request.team}"
    )
    if request.state == "pending":
        text = f"{request.id} waits for approval: {what}. asgard bifrost approve {request.id}"
        for party in request.by:
            tell(
                connection,
                directory,
                party.removeprefix("team:"),
                "approval",
                f"{request.id}:{request.version}",
                text,
                now,
            )
    elif request.state in ("approved", "rejected", "ready", "failed", "expired"):
        why = f": {request.reason}" if request.reason and request.state != "ready" else ""
        text = f"{request.id} is {request.state}: {what}{why}"
        tell(connection, directory, request.team, request.state, f"{request.id}:{request.version}", text, now)


def tell(connection: Connection, directory: Directory, team: str, kind: str, key: str, text: str, now: float) -> None:
    """Write a notice for every channel of a team; the same key twice is one notice."""
    for place, channel in enumerate(directory.channels(team)):
        whole = f"{team}:{kind}:{key}:{place}"
        if connection.execute(sa.select(_n.id).where(_n.key == whole)).first() is None:
            connection.execute(
                sa.insert(tables.notices).values(
                    key=whole, team=team, kind=kind, channel=channel.kind, place=place, text=text, state="waiting",
                    attempts=0, next_at=now, error=None, created_at=now,
                )
            )  # fmt: skip


def listed(
    connection: Connection, teams: Iterable[str] | None = None, *, states: Iterable[str] | None = None
) -> list[Notice]:
    """Notices, oldest first."""
    query = sa.select(tables.notices).order_by(_n.id)
    if teams is not None:
        query = query.where(_n.team.in_(list(teams)))
    if states is not None:
        query = query.where(_n.state.in_(list(states)))
    return [_notice(row) for row in connection.execute(query).all()]


def deliver(gate: Bifrost) -> dict[str, int]:
    """Send what is due; how many were sent, failed for now, and were given up. Never raises because of a channel."""
    with gate.store.read() as connection:
        now = gate.store.now(connection)
        due = [n for n in listed(connection, states=["waiting"]) if n.next_at <= now]
    by_channel: dict[tuple[str, int], list[Notice]] = {}
    for notice in due:
        by_channel.setdefault((notice.team, notice.place), []).append(notice)
    counts = {"sent": 0, "later": 0, "failed": 0}
    if not by_channel:
        return counts

    def serve(item: tuple[tuple[str, int], list[Notice]]) -> list[tuple[Notice, str | None]]:
        (team, place), mine = item
        channels = gate.directory.channels(team)
        told: list[tuple[Notice, str | None]] = []
        for notice in mine:
            wrong = "the channel is gone from bifrost.yaml"
            if place < len(channels):
                wrong = send(channels[place], notice.text, notice.kind, gate.directory.mail) or ""
            told.append((notice, wrong or None))
            if wrong:  # a channel that fails now would fail for the rest of them too
                break
        return told

    with ThreadPoolExecutor(min(8, len(by_channel)), "notices") as pool:
        for told in pool.map(serve, by_channel.items()):
            for notice, wrong in told:
                counts[_settle(gate, notice, wrong)] += 1
    return counts


def _settle(gate: Bifrost, notice: Notice, wrong: str | None) -> str:
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        attempts = notice.attempts + 1
        if wrong is None:
            values: dict[str, Any] = {"state": "sent", "error": None}
        else:
            pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**notice.attempts)
            values = {"state": "failed" if attempts >= TRIES else "waiting", "error": wrong, "next_at": now + pause}
        connection.execute(sa.update(tables.notices).where(_n.id == notice.id).values(attempts=attempts, **values))
    return "sent" if wrong is None else "failed" if values["state"] == "failed" else "later"


def send(channel: Channel, text: str, kind: str, mail: Mail | None) -> str | None:
    """Tell one channel; the reason where it did not work (it never holds the address)."""
    try:
        if channel.kind == "email":
            return _mail(channel.address, text, kind, mail)
        body = json.dumps({"text": text, "event": f"bifrost.{kind}"}, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "asgard"}
        with urllib.request.urlopen(
            urllib.request.Request(channel.address, body, headers), timeout=TIMEOUT_S
        ) as answer:
            answer.read(1024)
    except urllib.error.HTTPError as error:
        error.close()
        return f"it answered {error.code}"
    except Exception as error:  # whatever a channel does, the others are told
        reason = getattr(error, "reason", None) or error
        return f"{type(error).__name__}: {reason}".replace(channel.address, "the address")[:200]
    return None


def _mail(address: str, text: str, kind: str, mail: Mail | None) -> str | None:
    import smtplib
    from email.message import EmailMessage

    if mail is None:
        return "bifrost.yaml names no mail server (mail:)"
    message = EmailMessage()
    message["From"], message["To"] = mail.sender, address
    message["Subject"] = f"Kafka self-service: {kind}"
    message.set_content(text)
    with smtplib.SMTP(mail.host, mail.port, timeout=TIMEOUT_S) as server:
        server.send_message(message)
    return None


def _notice(row: Any) -> Notice:
    return Notice(
        row.id, row.team, row.kind, row.place, row.text, row.state, row.attempts, row.next_at, row.error, row.created_at
    )
