"""The served pages as parts: overview, topics, a topic, groups, a group, brokers, incidents. Pure: data in, parts out.

`Links` makes the addresses, so that the same pages can be at the root of `heimdall serve` or next to others under a prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from asgard.core.pages.parts import (
    Cell,
    Chart,
    Column,
    Facts,
    Figure,
    Figures,
    Mark,
    Part,
    Section,
    Series,
    Table,
    Timeline,
    Tone,
    Verdict,
)
from asgard.heimdall import incidents, words
from asgard.heimdall.alerts.model import AlertState
from asgard.heimdall.incidents import Happening
from asgard.heimdall.lag.model import GroupLag
from asgard.heimdall.owners import Owners
from asgard.heimdall.picture import Picture, TopicNow, by_concern
from asgard.heimdall.store.read import GroupPoint, TopicPoint

ROWS = 5000
"""Rows of a table, at most; a search shows the rest."""
MOVES = 200
SEVERITIES: dict[str, Tone] = {"critical": "bad", "warning": "warn", "info": "info"}
UTC_ZONE = ZoneInfo("UTC")


@dataclass(frozen=True)
class Links:
    """Addresses by kind (topic, group, broker) and name."""

    to: Callable[[str, str], str]


@dataclass(frozen=True)
class Span:
    """The time that charts show, with what happened in it."""

    since: float
    until: float
    label: str
    happened: Sequence[Happening] = ()

    @property
    def marks(self) -> list[Mark]:
        return incidents.marks(self.happened, self.since, self.until)


def overview(
    picture: Picture,
    raised: Sequence[AlertState],
    arrived: Sequence[TopicPoint],
    span: Span,
    owners: Owners,
    links: Links,
) -> list[Part]:
    """Is all well, and if not, what is wrong?"""
    down = [b for b in picture.brokers if b.broker.state != "up"]
    behind = picture.behind
    parts: list[Part] = [_verdict(picture, raised, len(down), behind)]
    figures = [
        Figure("Brokers", f"{len(picture.brokers) - len(down)} of {len(picture.brokers)}", "are up", "bad" if down else "good"),
        Figure("Topics", words.count(len(picture.topics)), words.many(len(picture.snapshot.partitions), "partition")),
        Figure("Records", f"{words.count(picture.rate_per_s)}/s" if picture.rate_per_s is not None else "-", "arrive now"),
        Figure("Groups behind", words.count(len(behind)), f"of {words.many(len(picture.groups), 'group')}", "warn" if behind else "good"),
        Figure("Under-replicated", words.count(picture.under_replicated), f"partitions, {picture.offline} without a leader", "bad" if picture.under_replicated else "good"),
        Figure("Alerts", words.count(len(raised)), "are raised", "warn" if raised else "good"),
    ]  # fmt: skip
    parts.append(Figures(figures[1:] if picture.part else figures))
    if raised:
        parts.append(alerts(raised, picture.at, links))
    if behind:
        parts.append(groups_table(behind[:20], owners, links, "Groups behind"))
    parts.append(
        Section(
            "Traffic",
            [rate_chart("Records that arrive", arrived, span, "your topics" if picture.part else "all topics")],
        )
    )
    if span.happened:
        parts.append(timeline(span.happened[-30:], span.label))
    return parts


def _verdict(picture: Picture, raised: Sequence[AlertState], down: int, behind: Sequence[GroupLag]) -> Verdict:
    wrong = []
    if picture.offline:
        wrong.append(f"{words.many(picture.offline, 'partition')} without a leader")
    if down:
        wrong.append(f"{words.many(down, 'broker')} down")
    if picture.under_replicated:
        wrong.append(f"{words.many(picture.under_replicated, 'partition')} under-replicated")
    if behind:
        wrong.append(f"{words.many(len(behind), 'group')} behind")
    told = [f"{what}: {why}." for what, why in list(picture.problems.items())[:3]]
    losing = sorted((g for g in behind if g.loses_data_in_s is not None), key=lambda g: g.loses_data_in_s or 0.0)
    if losing:
        told.insert(0, f"Retention deletes data that {losing[0].name} has not read, beginning in {words.duration(losing[0].loses_data_in_s)}.")  # fmt: skip
    critical = picture.offline or down or any(s.labels.get("severity") == "critical" for s in raised)
    if not wrong and not raised:
        return Verdict("Well", f"Nothing is wrong with {picture.cluster}.", "good", told)
    headline = f"{picture.cluster}: {', '.join(wrong) or words.many(len(raised), 'alert')}."
    return Verdict("Trouble" if critical else "Look", headline, "bad" if critical else "warn", told)


def alerts(raised: Sequence[AlertState], now: float, links: Links) -> Table:
    """The alerts that are raised, the most severe first."""
    order = {"critical": 0, "warning": 1, "info": 2}
    ranked = sorted(raised, key=lambda s: (order.get(s.labels.get("severity", ""), 3), -(now - s.since)))
    rows = [
        (
            Cell(s.labels.get("severity", ""), tone=SEVERITIES.get(s.labels.get("severity", ""), "plain")),
            Cell(s.text, href=_about(s, links)),
            s.rule,
            s.labels.get("owner", "-"),
            words.lasting(max(now - s.since, 0.0)),
        )
        for s in ranked
    ]
    columns = [Column("severity"), Column("what"), Column("rule"), Column("owner"), Column("for", number=True)]
    return Table("Alerts", columns, rows, empty="No alert is raised.")


def _about(state: AlertState, links: Links) -> str:
    if "group" in state.labels:
        return links.to("group", state.labels["group"])
    return links.to("topic", state.labels["topic"]) if "topic" in state.labels else ""


def topics(picture: Picture, owners: Owners, links: Links, wanted: str = "", most: int = ROWS) -> list[Part]:
    """All topics, or those whose name or owner contains every word; `most` rows."""
    found = [t for t in picture.topics.values() if _matches(wanted, t.name, owners.of_topic(t.name))]
    columns = [
        Column("topic", sorted="ascending"), Column("owner"), Column("partitions", number=True), Column("records/s", number=True),
        Column("size", number=True), Column("last record", number=True), Column("groups", number=True),
        Column("worst time lag", number=True), Column("of group"), Column("state"),
    ]  # fmt: skip
    rows = [_topic_row(t, picture.at, owners, links) for t in found[:most]]
    return [Table("Topics", columns, rows, _cut(len(found), most), "No topic matches.", show_caption=False)]


def _cut(found: int, most: int) -> str:
    return f"{most:,} of {found:,} are shown: search for the rest." if found > most else ""


def _matches(wanted: str, *texts: str) -> bool:
    text = " ".join(texts).lower()
    return all(word in text for word in wanted.lower().split())


def _topic_row(t: TopicNow, now: float, owners: Owners, links: Links) -> tuple[str | Cell, ...]:
    state = Cell("offline", tone="bad") if t.offline else Cell("under-replicated", tone="warn") if t.under_replicated else Cell("in sync", tone="good")  # fmt: skip
    worst = t.worst
    return (
        Cell(t.name, href=links.to("topic", t.name)),
        owners.of_topic(t.name),
        words.number(t.partitions),
        Cell("-" if t.rate_per_s is None else f"{t.rate_per_s:,.1f}" if t.rate_per_s < 10 else words.count(t.rate_per_s), -1.0 if t.rate_per_s is None else t.rate_per_s),
        words.sized(t.size_bytes),
        Cell("-" if t.newest is None else f"{words.duration(max(now - t.newest, 0.0))} ago", float("inf") if t.newest is None else now - t.newest)
        if t.newest is not None else Cell("-", 1e18),
        words.number(len(t.groups)),
        words.lasting(worst.time_lag_s if worst else None),
        Cell(worst.name, href=links.to("group", worst.name), tone=words.STATUS_TONES[worst.status]) if worst else Cell("-"),
        state,
    )  # fmt: skip


def topic(
    picture: Picture, name: str, points: Sequence[TopicPoint], span: Span, owners: Owners, links: Links
) -> list[Part]:
    """One topic: what arrives, which groups read it, where it is stored."""
    t = picture.topics[name]
    parts = [p for p in picture.snapshot.partitions if p.topic == name]
    sample = picture.window[-1] if picture.window else None
    starts, ends = (sample.starts.get(name), sample.ends.get(name)) if sample else (None, None)
    age = None if t.newest is None else max(picture.at - t.newest, 0.0)
    figures = Figures(
        [
            Figure("Records", "-" if t.rate_per_s is None else f"{t.rate_per_s:,.1f}/s", "arrive now"),
            Figure("Held", words.short(t.records), "records" if t.records is not None else "not measured"),
            Figure("Size", words.size(t.size_bytes), f"of each of {t.replicas} replicas"),
            Figure("Last record", "-" if age is None else words.duration(age), "ago"),
            Figure("Partitions", words.count(t.partitions), f"{t.under_replicated} under-replicated", "bad" if t.offline else "warn" if t.under_replicated else "plain"),
            Figure("Owner", owners.of_topic(name)),
        ]
    )  # fmt: skip
    rows = []
    for p in parts[:ROWS]:
        start = int(starts[p.partition]) if starts is not None and p.partition < len(starts) else -1
        end = int(ends[p.partition]) if ends is not None and p.partition < len(ends) else -1
        out = [r for r in p.replicas if r not in p.isr]
        rows.append(
            (
                words.number(p.partition),
                words.number(p.leader, "bad" if p.leader < 0 else "plain"),
                ", ".join(map(str, p.replicas)),
                Cell(", ".join(map(str, out)) or "none", tone="warn" if out else "plain"),
                words.number(start if start >= 0 else None),
                words.number(end if end >= 0 else None),
                words.sized(p.size_bytes),
            )
        )
    columns = [
        Column("partition", number=True), Column("leader", number=True), Column("replicas"), Column("out of sync"),
        Column("first offset", number=True), Column("end offset", number=True), Column("size", number=True),
    ]  # fmt: skip
    readers = by_concern(picture.groups[g] for g in t.groups)
    return [
        figures,
        Section("Traffic", [rate_chart("Records that arrive", points, span, name)]),
        Section(
            "Consumers and partitions",
            [groups_table(readers, owners, links, "Groups", "No group reads it."), Table("Partitions", columns, rows)],
        ),
    ]


def groups(picture: Picture, owners: Owners, links: Links, wanted: str = "", most: int = ROWS) -> list[Part]:
    """All groups, or those whose name or owner contains every word, the most worrying first; `most` rows."""
    found = [g for g in by_concern(picture.groups.values()) if _matches(wanted, g.name, owners.of_group(g.name))]
    return [
        replace(
            groups_table(found[:most], owners, links, "Groups", "No group matches."),
            note=_cut(len(found), most),
            show_caption=False,
        )
    ]


def groups_table(
    found: Sequence[GroupLag], owners: Owners, links: Links, caption: str, empty: str = "There is none."
) -> Table:
    """A row for each group."""
    columns = [
        Column("group"), Column("owner"), Column("status"), Column("time lag", number=True), Column("lag", number=True),
        Column("catches up in", number=True), Column("data expires in", number=True), Column("why"),
    ]  # fmt: skip
    rows = [
        (
            Cell(g.name, href=links.to("group", g.name)),
            owners.of_group(g.name),
            words.status(g.status),
            words.lasting(g.time_lag_s),
            words.number(g.lag),
            Cell("never" if g.lag and not g.catching_up and g.trend_per_s is not None else words.duration(g.catch_up_s), 1e18 if g.lag and not g.catching_up else g.catch_up_s or 0.0),
            words.lasting(g.loses_data_in_s, urgency(g.loses_data_in_s)),
            g.because,
        )
        for g in found
    ]  # fmt: skip
    return Table(caption, columns, rows, empty=empty)


def urgency(seconds: float | None) -> Tone:
    """How near the loss of data is."""
    return "plain" if seconds is None or seconds > 86400 else "bad" if seconds < 3600 else "warn"


def group(
    picture: Picture, name: str, points: Sequence[GroupPoint], span: Span, owners: Owners, links: Links
) -> list[Part]:
    """One group: how far it is behind, since when, and when data is lost."""
    g = picture.groups[name]
    tone = words.STATUS_TONES[g.status]
    parts: list[Part] = [
        Verdict(g.status, f"{g.because[:1].upper()}{g.because[1:]}.", "info" if tone == "plain" else tone)
    ]
    parts.append(
        Figures(
            [
                Figure("Time lag", words.duration(g.time_lag_s), "age of the oldest unread record"),
                Figure("Lag", words.short(g.lag), "records unread" if g.lag is not None else "not measured"),
                Figure("Catches up in", words.duration(g.catch_up_s), f"slowest: {g.slowest}" if g.slowest else ""),
                Figure("Data expires in", words.duration(g.loses_data_in_s), "if it reads nothing until then", urgency(g.loses_data_in_s)),
                Figure("Deleted unread", words.count(g.expired_unread), "records", "bad" if g.expired_unread else "plain"),
                Figure("Owner", owners.of_group(name), f"{g.type}, {g.state}"),
            ]
        )
    )  # fmt: skip
    x = [float(p.start) for p in points]
    charts = [
        Chart("Time lag", x, [Series("oldest unread record", [p.time_lag_s for p in points])], "seconds", x_is="clock", zone=UTC_ZONE, marks=span.marks, subtitle=span.label),
        Chart("Lag", x, [Series("records unread", [p.lag_max for p in points])], "count", x_is="clock", zone=UTC_ZONE, marks=span.marks, subtitle=span.label),
    ]  # fmt: skip
    parts.append(Section("How it moved", charts, columns=True))
    columns = [
        Column("partition"), Column("status"), Column("committed", number=True), Column("end", number=True), Column("lag", number=True),
        Column("time lag", number=True), Column("data expires in", number=True), Column("why"),
    ]  # fmt: skip
    rows = [
        (
            Cell(f"{p.topic}-{p.partition}", href=links.to("topic", p.topic)), words.status(p.status), words.number(p.committed),
            words.number(p.end), words.number(p.lag), words.lasting(p.time_lag_s), words.lasting(p.loses_data_in_s, urgency(p.loses_data_in_s)), p.because,
        )
        for p in g.worst
    ]  # fmt: skip
    parts.append(Table("Its worst partitions", columns, rows, f"It reads {words.many(g.partitions, 'partition')} of {words.many(len(g.topics), 'topic')}; {words.many(g.uncommitted, 'partition')} without a committed offset.", "It has no committed offset."))  # fmt: skip
    return parts


def brokers(picture: Picture) -> list[Part]:
    """Which brokers are up, what each holds, how full its disks are."""
    columns = [
        Column("broker", number=True), Column("state"), Column("rack"), Column("address"), Column("leaders", number=True),
        Column("replicas", number=True), Column("size", number=True), Column("disk used", number=True), Column("free", number=True),
    ]  # fmt: skip
    rows = []
    for b in picture.brokers:
        used = b.used_bytes / b.capacity_bytes if b.used_bytes is not None and b.capacity_bytes else None
        free = b.capacity_bytes - b.used_bytes if b.used_bytes is not None and b.capacity_bytes is not None else None
        rows.append(
            (
                words.number(b.broker.id),
                Cell(b.broker.state, tone="good" if b.broker.state == "up" else "bad"),
                b.broker.rack or "-",
                f"{b.broker.host}:{b.broker.port}" if b.broker.host else "-",
                words.number(b.leaders),
                words.number(b.replicas),
                words.sized(b.size_bytes),
                Cell("-", -1.0) if used is None else Cell(f"{used:.0%}", used, tone="bad" if used > 0.9 else "warn" if used > 0.8 else "plain", share=used),
                words.sized(free),
            )
        )  # fmt: skip
    parts: list[Part] = [Table("Brokers", columns, rows, show_caption=False)]
    parts.append(Section("Reassignments under way", [reassignments(picture)]))
    quorum = picture.snapshot.quorum
    if quorum is not None:
        voters = ", ".join(f"{v.id} ({v.lag} behind)" if v.lag else str(v.id) for v in quorum.voters)
        parts.append(Facts("Metadata quorum", (("leader", str(quorum.leader)), ("voters", voters))))
    return parts


def reassignments(picture: Picture) -> Table:
    """Partitions that are being moved."""
    rows = [
        (Cell(f"{p.topic}-{p.partition}"), ", ".join(map(str, p.adding)) or "-", ", ".join(map(str, p.removing)) or "-", words.sized(p.size_bytes))
        for p in picture.moving[:MOVES]
    ]  # fmt: skip
    note = f"{len(picture.moving):,} in all." if len(picture.moving) > MOVES else ""
    heads = [Column("partition"), Column("to"), Column("from"), Column("size", number=True)]
    return Table("Partitions that are being moved", heads, rows, note, "Nothing is being moved.", show_caption=False)


def happened(
    found: Sequence[Happening], raised: Sequence[AlertState], now: float, label: str, links: Links
) -> list[Part]:
    """Alerts that are raised, and what happened, the newest first."""
    parts: list[Part] = [alerts(raised, now, links)]
    if found:
        parts.append(timeline(list(reversed(found)), label))
    else:
        parts.append(Facts("Nothing happened", (("in", label),)))
    return parts


def timeline(found: Sequence[Happening], label: str) -> Timeline:
    """What happened, with dates."""
    from datetime import datetime

    def at(seconds: float) -> str:
        return datetime.fromtimestamp(seconds, UTC_ZONE).strftime("%d %b %H:%M")

    return Timeline(f"Incidents, drills and healings, {label}", incidents.moments(found, at, words.duration))


def rate_chart(title: str, points: Sequence[TopicPoint], span: Span, of: str) -> Chart:
    """Records per second by period; a period without a sample has no value."""
    return Chart(
        title,
        [float(p.start) for p in points],
        [Series("records", [p.records / p.level_s if p.samples else None for p in points])],
        "per_s",
        x_is="clock",
        zone=UTC_ZONE,
        marks=span.marks,
        subtitle=f"{of}, {span.label} (UTC)",
    )
