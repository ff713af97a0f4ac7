"""Sends notifications: to web hooks in the form that each receiver knows, by e-mail, to commands, into the journal.

Each receiver gets its own in order (`core.outbox`): one that fails does not hold up the others. Addresses and keys are read when
used, and never get into a row, error or log.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgard.core import mail, outbox, program
from asgard.core.database import Database
from asgard.core.errors import AsgardError, Failed
from asgard.core.mail import MailServer
from asgard.core.outbox import NotSent
from asgard.core.post import post
from asgard.heimdall.alerts import tables
from asgard.heimdall.alerts.model import Receiver
from asgard.heimdall.alerts.store import JOURNAL

if TYPE_CHECKING:
    from asgard.journal.store.database import Database as Journal

PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"


def deliver(
    database: Database, cluster_id: str, receivers: Sequence[Receiver], server: MailServer | None, journal: Journal
) -> dict[str, int]:
    """Send what is due; returns how many were `sent`, wait for `later`, and `failed` for good."""
    known = {r.name: r for r in receivers}

    def send(row: Any) -> NotSent | None:
        try:
            body = json.loads(row.body)
            if row.receiver == JOURNAL:
                record(journal, body)
            elif row.receiver not in known:
                return NotSent("the receiver is gone from heimdall.yaml")
            else:
                _send(known[row.receiver], body, server)
        except Exception as error:  # a bug of ours, too: it is kept with the row, and other receivers get theirs
            return outbox.not_sent(_reason(error, known.get(row.receiver)), error)
        return None

    c = tables.notifications.c
    return outbox.deliver(
        database, tables.notifications, receiver=(c.receiver,), send=send, only=c.cluster_id == cluster_id
    )


def record(journal: Journal, body: Mapping[str, Any]) -> None:
    """Write an alert's event, once, however often it is tried."""
    from asgard.journal import events

    wanted = events.EventFilter(kind=body["kind"], correlation=body["id"])
    if not events.read(journal, wanted, last=1):
        events.record(journal, body["kind"], body["subject"], body["data"], correlation=body["id"])


def _send(receiver: Receiver, body: Any, server: MailServer | None) -> None:
    match receiver.kind:
        case "email":
            mail.send(server, receiver.to, body["subject"], body["text"], receiver.timeout_s)
        case "command":
            program.run(receiver.command, program.environment(body), receiver.timeout_s)
        case "pagerduty":
            body["routing_key"] = _secret(receiver.key_file)
            post(receiver.url or PAGERDUTY, body, receiver.timeout_s)
        case "alertmanager":
            post(f"{_url(receiver).rstrip('/')}/api/v2/alerts", body, receiver.timeout_s)
        case _:
            post(_url(receiver), body, receiver.timeout_s)


def _url(receiver: Receiver) -> str:
    return receiver.url or _secret(receiver.url_file)


def _secret(file: str | None) -> str:
    try:
        return Path(file or "").expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"{file} can't be read: {error}") from None


def _reason(error: Exception, receiver: Receiver | None) -> str:
    said = error.what if isinstance(error, AsgardError) else f"{type(error).__name__}: {error}"
    for secret in filter(None, (receiver.url if receiver else None,)):
        said = said.replace(secret, "the address")
    return said[:300]
