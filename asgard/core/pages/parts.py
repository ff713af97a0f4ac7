"""The parts of a page, as plain data. Pure.

Each class is drawn by the macro of `templates/asgard/components.html` that its `macro` names. All text is plain text:
the templates escape it. `Tone` is the meaning of a colour, and is always given in words too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import ClassVar, Literal

Tone = Literal["good", "bad", "warn", "info", "plain"]
Unit = Literal["count", "per_s", "seconds", "bytes", "bytes_per_s", "percent"]
"""How values are written: 1,200 · 1,200/s · 250 ms · 1.5 GiB · 1.5 GiB/s · 80 % (of fractions, 0.8)."""


@dataclass(frozen=True)
class Verdict:
    """The answer, first on the page: `word` (Passed, Failed), the headline, and a sentence or two."""

    macro: ClassVar[str] = "verdict"
    word: str
    headline: str
    tone: Tone
    sentences: Sequence[str] = ()


@dataclass(frozen=True)
class Figure:
    """A number as a large figure: what it is, the number with its unit, and a note in a few words."""

    label: str
    value: str
    note: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True)
class Figures:
    """Key figures side by side."""

    macro: ClassVar[str] = "figures"
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Cell:
    """A cell of a table. `sort`: its sort key, if that isn't its text.

    `share` (0 to 1) draws a bar below the text, `trend` a small line of values (hours of a day, say) without an axis.
    """

    text: str
    sort: float | None = None
    href: str = ""
    tone: Tone = "plain"
    share: float | None = None
    trend: Sequence[float | None] = ()


@dataclass(frozen=True)
class Column:
    """The head of a column. Numbers are right-aligned; `sorted` marks the column that the rows are sorted by."""

    name: str
    number: bool = False
    sorted: Literal["", "ascending", "descending"] = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells. `caption` is its title, and its name for screen readers. `empty` is shown if there are no rows."""

    macro: ClassVar[str] = "table"
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str | Cell]]
    note: str = ""
    empty: str = "Nothing to show."
    show_caption: bool = True


@dataclass(frozen=True)
class Moment:
    """Something that happened: when (as text), what, and more about it."""

    at: str
    text: str
    tone: Tone = "plain"
    detail: str = ""


@dataclass(frozen=True)
class Timeline:
    """What happened, in order."""

    macro: ClassVar[str] = "timeline"
    title: str
    moments: Sequence[Moment]


@dataclass(frozen=True)
class Series:
    """Named values of a chart, one for each x; None: not measured."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Mark:
    """A time or time range marked on a chart: a fault, a healing, a note."""

    at: float
    text: str
    until: float | None = None
    kind: Literal["fault", "healing", "note"] = "note"


@dataclass(frozen=True)
class Chart:
    """Series over x. If no series has a value, it is not drawn, and `render` leaves it out.

    `x` are seconds since a start (`elapsed`), Unix times (`clock`, shown in `zone`), or names (`category`, for bars).
    Bars of several series are side by side. A histogram's x are the lower edges of its buckets, its last x the upper
    edge of the last one (one more than values). `top` cuts off what is higher, so that a few peaks don't flatten the
    rest: say so in the subtitle. `summary` is one sentence that says what the chart shows; if empty, one is generated.
    """

    macro: ClassVar[str] = "chart"
    title: str
    x: Sequence[float] | Sequence[str]
    series: Sequence[Series]
    unit: Unit
    kind: Literal["line", "area", "bar", "histogram"] = "line"
    x_is: Literal["elapsed", "clock", "category", "value"] = "elapsed"
    x_unit: Unit = "seconds"
    log: bool = False
    top: float | None = None
    marks: Sequence[Mark] = ()
    subtitle: str = ""
    summary: str = ""
    zone: tzinfo = UTC

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(value is not None for series in self.series for value in series.values)


@dataclass(frozen=True)
class Facts:
    """Names and values. A value that is a sequence is a list."""

    macro: ClassVar[str] = "facts"
    title: str
    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Prose:
    """Paragraphs under a title."""

    macro: ClassVar[str] = "prose"
    title: str
    paragraphs: Sequence[str]
    tone: Tone = "plain"


@dataclass(frozen=True)
class Link:
    """A link. `current`: it is the page being shown."""

    text: str
    href: str
    current: bool = False


@dataclass(frozen=True)
class Evidence:
    """How the page's statements are known, with links to the evidence."""

    macro: ClassVar[str] = "evidence"
    paragraphs: Sequence[str]
    links: Sequence[Link] = ()


@dataclass(frozen=True)
class Command:
    """A command line to run again. `label` says what it does."""

    macro: ClassVar[str] = "command"
    line: str
    label: str = "Run it again"


@dataclass(frozen=True)
class Notice:
    """A message on a served page, as after a form was sent."""

    macro: ClassVar[str] = "notice"
    text: str
    tone: Tone = "info"


@dataclass(frozen=True)
class Field:
    """A field of a form. `error` is shown next to the field and read out with it."""

    name: str
    label: str
    kind: Literal["text", "password", "email", "number", "search", "date", "textarea", "select", "checkbox"] = "text"
    value: str = ""
    help: str = ""
    error: str = ""
    required: bool = False
    options: Sequence[tuple[str, str]] = ()  # value, text
    autocomplete: str = "off"
    pattern: str = ""


@dataclass(frozen=True)
class Section:
    """Parts under a common heading; those with `wide` false are side by side if there is room."""

    macro: ClassVar[str] = "section"
    title: str
    parts: Sequence[Part] = field(default_factory=tuple)
    intro: str = ""
    columns: bool = False


Part = (
    Verdict | Figures | Table | Timeline | Chart | Facts | Prose | Evidence | Command | Notice | Section
)  # fmt: skip
