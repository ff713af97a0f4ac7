"""Bifrost's data as parts of pages. Pure, except that links are made by the application."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from flask import url_for

from asgard.bifrost.catalog import Edge, Entry, TeamUsage
from asgard.bifrost.desired import GrantRow, UserRow
from asgard.bifrost.notices import TeamNotice
from asgard.bifrost.policy.judge import Judgement
from asgard.bifrost.store.credentials import Credential
from asgard.bifrost.store.requests import Move, Request
from asgard.bifrost.tokens import Token
from asgard.bifrost.trail import TrailEntry
from asgard.bifrost.web import models
from asgard.core.pages.parts import Cell, Column, Facts, Moment, Table, Timeline, Tone, Verdict
from asgard.core.text import legible
from asgard.core.units import exact_duration, format_size

TONES: dict[str, Tone] = {
    "ready": "good", "approved": "info", "applying": "info", "pending": "warn", "failed": "bad", "rejected": "bad",
}  # fmt: skip
WORDS: dict[str, tuple[str, Tone]] = {
    "allow": ("Allowed", "good"),
    "approval": ("Needs approval", "warn"),
    "deny": ("Refused", "bad"),
}
MAY = {"consume": "read", "produce": "write to", "groups": "use group"}


def when(at: float | None) -> str:
    """A time (UTC)."""
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def at(value: float | None) -> Cell:
    """The same as a cell that sorts."""
    return Cell(when(value), sort=value or 0.0)


def kept(ms: int | None) -> str:
    """A retention."""
    return "" if ms is None else "forever" if ms < 0 else exact_duration(ms)


def topic_link(name: str, environment: str) -> Cell:
    """A topic's name with its page."""
    return Cell(name, href=url_for("portal.topic", name=name, environment=environment))


def request_link(request_id: str) -> Cell:
    """A request's id with its page."""
    return Cell(request_id, href=url_for("portal.request_page", request_id=request_id))


def topics(
    entries: Iterable[Entry], caption: str, empty: str = "No topics.", *, places: bool = True, note: str = ""
) -> Table:
    """Topics. `places`: with their environments, if there are several."""
    columns = [Column("topic"), Column("team"), Column("partitions", number=True), Column("retention"), Column("tags"),
               Column("description")]  # fmt: skip
    rows: list[list[str | Cell]] = []
    for e in entries:
        kept_for = Cell(kept(e.retention_ms), sort=float(e.retention_ms or 0))
        row: list[str | Cell] = [topic_link(e.name, e.environment), e.team or "none", str(e.partitions), kept_for,
                                 ", ".join(e.tags), e.description or ""]  # fmt: skip
        rows.append([*row, e.environment] if places else row)
    return Table(caption, [*columns, Column("environment")] if places else columns, rows, note=note, empty=empty)


def users(found: Iterable[tuple[str, UserRow]]) -> Table:
    """Kafka users of teams."""
    rows: list[list[str | Cell]] = [
        [
            Cell(u.name, href=url_for("portal.user", user=u.name, environment=e)),
            u.team or "none",
            ", ".join(u.principals) or u.name,
            e,
        ]
        for e, u in found
    ]
    columns = [Column("user"), Column("team"), Column("Kafka users"), Column("environment")]
    return Table("Users", columns, rows, empty="No users yet.")


def lag(groups: Mapping[str, int]) -> Table:
    """How far each consumer group is behind."""
    rows: list[list[str | Cell]] = [[group, f"{n:,}"] for group, n in sorted(groups.items())]
    return Table("Lag", [Column("group"), Column("records behind", number=True)], rows, empty="No group reads it.")


def lineage(edges: Iterable[Edge]) -> Table:
    """Where data may come from and go to."""
    rows: list[list[str | Cell]] = [[e.source or "", e.user, e.team or "none", e.target or ""] for e in edges]
    note = "Permissions say what can flow, not what does."
    columns = [Column(n) for n in ("from topic", "user", "team", "to topic")]
    return Table("Where data may go", columns, rows, note=note, empty="Nobody carries data from or to it.")


def records(sample: models.SampleAnswer) -> Table:
    """A few records of a topic."""
    rows: list[list[str | Cell]] = [
        [
            str(r["timestamp"]).replace("T", " ").rstrip("Z"),
            f"{r['partition']}@{r['offset']}",
            _short(r["key"]),
            _short(r["value"]),
        ]
        for r in sample.records
    ]
    note = "Personal data is masked." if sample.masked else ""
    columns = [Column(n) for n in ("time (UTC)", "partition@offset", "key", "value")]
    return Table("The newest records", columns, rows, note=note, empty="It holds no records.")


def _short(value: Any, most: int = 400) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return legible(text if len(text) <= most else f"{text[:most]} …")


def grants(found: Iterable[tuple[str, GrantRow]], caption: str = "Access") -> Table:
    """Grants."""
    rows: list[list[str | Cell]] = [
        [
            Cell(g.user, href=url_for("portal.grant", grant_id=g.id)),
            MAY[g.field],
            g.name,
            g.owner or "",
            Cell(when(g.expires_at) or "no end", sort=g.expires_at or 1e12),
            Cell(g.state, tone="warn" if g.state == "missing" else "plain"),
            e,
        ]
        for e, g in found
    ]
    columns = [Column(n) for n in ("user", "may", "name", "of team", "ends (UTC)", "state", "environment")]
    return Table(caption, columns, rows, empty="Nothing was granted yet.")


def requests(found: Sequence[Request], caption: str, empty: str = "No requests.") -> Table:
    """Requests, the newest first."""
    rows: list[list[str | Cell]] = [
        [
            request_link(r.id),
            Cell(r.state, tone=TONES.get(r.state, "plain")),
            f"{r.kind} {r.subject}",
            r.requester,
            r.team,
            ", ".join(r.by),
            at(r.updated_at),
        ]
        for r in sorted(found, key=lambda r: -r.number)
    ]
    columns = [Column(n) for n in ("request", "state", "what", "who", "team", "waits for", "at (UTC)")]
    return Table(caption, columns, rows, empty=empty)


def policy(judged: Judgement | models.PolicyAnswer) -> Verdict:
    """Policy's answer, first on the page."""
    word, tone = WORDS[judged.outcome]
    by = f" It needs approval by {' and '.join(judged.by)}." if judged.by else ""
    return Verdict(word, f"Rule {judged.rule}", tone, [f"{judged.because}.{by}"])


def items(judged: models.PolicyAnswer) -> Table:
    """What policy says of each item."""
    rows: list[list[str | Cell]] = [
        [i.subject, Cell(WORDS[i.outcome][0], tone=WORDS[i.outcome][1]), i.rule, i.because] for i in judged.items
    ]
    return Table("What policy says of each thing", [Column(n) for n in ("thing", "answer", "rule", "because")], rows)


def estimate(answer: models.PreviewAnswer) -> Facts:
    """What it would take."""
    facts = [("Storage", format_size(answer.storage_bytes))]
    if answer.cost_per_month:  # 0: bifrost.yaml has no prices
        facts.append(("Cost", f"{answer.cost_per_month:.2f} {answer.currency} a month"))
    return Facts("Estimated", facts)


def history(moves: Sequence[Move]) -> Timeline:
    """The moves of a request."""
    return Timeline(
        "What happened",
        [Moment(when(m.at)[5:], f"{m.after} by {m.actor}", TONES.get(m.after, "plain"), m.reason or "") for m in moves],
    )


def credentials(found: Sequence[Credential]) -> Table:
    """What is known about a user's credentials: never the passwords."""
    rows: list[list[str | Cell]] = [
        [c.principal, "not taken yet" if c.state == "ready" else c.state, c.handed_to or "", at(c.handed_at), at(c.retire_at)]
        for c in found
    ]  # fmt: skip
    columns = [Column(n) for n in ("Kafka user", "state", "handed to", "at (UTC)", "goes at (UTC)")]
    return Table("Credentials", columns, rows, empty="There are none yet.")


def usage(found: Sequence[TeamUsage]) -> Table:
    """What teams use of their budgets."""
    rows: list[list[str | Cell]] = []
    for u in found:
        for resource, used, asked, limit in u.lines():
            sized = resource in ("storage", "throughput")

            def text(value: float, sized: bool = sized) -> str:
                return format_size(value) if sized else f"{value:g}"

            share = None if not limit else min(1.0, (used + asked) / limit)
            rows.append([u.team, u.environment, resource, Cell(text(used), sort=used, share=share), text(asked),
                         "no limit" if limit is None else text(limit)])  # fmt: skip
    columns = [Column("team"), Column("environment"), Column("of"), Column("used", number=True),
               Column("asked for", number=True), Column("budget", number=True)]  # fmt: skip
    return Table("Budget", columns, rows)


def steps(found: Sequence[TrailEntry]) -> Table:
    """Who did what."""
    rows: list[list[str | Cell]] = [
        [at(s.at), s.actor, s.what, request_link(s.request) if s.request else "", s.about, s.team or "", s.reason or ""]
        for s in found
    ]
    columns = [Column("at (UTC)", sorted="descending"), *(Column(n) for n in ("who", "did", "request", "what", "team", "reason"))]  # fmt: skip
    return Table("Who did what", columns, rows, empty="Nothing happened yet.")


def tokens(found: Sequence[Token], now: float) -> Table:
    """Tokens."""

    def state(t: Token) -> Cell:
        if t.revoked_at is not None:
            return Cell("revoked")
        return Cell("works", tone="good") if t.works(now) else Cell("over")

    rows: list[list[str | Cell]] = [
        [t.id, t.person, t.scope, t.about or "", state(t), at(t.expires_at), at(t.used_at)] for t in found
    ]
    columns = [Column(n) for n in ("token", "person", "scope", "for", "state", "ends (UTC)", "last used (UTC)")]
    return Table("Tokens", columns, rows, empty="There are no tokens.")


def told(found: Sequence[TeamNotice]) -> Table:
    """What teams were told."""
    rows: list[list[str | Cell]] = [[at(n.created_at), n.team, n.kind, n.text, n.state] for n in reversed(found)]
    return Table(
        "Notices", [Column(n) for n in ("at (UTC)", "team", "about", "text", "state")], rows, empty="None yet."
    )
