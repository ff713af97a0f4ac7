"""Transitions as the messages that receivers understand. Pure.

webhook       {"text", "cluster", "cluster_id", "alerts": [{"id", "state", "rule", "subject", "labels", "text", "at"}]}
slack         {"text": ...}, one message for all that changed at once
pagerduty     Events API v2, one message for each alert, `dedup_key` is the alert's; the routing key is added when it is sent
alertmanager  a list for /api/v2/alerts; an alert that is raised ends by itself after a day unless it is cleared before
email         {"subject", "text"}
command       one message for each alert, as environment variables
journal       one event for each alert
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from asgard.core.schema.alerts import ReceiverKind
from asgard.heimdall.alerts.model import Seen, Transition

Kind = ReceiverKind | Literal["journal"]
SHOWN = 30
"""At most so many alerts are named in a message for people; further ones are counted."""
ENDS_S = 86400.0
_PAGERDUTY = {"info": "info", "warning": "warning", "critical": "critical"}


@dataclass(frozen=True)
class Body:
    """A message and its deduplication key: the same key is the same message."""

    key: str
    content: Any


def bodies(kind: str, changes: Sequence[Transition], seen: Seen) -> list[Body]:
    """The messages to one receiver about what changed in one evaluation."""
    if kind in ("pagerduty", "command", "journal"):
        make = {"pagerduty": _pagerduty, "command": _command, "journal": _journal}[kind]
        return [Body(f"{c.what}:{c.state.id}", make(c, seen)) for c in changes]
    key = "|".join(f"{c.what}:{c.state.id}" for c in changes)[:400] + f"#{len(changes)}@{seen.at:.3f}"
    content: Any = {"text": text(changes, seen)}
    if kind == "webhook":
        content |= {"cluster": seen.cluster, "cluster_id": seen.cluster_id, "alerts": [_plain(c) for c in changes]}
    elif kind == "alertmanager":
        content = [_alertmanager(c, seen) for c in changes]
    elif kind == "email":
        content = {"subject": subject(changes, seen), "text": text(changes, seen)}
    return [Body(key, content)]


def subject(changes: Sequence[Transition], seen: Seen) -> str:
    """One line."""
    if len(changes) == 1:
        return f"{seen.cluster}: {line(changes[0])}"
    up = sum(c.what == "raised" for c in changes)
    down = len(changes) - up
    parts = [f"{up} alerts raised"] if up else []
    parts += [f"{down} cleared"] if down else []
    return f"{seen.cluster}: {', '.join(parts)}"


def text(changes: Sequence[Transition], seen: Seen) -> str:
    """A line for each alert, the most severe first."""
    order = {"critical": 0, "warning": 1, "info": 2}
    ranked = sorted(changes, key=lambda c: (c.what != "raised", order.get(c.state.labels.get("severity", ""), 3)))
    lines = [line(c) for c in ranked[:SHOWN]]
    if len(ranked) > SHOWN:
        lines.append(f"and {len(ranked) - SHOWN} more")
    return (
        "\n".join([f"Kafka cluster {seen.cluster}:", *lines])
        if len(lines) > 1
        else f"Kafka cluster {seen.cluster}: {lines[0]}"
    )


def line(change: Transition) -> str:
    """An alert in a sentence."""
    state = change.state
    if change.what == "raised":
        return f"[{state.labels.get('severity', 'warning')}] {state.text}"
    return f"[cleared] {state.rule}, {state.subject}: {change.because}"


def _plain(change: Transition) -> dict[str, Any]:
    state = change.state
    return {
        "id": state.id,
        "state": change.what,
        "rule": state.rule,
        "subject": state.subject,
        "labels": dict(state.labels),
        "value": state.value,
        "text": state.text if change.what == "raised" else change.because,
        "at": _utc(change.at),
        "raised_at": _utc(state.raised_at or change.at),
    }


def _journal(change: Transition, seen: Seen) -> dict[str, Any]:
    plain = _plain(change)
    about = {**plain["labels"], **change.state.extent, "text": plain["text"], "value": plain["value"]}
    about["cluster_id"] = seen.cluster_id
    return {
        "kind": f"heimdall.alert.{change.what}",
        "subject": change.state.subject,
        "id": change.state.id,
        "data": about,
    }


def _command(change: Transition, seen: Seen) -> dict[str, str]:
    labels = {f"ASGARD_LABEL_{name.upper().replace('-', '_')}": value for name, value in change.state.labels.items()}
    return {
        "ASGARD_TEXT": line(change),
        "ASGARD_EVENT": f"heimdall.alert.{change.what}",
        "ASGARD_CLUSTER": seen.cluster,
        "ASGARD_CLUSTER_ID": seen.cluster_id,
        "ASGARD_AT": _utc(change.at),
        "ASGARD_ALERT": change.state.id,
        **labels,
    }


def _pagerduty(change: Transition, seen: Seen) -> dict[str, Any]:
    state = change.state
    event: dict[str, Any] = {
        "event_action": "trigger" if change.what == "raised" else "resolve",
        "dedup_key": f"{seen.cluster_id}/{state.id}"[:255],
    }
    if change.what == "raised":
        event["payload"] = {
            "summary": f"{seen.cluster}: {state.text}"[:1024],
            "source": seen.cluster,
            "severity": _PAGERDUTY.get(state.labels.get("severity", ""), "warning"),
            "timestamp": _utc(change.at),
            "component": state.subject,
            "group": state.labels.get("owner", ""),
            "class": state.labels.get("kind", state.rule),
            "custom_details": dict(state.labels),
        }
    return event


def _alertmanager(change: Transition, seen: Seen) -> dict[str, Any]:
    state = change.state
    started = state.raised_at or change.at
    names = {name.replace("-", "_"): value for name, value in state.labels.items() if name != "rule"}
    return {
        "labels": {**names, "alertname": state.rule, "cluster": seen.cluster, "subject": state.subject},
        "annotations": {"summary": state.text},
        "startsAt": _utc(started),
        "endsAt": _utc(change.at + ENDS_S if change.what == "raised" else change.at),
    }


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
