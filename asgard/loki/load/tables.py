"""A result's figures as rows for people: on a terminal, on the page. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from asgard.loki.load.result import LoadResult
from asgard.loki.load.verdict import milliseconds


@dataclass(frozen=True)
class Figures:
    """Column heads and rows of cells; all columns from `right` on hold numbers."""

    columns: list[str]
    rows: list[list[str]]
    right: int


def sending(result: LoadResult) -> Figures:
    """Groups of producers."""
    rows = [
        [
            s.name,
            s.loop,
            f"{s.sent:,}",
            f"{s.acked:,}",
            f"{s.failed + s.unknown:,}",
            f"{s.rate_per_s:,.0f}/s",
            *(milliseconds(v) for v in (s.latency.p50_s, s.latency.p99_s, s.latency.p999_s, s.latency.max_s)),
        ]
        for s in result.sending
    ]
    return Figures(
        ["producers", "loop", "sent", "acknowledged", "errors", "rate", "p50", "p99", "p99.9", "max"], rows, 2
    )


def reading(result: LoadResult) -> Figures:
    """Groups of consumers; no rows if there are none."""
    rows = [
        [
            r.group,
            f"{r.read:,}",
            "-" if r.lag is None else f"{r.lag:,}",
            *(milliseconds(v) for v in (r.end_to_end.p50_s, r.end_to_end.p99_s, r.end_to_end.max_s)),
        ]
        for r in result.reading
    ]
    return Figures(["consumers", "read", "lag", "end-to-end p50", "p99", "max"], rows, 1)


def judged(result: LoadResult) -> Figures:
    """What had to hold."""
    rows = [[j.name, j.wanted, j.got, "yes" if j.met else "NO"] for j in result.judged]
    return Figures(["goal", "wanted", "got", "met"], rows, 4)


def reasons(result: LoadResult) -> Figures:
    """Why records failed."""
    rows = [[s.name, reason, f"{count:,}"] for s in result.sending for reason, count in s.reasons.items()]
    return Figures(["producers", "why records failed", "times"], rows, 2)


def findings(result: LoadResult) -> Figures:
    """What the check found, and what it means."""
    found = result.check.findings if result.check else []
    rows = [[f.words, f"breaks: {f.promise}" if f.promise else f"not promised: {f.because}"] for f in found]
    return Figures(["what the check found", "meaning"], rows, 2)


def every(result: LoadResult) -> list[Figures]:
    """Those that have rows."""
    return [table for part in (sending, reading, reasons, findings, judged) if (table := part(result)).rows]
