"""The daily report as parts of a page, and as one self-contained file: what arrived, how much, how late, what is missing. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from asgard.core.pages.parts import (
    Cell,
    Chart,
    Column,
    Command,
    Evidence,
    Facts,
    Figure,
    Figures,
    Part,
    Section,
    Series,
    Table,
    Timeline,
    Tone,
)
from asgard.core.pages.render import render
from asgard.heimdall import incidents, words
from asgard.heimdall.report.day import Day, GroupDay, TopicDay
from asgard.heimdall.report.sentences import VERDICT_TONES, answer, headline, notes
from asgard.heimdall.volume.model import Compared

HOURS_SHOWN = 40
GROUPS_DRAWN = 6
Href = Callable[[str, str], str]
"""The address of a topic or group, by kind and name; empty if there is none."""


def page(day: Day) -> str:
    """The report as one file."""
    return render(
        f"{day.cluster} on {day.date.isoformat()}: {headline(day)}",
        parts(day),
        eyebrow=f"Daily report of {day.cluster} · {day.date:%A, %-d %B %Y} ({day.tz.key})",
        made_at=datetime.fromtimestamp(day.made_at, UTC),
    )


def parts(day: Day, href: Href = lambda kind, name: "") -> list[Part]:
    """The parts of the report, in the order of a reader's questions."""
    found: list[Part] = [answer(day), Figures(figures(day)), attention(day, href)]
    found.append(Section("The day", [*charts(day)], columns=False))
    if day.happenings:
        found.append(
            Timeline(
                "Incidents, drills and healings",
                incidents.moments(day.happenings, lambda at: words.clock(at, day.tz), words.duration),
            )
        )
    found.append(Section("Collection", [by_owner(day), topics(day, href)]))
    found.append(Section("Consumers", [groups(day, href)]))
    found += [Evidence(notes(day)), _words()]
    command = f"asgard heimdall report --date {day.date.isoformat()} --tz {day.tz.key} --out DIR"
    found.append(Command(command, "Make this report again"))
    return found


def figures(day: Day) -> list[Figure]:
    """The day in six numbers."""
    usual = sum(t.usual or 0.0 for t in day.topics)
    compared = sum(t.compared or 0 for t in day.topics)
    about = [f"{words.share(compared, usual)} of usual" if usual else "no earlier weeks to compare"]
    about += [f"about {words.size(day.bytes)}"] if day.bytes is not None else []
    wrong_hours = sum(len([h for h in t.unusual if h.verdict != "high"]) for t in day.topics)
    lost = sum(g.expired_unread for g in day.groups)
    losing = day.losing
    faults = [h for h in day.happenings if h.kind == "fault"]
    return [
        Figure("Records", words.short(day.records), " · ".join(about)),
        Figure("Topics with gaps", words.count(len(day.wrong)), f"of {words.many(len(day.topics), 'topic')}, {words.many(wrong_hours, 'hour')} missing, late or low", "bad" if day.wrong else "good"),
        Figure("Groups behind", words.count(len(day.behind)), f"of {words.many(len(day.groups), 'group')}, at some time of the day", "warn" if day.behind else "good"),
        Figure("Deleted unread", words.count(lost), "records that retention deleted before a group read them", "bad" if lost else "good"),
        Figure("Unread data expires", words.duration(losing[0].loses_data_in_s) if losing else "-", f"first for {losing[0].name}" if losing else "nothing is in danger", _urgency(losing)),
        Figure("Incidents", words.count(len(faults)), f"{words.many(len([h for h in day.happenings if h.kind == 'healing']), 'healing')}, {words.many(len([h for h in day.happenings if h.kind == 'drill']), 'drill')}", "warn" if faults else "plain"),
    ]  # fmt: skip


def _urgency(losing: Sequence[GroupDay]) -> Tone:
    if not losing:
        return "good"
    soonest = losing[0].loses_data_in_s or 0.0
    return "bad" if soonest < 3600 else "warn" if soonest < 86400 else "plain"


def attention(day: Day, href: Href) -> Table:
    """Hours that are missing, late, low or high, the worst topics first."""
    rows = []
    for topic in (*day.wrong, *day.high):
        for hour in topic.unusual:
            rows.append(
                (
                    Cell(topic.topic, href=href("topic", topic.topic)),
                    topic.owner,
                    Cell(words.clock(hour.count.window.start, day.tz), hour.count.window.start),
                    Cell(hour.verdict, tone=VERDICT_TONES[hour.verdict]),
                    words.number(hour.count.records),
                    words.number(hour.usual),
                    hour.because,
                )
            )
    columns = [
        Column("topic"), Column("owner"), Column("hour"), Column("verdict"), Column("records", number=True),
        Column("usual", number=True), Column("why"),
    ]  # fmt: skip
    note = f"{len(rows) - HOURS_SHOWN:,} more are in unusual.csv." if len(rows) > HOURS_SHOWN else ""
    return Table(
        "What is missing, late or unusual",
        columns,
        rows[:HOURS_SHOWN],
        note,
        "Every hour that can be compared is as usual.",
    )


def charts(day: Day) -> list[Part]:
    """Records and lag over the day, with what happened marked."""
    marked = incidents.marks(day.happenings, day.begin, min(day.end, day.made_at))
    starts = sorted({h.count.window.start for t in day.topics for h in t.hours if h.count.window.start < day.made_at})
    arrived = dict.fromkeys(starts, 0.0)
    usual = dict.fromkeys(starts, 0.0)
    comparable = set()
    for hour in (h for t in day.topics for h in t.hours if h.count.window.start in arrived):
        arrived[hour.count.window.start] += hour.count.records or 0
        if hour.usual is not None:
            usual[hour.count.window.start] += hour.usual
            comparable.add(hour.count.window.start)
    series = [Series("arrived", [arrived[s] for s in starts])]
    if comparable:
        series.append(Series("usual", [usual[s] if s in comparable else None for s in starts]))
    found: list[Part] = [
        Chart(
            "Records by hour", starts, series, "count", x_is="clock", zone=day.tz, marks=marked, subtitle="all topics"
        )
    ]
    worst = [g for g in day.groups if any(p.time_lag_s for p in g.points)]
    worst = sorted(worst, key=lambda g: -(g.time_lag_max_s or 0.0))[:GROUPS_DRAWN]
    times = sorted({p.start for g in worst for p in g.points})
    lines = [
        Series(g.name, [at.get(t) for t in times]) for g in worst for at in [{p.start: p.time_lag_s for p in g.points}]
    ]
    found.append(
        Chart(
            "Time lag by hour", [float(t) for t in times], lines, "seconds", x_is="clock", zone=day.tz, marks=marked,
            subtitle=f"age of the oldest unread record; the {words.many(len(lines), 'group')} with the highest",
        )
    )  # fmt: skip
    if any(p.under_replicated or p.offline for p in day.points):
        found.append(
            Chart(
                "Partitions without all their replicas",
                [float(p.start) for p in day.points],
                [
                    Series("under-replicated", [p.under_replicated for p in day.points]),
                    Series("offline", [p.offline for p in day.points]),
                ],
                "count", x_is="clock", zone=day.tz, marks=marked, subtitle="the most at a time in each hour",
            )
        )  # fmt: skip
    return found


def by_owner(day: Day) -> Table:
    """A row for each owner."""
    owners = sorted({t.owner for t in day.topics} | {g.owner for g in day.groups})
    rows = []
    for owner in owners:
        own = [t for t in day.topics if t.owner == owner]
        wrong = [t for t in own if t in day.wrong]
        behind = [g for g in day.behind if g.owner == owner]
        usual, compared = sum(t.usual or 0.0 for t in own), sum(t.compared or 0 for t in own)
        known = [t.bytes for t in own if t.bytes is not None]
        rows.append(
            (
                owner,
                words.number(len(own)),
                words.number(sum(t.records or 0 for t in own)),
                words.sized(sum(known) if known else None),
                Cell(words.share(compared, usual), compared / usual if usual else -1.0),
                words.number(len(wrong), "bad" if wrong else "plain"),
                words.number(len(behind), "warn" if behind else "plain"),
            )
        )
    columns = [
        Column("owner", sorted="ascending"), Column("topics", number=True), Column("records", number=True),
        Column("about", number=True), Column("of usual", number=True), Column("topics with gaps", number=True),
        Column("groups behind", number=True),
    ]  # fmt: skip
    return Table("By owner", columns, rows)


def topics(day: Day, href: Href) -> Table:
    """A row for each topic, the most worrying first."""
    columns = [
        Column("topic"), Column("owner"), Column("state"), Column("records", number=True), Column("of usual", number=True),
        Column("about", number=True), Column("by hour"), Column("exact?"),
    ]  # fmt: skip
    first = [*day.wrong, *day.high]
    rest = [t for t in day.topics if t.verdict not in ("missing", "late", "low", "high")]
    return Table("By topic", columns, [_topic(t, href) for t in (*first, *rest)], empty="There is no topic.")


def _topic(topic: TopicDay, href: Href) -> tuple[str | Cell, ...]:
    usual = topic.usual
    return (
        Cell(topic.topic, href=href("topic", topic.topic)),
        topic.owner,
        Cell("not comparable" if topic.verdict == "unknown" else topic.verdict, tone=VERDICT_TONES[topic.verdict]),
        words.number(topic.records),
        Cell(words.share(topic.compared or 0, usual), (topic.compared or 0) / usual) if usual else Cell("-", -1.0),
        words.sized(topic.bytes),
        Cell("", trend=[_records(h) for h in topic.hours]),
        "; ".join(topic.approximate) or "exact",
    )


def _records(hour: Compared) -> float | None:
    return None if hour.count.records is None else float(hour.count.records)


def groups(day: Day, href: Href) -> Table:
    """A row for each group, the most worrying first."""
    columns = [
        Column("group"), Column("owner"), Column("worst status"), Column("highest time lag", number=True),
        Column("highest lag", number=True), Column("now"), Column("data expires in", number=True), Column("deleted unread", number=True),
    ]  # fmt: skip
    rows = [
        (
            Cell(g.name, href=href("group", g.name)),
            g.owner,
            words.status(g.status),
            words.lasting(g.time_lag_max_s),
            words.number(g.lag_max),
            words.status(g.now.status) if g.now else "-",
            words.lasting(g.loses_data_in_s, _urgency([g]) if g in day.losing else "plain"),
            words.number(g.expired_unread, "bad" if g.expired_unread else "plain"),
        )
        for g in day.groups
    ]
    return Table("Groups", columns, rows, empty="No group reads from this cluster.")


def _words() -> Facts:
    return Facts(
        "What the words mean",
        (
            ("usual", "The median of the same local hours on the same day of the four weeks before."),
            ("missing, low, high", "None, or clearly fewer or more than usual: by more than 3.5 robust standard deviations, and by more than 20%."),
            ("late", "Clearly fewer than usual, the hour ended less than two hours before this report, and nothing newer has arrived."),
            ("not comparable", "Fewer than three earlier weeks are known."),
            ("time lag", "The age of the oldest record that a group has not read yet."),
            ("data expires in", "When retention begins to delete records that the group has not read, if it reads nothing until then."),
        ),
    )  # fmt: skip
