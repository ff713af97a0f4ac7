"""A chart as positions: lines, bars, ticks, marked stretches, and what it says in words. Pure.

Positions on both axes are percentages of the plot, so that one drawing fits every width and its text keeps its size.
Paths are in a box of 1000 × 1000 that the page stretches; their lines keep their width.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from asgard.core.pages import scale
from asgard.core.pages.parts import Chart, Series
from asgard.core.pages.scale import Scale

POINTS = 250
"""A chart with more points is thinned to this many stretches; the highest and lowest value of each are kept."""
TABLE_ROWS = 40
LABELS = 10
_BOX = 1000


@dataclass(frozen=True)
class Tick:
    """A tick at a percentage of its axis. `spare`: omitted on narrow pages. `anchor` is SVG's text-anchor."""

    at: float
    text: str
    spare: bool = False
    anchor: str = "middle"


@dataclass(frozen=True)
class Shape:
    """One series: its number (for its colour), its name and its paths; `fill` is the area below the line."""

    number: int
    name: str
    line: str
    fill: str = ""


@dataclass(frozen=True)
class Band:
    """A marked time: from where, how wide (0: a line), its letter and where that stands, and what it is called below the plot."""

    at: float
    width: float
    letter: str
    letter_at: float
    kind: str
    text: str
    when: str


@dataclass(frozen=True)
class Drawing:
    """Everything that the template places. `data` is read by the script that shows values under the pointer."""

    x_ticks: list[Tick]
    y_ticks: list[Tick]
    shapes: list[Shape]
    bands: list[Band]
    summary: str
    data: dict[str, Any]
    head: list[str]
    rows: list[list[str]]
    rows_note: str


def draw(chart: Chart) -> Drawing:
    """The chart's positions. The chart must not be empty."""
    values = [value for series in chart.series for value in series.values if value is not None]
    seen = [min(value, chart.top) for value in values] if chart.top is not None else values
    up = scale.logarithmic(seen) if chart.log else scale.linear(seen, chart.unit)
    along, words, short_words = _along(chart)
    discrete = chart.kind in ("bar", "histogram")
    kept = list(range(_length(chart))) if discrete else thinned(chart.series, POINTS)
    spots = [_spot(chart, along, i) for i in range(_length(chart))]
    if discrete:
        shapes = [_bars(chart, along, up, i, series) for i, series in enumerate(chart.series)]
    else:
        shapes = [_line(up, i, series, kept, spots, area=chart.kind == "area") for i, series in enumerate(chart.series)]
    names = [words(i) for i in range(_length(chart))]
    data = {
        "at": [round(spots[i] * 100, 2) for i in kept],
        "x": [names[i] for i in kept],
        "series": [[s.name, [scale.exact(s.values[i], chart.unit) for i in kept]] for s in chart.series],
    }
    some = _some(len(names), TABLE_ROWS)
    return Drawing(
        x_ticks=_x_ticks(chart, along, short_words),
        y_ticks=[Tick(round(100 - up.place(t) * 100, 2), scale.short(t, chart.unit)) for t in up.ticks],
        shapes=shapes,
        bands=_bands(chart, along),
        summary=chart.summary or _summary(chart, names),
        data=data,
        head=[_HEAD[chart.x_is], *(s.name for s in chart.series)],
        rows=[[names[i], *(scale.exact(s.values[i], chart.unit) for s in chart.series)] for i in some],
        rows_note=f"{len(some)} of {len(names)} rows, evenly chosen." if len(some) < len(names) else "",
    )


_HEAD = {"elapsed": "time", "clock": "time", "category": "name", "value": "from"}


def trend(values: Sequence[float | None]) -> str:
    """The path of a cell's small line, in a box of 100 × 20 that begins at zero or the lowest value."""
    known = [value for value in values if value is not None]
    low, high = min(0.0, *known, 0.0), max(0.0, *known, 0.0)
    path, gap = [], True
    for i, value in enumerate(values):
        if value is None:
            gap = True
            continue
        x = 100 * i / max(1, len(values) - 1)
        y = 19 - 18 * (value - low) / ((high - low) or 1.0)
        path.append(f"{'M' if gap else 'L'}{x:.1f} {y:.1f}{'h.5' if gap else ''}")
        gap = False
    return "".join(path)


def thinned(series: Sequence[Series], stretches: int) -> list[int]:
    """Indices that keep every series' highest and lowest value in each of that many stretches; all if there are few."""
    length = max(len(s.values) for s in series)
    if length <= 2 * stretches:
        return list(range(length))
    kept = {0, length - 1}
    for number in range(stretches):
        first, last = number * length // stretches, (number + 1) * length // stretches
        for one in series:
            known = [(value, i) for i in range(first, last) if (value := one.values[i]) is not None]
            if known:
                kept |= {min(known)[1], max(known)[1]}
    return sorted(kept)


def _length(chart: Chart) -> int:
    return max(len(s.values) for s in chart.series)


def _along(chart: Chart) -> tuple[Scale, Callable[[int], str], Callable[[float], str]]:
    """The x axis; a function that formats the i-th x; one that formats a tick."""
    length = _length(chart)
    if chart.x_is == "category":
        names = [str(name) for name in chart.x]
        return Scale(0.0, float(length), list(range(length))), lambda i: names[i], lambda at: _cut(names[int(at)])
    xs = [float(x) for x in chart.x]
    low, high = (min(0.0, xs[0]) if chart.x_is == "elapsed" else xs[0]), xs[-1]
    if chart.x_is == "clock":
        words = scale.clock_words(low, high, chart.zone)
        full = scale.clock_words(0 if high - low > scale.MANY else low, high, chart.zone)
        return scale.clock(low, high, chart.zone), lambda i: full(xs[i]), words
    axis = scale.span(low, high, chart.x_unit)
    if chart.x_is == "elapsed":
        return axis, lambda i: scale.elapsed(xs[i]), scale.elapsed_words(high)
    between = chart.kind == "histogram"

    def named(i: int) -> str:
        first = scale.exact(xs[i], chart.x_unit)
        return f"{first} to {scale.exact(xs[i + 1], chart.x_unit)}" if between else first

    return axis, named, lambda at: scale.short(at, chart.x_unit)


def _spot(chart: Chart, along: Scale, i: int) -> float:
    """Position of the i-th x, from 0 to 1: for bars, their middle."""
    if chart.x_is == "category":
        return (i + 0.5) / along.high
    if chart.kind == "histogram":
        return (along.place(float(chart.x[i])) + along.place(float(chart.x[i + 1]))) / 2
    return along.place(float(chart.x[i]))


def _line(up: Scale, number: int, series: Series, kept: list[int], spots: list[float], *, area: bool) -> Shape:
    runs: list[list[str]] = [[]]
    fill = []
    for i in kept:
        value = series.values[i] if i < len(series.values) else None
        if value is None:
            runs.append([])
            continue
        runs[-1].append(f"{spots[i] * _BOX:.1f} {_BOX - up.place(value) * _BOX:.1f}")
    # A point between two gaps would be invisible: it becomes a short line.
    lines = [run if len(run) > 1 else [run[0], "h2"] for run in runs if run]
    line = "".join(f"M{run[0]}" + "".join(p if p[0] == "h" else f"L{p}" for p in run[1:]) for run in lines)
    if area:
        fill = [f"M{r[0].split()[0]} {_BOX}L{'L'.join(r)}L{r[-1].split()[0]} {_BOX}z" for r in runs if len(r) > 1]
    return Shape(number, series.name, line, "".join(fill))


def _bars(chart: Chart, along: Scale, up: Scale, number: int, series: Series) -> Shape:
    count, steps = len(chart.series), []
    for i, value in enumerate(series.values):
        if not value:
            continue
        if chart.kind == "histogram":
            left, right = along.place(float(chart.x[i])), along.place(float(chart.x[i + 1]))
        elif chart.x_is == "category":
            left, right = (i + 0.12) / along.high, (i + 0.88) / along.high
        else:
            middle, half = along.place(float(chart.x[i])), 0.4 / max(1, len(series.values))
            left, right = middle - half, middle + half
        wide = (right - left) / count
        left += number * wide
        zero = _BOX - max(0.0, up.place(0.0 if not up.log else up.low)) * _BOX
        top = _BOX - up.place(value) * _BOX
        steps.append(f"M{left * _BOX:.2f} {zero:.1f}V{top:.1f}h{wide * _BOX:.2f}V{zero:.1f}z")
    return Shape(number, series.name, "", "".join(steps))


def _x_ticks(chart: Chart, along: Scale, words: Callable[[float], str]) -> list[Tick]:
    if chart.x_is == "category":
        shown = _some(len(along.ticks), LABELS)
        spots = [(along.ticks[i] + 0.5) / along.high for i in shown]
        spare = len(shown) > 6
        return [
            Tick(round(at * 100, 2), words(along.ticks[i]), spare and n % 2 == 1)
            for n, (i, at) in enumerate(zip(shown, spots, strict=True))
        ]
    ticks = []
    for n, tick in enumerate(along.ticks):
        at = along.place(tick)
        anchor = "start" if at < 0.03 else "end" if at > 0.97 else "middle"
        ticks.append(Tick(round(at * 100, 2), words(tick), len(along.ticks) > 4 and n % 2 == 1, anchor))
    return ticks


def _bands(chart: Chart, along: Scale) -> list[Band]:
    found: list[Band] = []
    said = _when(chart)
    for letter, mark in zip(_letters(len(chart.marks)), sorted(chart.marks, key=lambda m: m.at), strict=True):
        first = min(max(along.place(mark.at), 0.0), 1.0)
        last = min(max(along.place(mark.until), first), 1.0) if mark.until is not None else first
        letter_at = min(first * 100, 97.0)
        if found and letter_at < found[-1].letter_at + 3:
            letter_at = min(found[-1].letter_at + 3, 99.0)
        when = said(mark.at) + (f" to {said(mark.until)}" if mark.until is not None else "")
        found.append(
            Band(
                round(first * 100, 2),
                round((last - first) * 100, 2),
                letter,
                round(letter_at, 2),
                mark.kind,
                mark.text,
                when,
            )
        )
    return found


def _when(chart: Chart) -> Callable[[float], str]:
    if chart.x_is == "clock":
        return scale.clock_words(0, scale.MANY, chart.zone)
    return scale.elapsed


def _letters(count: int) -> list[str]:
    """A, B, … Z, 27, 28 …"""
    return [string.ascii_uppercase[i] if i < 26 else str(i + 1) for i in range(count)]


def _some(length: int, most: int) -> list[int]:
    """At most that many indices, evenly chosen, including the first and the last."""
    if length <= most:
        return list(range(length))
    return sorted({round(i * (length - 1) / (most - 1)) for i in range(most)})


def _cut(name: str, most: int = 12) -> str:
    """A long name shortened in the middle."""
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most // 2) + 1 :]}"


def _summary(chart: Chart, names: list[str]) -> str:
    told = []
    for series in chart.series:
        known = [(value, -i) for i, value in enumerate(series.values) if value is not None]
        if known:
            (low, _), (high, at) = min(known), max(known)
            told.append(
                f"{series.name}: from {scale.exact(low, chart.unit)} to {scale.exact(high, chart.unit)}, highest at {names[-at]}"
            )
    if chart.marks:
        said = _when(chart)
        told.append("marked: " + ", ".join(f"{m.text} at {said(m.at)}" for m in chart.marks[:8]))
    return "; ".join(told) + "."
