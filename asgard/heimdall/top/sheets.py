"""What each view of the terminal shows: the parts of Heimdall's pages without their charts, sorted and filtered. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from asgard.core.pages.parts import Cell, Chart, Facts, Figures, Part, Section, Table, Timeline, Verdict
from asgard.heimdall import views
from asgard.heimdall.alerts.model import AlertState
from asgard.heimdall.owners import Owners
from asgard.heimdall.picture import Picture
from asgard.heimdall.views import Links, Span

View = Literal["cluster", "topics", "groups", "reassignments"]
VIEWS: tuple[View, ...] = ("cluster", "topics", "groups", "reassignments")
LINKS = Links(lambda kind, name: f"{kind}:{name}")
"""A row that opens something has the address `topic:NAME` or `group:NAME`."""
EVERY = 10_000_000
ROWS = 500
"""At most so many rows of one table are drawn: a filter finds the rest."""


@dataclass(frozen=True)
class TopSnapshot:
    """What was seen: the picture, and the alerts that are raised."""

    picture: Picture
    raised: Sequence[AlertState] = ()
    owners: Owners = Owners()  # noqa: RUF009  (it is frozen)


@dataclass(frozen=True)
class SortOrder:
    """The column rows are sorted by; None: as they come, the most worrying first."""

    column: int | None = None
    descending: bool = False


@dataclass(frozen=True)
class Sheet:
    """A view: a heading in a few lines, and tables, of which the first has a cursor and can be sorted."""

    title: str
    lines: tuple[str, ...]
    table: Table
    more: tuple[Table, ...] = ()
    tone: str = "plain"


def sheet(known: TopSnapshot, view: View, order: SortOrder = SortOrder(), wanted: str = "") -> Sheet:
    """One of the four views."""
    picture, owners = known.picture, known.owners
    if view == "topics":
        (table,) = _tables(views.topics(picture, owners, LINKS, most=EVERY))
        return _made(f"{len(picture.topics):,} topics", (), table, order, wanted)
    if view == "groups":
        (table,) = _tables(views.groups(picture, owners, LINKS, most=EVERY))
        return _made(f"{len(picture.groups):,} groups, {len(picture.behind):,} behind", (), table, order, wanted)
    if view == "reassignments":
        return _made(f"{len(picture.moving):,} partitions are being moved", (), views.reassignments(picture), order, wanted)  # fmt: skip
    parts = views.overview(picture, known.raised, [], _span(picture), owners, LINKS)
    brokers = views.brokers(picture)
    (table,) = [t for t in _tables(brokers[:1]) if t]
    verdict = next(p for p in parts if isinstance(p, Verdict))
    others = (*(t for t in _tables(parts) if t.rows), *_tables(brokers[1:]))
    told = _made(verdict.headline, _lines([*parts, *brokers]), table, order, wanted, tone=verdict.tone)
    return replace(told, more=tuple(t for t in others if t.rows))


def about(known: TopSnapshot, address: str, order: SortOrder = SortOrder(), wanted: str = "") -> Sheet | None:
    """A topic or a group by its address; None if it is gone."""
    picture, owners = known.picture, known.owners
    kind, _, name = address.partition(":")
    if kind == "topic" and name in picture.topics:
        parts = views.topic(picture, name, [], _span(picture), owners, LINKS)
    elif kind == "group" and name in picture.groups:
        parts = views.group(picture, name, [], _span(picture), owners, LINKS)
    else:
        return None
    tables = _tables(parts)
    verdict = next((p for p in parts if isinstance(p, Verdict)), None)
    lines = ((verdict.headline,) if verdict else ()) + _lines(parts)
    told = _made(f"{kind} {name}", lines, tables[0], order, wanted, tone=verdict.tone if verdict else "plain")
    return replace(told, more=tuple(tables[1:]))


def address_of(row: Sequence[str | Cell]) -> str:
    """Where a row leads; empty: nowhere."""
    return next((cell.href for cell in row if isinstance(cell, Cell) and cell.href), "")


def _span(picture: Picture) -> Span:
    return Span(picture.at, picture.at, "")


def _made(
    title: str, lines: tuple[str, ...], table: Table, order: SortOrder, wanted: str, *, tone: str = "plain"
) -> Sheet:
    rows = [r for r in table.rows if _matches(r, wanted)]
    if order.column is not None and order.column < len(table.columns):
        rows = _sorted(rows, order.column, order.descending)
    note = f"{ROWS:,} of {len(rows):,} are shown: a filter finds the rest" if len(rows) > ROWS else table.note
    return Sheet(title, lines, replace(table, rows=rows[:ROWS], note=note), tone=tone)


def _matches(row: Sequence[str | Cell], wanted: str) -> bool:
    text = " ".join(_text(cell) for cell in row).lower()
    return all(word in text for word in wanted.lower().split())


def _sorted(rows: Iterable[Sequence[str | Cell]], column: int, descending: bool) -> list[Sequence[str | Cell]]:
    """By value, else by text; what was not measured stays at the end."""
    known: list[Sequence[str | Cell]] = []
    unknown: list[Sequence[str | Cell]] = []
    for row in rows:
        (unknown if _text(row[column]) == "-" else known).append(row)

    def key(row: Sequence[str | Cell]) -> tuple[float, str]:
        cell = row[column]
        value = cell.sort if isinstance(cell, Cell) and cell.sort is not None else math.nan
        return (0.0 if math.isnan(value) else value, _text(cell).lower())

    return sorted(known, key=key, reverse=descending) + unknown


def _text(cell: str | Cell) -> str:
    return cell.text if isinstance(cell, Cell) else cell


def _tables(parts: Sequence[Part]) -> list[Table]:
    found: list[Table] = []
    for part in parts:
        if isinstance(part, Table):
            found.append(part)
        elif isinstance(part, Section):
            found += _tables(part.parts)
    return found


def _lines(parts: Sequence[Part]) -> tuple[str, ...]:
    """Figures and facts as lines of text; charts and timelines are for pages."""
    found: list[str] = []
    for part in parts:
        if isinstance(part, Verdict):
            found += part.sentences
        elif isinstance(part, Figures):
            found.append(" · ".join(f"{f.label.lower()} {f.value} {f.note}".strip() for f in part.figures))
        elif isinstance(part, Facts):
            found.append(f"{part.title.lower()}: " + ", ".join(f"{name} {value}" for name, value in part.facts))
        else:
            assert isinstance(part, Table | Section | Chart | Timeline), part
    return tuple(found)
