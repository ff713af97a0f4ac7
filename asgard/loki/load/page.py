"""A load's result as one page: the answer, key figures, charts, tables, and how it was measured. Pure; one file that needs no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from asgard.core.pages.parts import (
    Cell,
    Chart,
    Column,
    Evidence,
    Facts,
    Figure,
    Figures,
    Link,
    Moment,
    Part,
    Section,
    Series,
    Table,
    Timeline,
    Tone,
    Verdict,
)
from asgard.core.pages.parts import Mark as Marked
from asgard.core.pages.render import render
from asgard.core.pages.scale import exact
from asgard.core.units import format_duration
from asgard.loki.load import tables
from asgard.loki.load.outcome import Row
from asgard.loki.load.result import Result
from asgard.loki.load.verdict import milliseconds

EVIDENCE = (Link("result.json", "result.json"), Link("junit.xml", "junit.xml"))
"""What stands beside a report (`asgard.loki.load.report`)."""
_HELD_BACK_S = 0.1  # records later than this at p99: the load's own machine was too slow, or its client full


def page(result: Result) -> str:
    """The page as text."""
    marks = [Marked(mark.at_s, mark.text, mark.until_s, "fault") for mark in result.marks]
    parts: list[Part] = [_verdict(result), _figures(result)]
    if result.marks:
        moments = [Moment(format_duration(m.at_s), m.text, "bad", _until(m.until_s)) for m in result.marks]
        parts.append(Timeline("What happened during the load", moments))
    parts += [
        Section("How it went", charts(result, marks), columns=True),
        Section("The figures", figures_of(result)),
        _evidence(result),
        _facts(result),
    ]
    word = "Passed" if result.passed else "Failed"
    return render(
        f"{word}: {_tried(result)}",
        parts,
        eyebrow=f"Load test on {', '.join(result.topics) or result.name} · {result.began_at[:16].replace('T', ' ')} UTC",
        made_at=datetime.fromisoformat(result.began_at.replace("Z", "+00:00")),
    )


def charts(result: Result, marks: Sequence[Marked] = ()) -> list[Part]:
    """Throughput, latency, errors if there were any, and what consumers saw; the marks are drawn on each."""
    rows, per_s = result.rows, 1 / result.row_s
    at = [row.at_s for row in rows]

    def chart(
        title: str, subtitle: str, unit: str, what: dict[str, Callable[[Row], float | None]], **how: object
    ) -> Chart:
        series = [Series(name, [value(row) for row in rows]) for name, value in what.items()]
        return Chart(title, at, series, unit, subtitle=subtitle, marks=marks, **how)  # type: ignore[arg-type]

    rates: dict[str, Callable[[Row], float | None]] = {
        "sent": lambda row: row.sent * per_s,
        "acknowledged": lambda row: row.acked * per_s,
    }
    if result.reading:
        rates["consumed"] = lambda row: row.read * per_s
    top, note = _cut(result, rates)
    found: list[Part] = [
        chart("Throughput", f"records per second{note}", "per_s", rates, top=top),
        chart(
            "Producer latency",
            "from the intended send time to the acknowledgement",
            "seconds",
            {"p50": lambda r: r.p50_s, "p99": lambda r: r.p99_s, "max": lambda r: r.max_s},
            log=True,
        ),
    ]
    if any(row.errors for row in rows):
        errors = chart("Errors", "records per second that failed or got no answer", "per_s", {"errors": lambda r: r.errors * per_s}, kind="area")  # fmt: skip
        found.append(errors)
    if result.reading:
        found += [
            chart(
                "End-to-end latency",
                "from the intended send time to the consumer",
                "seconds",
                {"p50": lambda r: r.end_to_end_p50_s, "p99": lambda r: r.end_to_end_p99_s, "max": lambda r: r.end_to_end_max_s},
                log=True,
            ),
            chart("Consumer lag", "records not consumed yet", "count", {"lag": lambda r: r.lag}, kind="area"),
        ]  # fmt: skip
    return [one for one in found if isinstance(one, Chart) and not one.empty]


def _cut(result: Result, rates: dict[str, Callable[[Row], float | None]]) -> tuple[float | None, str]:
    """Where throughput is cut off, and words for it: what was held up comes all at once, and would flatten everything else."""
    planned = max((s.to_per_s for group in result.scenario.producers for s in group.stages), default=0.0)
    highest = max((value(row) or 0.0 for row in result.rows for value in rates.values()), default=0.0)
    if not planned or highest <= 4 * planned:
        return None, ""
    return 2 * planned, f"; peaks of up to {exact(highest, 'per_s')} while catching up are cut off"


def table(caption: str, figures: tables.Figures, bad: str = "NO") -> Table:
    """Figures of a terminal as a table of a page; a cell that says `bad` is coloured."""
    columns = [Column(head, number=i >= figures.right) for i, head in enumerate(figures.columns)]
    rows = [[Cell(cell, tone="bad") if cell == bad else cell for cell in row] for row in figures.rows]
    return Table(caption, columns, rows)


def figures_of(result: Result) -> list[Part]:
    """The tables that have rows."""
    every: tuple[tuple[str, Callable[[Result], tables.Figures]], ...] = (
        ("Goals", tables.judged),
        ("Producers", tables.sending),
        ("Consumers", tables.reading),
        ("Why records failed", tables.reasons),
        ("What the check found", tables.findings),
    )
    return [table(caption, found) for caption, make in every if (found := make(result)).rows]


def _tried(result: Result) -> str:
    """What was tried, as a title: `800 records/s to orders.created for 20 s`."""
    planned = [stage.to_per_s for group in result.scenario.producers for stage in group.stages]
    rate = f"{max(planned):,.0f} records/s" if planned else "as fast as possible"
    return f"{rate} to {', '.join(result.topics) or result.name} for {format_duration(result.scenario.duration_s)}"


_NAMES = {"p50": "Latency p50", "p99": "Latency p99", "p999": "Latency p99.9", "lost": "Number of lost records"}


def _verdict(result: Result) -> Verdict:
    missed = [judged for judged in result.judged if not judged.met]
    told = [result.check.sentence, *result.check.notes] if result.check else ["The records were not checked."]
    if result.stopped and not result.scenario.shape:
        told.append("The load was stopped before its end.")
    if not missed:
        rate = sum(s.rate_per_s for s in result.sending)
        goals = f" All {len(result.judged)} goals were met." if len(result.judged) > 1 else ""
        return Verdict("Passed", f"The cluster took {rate:,.0f} records/s.{goals}", "good", told)
    first = missed[0]
    more = f" {len(missed) - 1} more of {len(result.judged)} goals were missed." if len(missed) > 1 else ""
    name = _NAMES.get(first.name, _capital(first.name))
    return Verdict("Failed", f"{name} was {first.got}; the goal is {first.wanted}.{more}", "bad", told)


def _figures(result: Result) -> Figures:
    sent, acked = sum(s.sent for s in result.sending), sum(s.acked for s in result.sending)
    wrong = sum(s.failed + s.unknown for s in result.sending)
    missed = {judged.name.split(" ")[0] for judged in result.judged if not judged.met}

    def tone(*names: str) -> Tone:
        return "bad" if missed & set(names) else "plain"

    found = [
        Figure("Records acknowledged", f"{acked:,}", f"of {sent:,} sent", tone("acknowledged", "records")),
        Figure("Rate", f"{sum(s.rate_per_s for s in result.sending):,.0f}/s", "acknowledged", tone("rate", "sending")),
    ]
    slowest = max(result.sending, key=lambda s: s.latency.p99_s or 0.0, default=None)
    if slowest is not None and slowest.latency.p99_s is not None:
        note = f"p50 {milliseconds(slowest.latency.p50_s)}, max {milliseconds(slowest.latency.max_s)}"
        found.append(
            Figure("Producer latency, p99", milliseconds(slowest.latency.p99_s), note, tone("p50", "p99", "p999"))
        )
    reads = max(result.reading, key=lambda r: r.end_to_end.p99_s or 0.0, default=None)
    if reads is not None and reads.end_to_end.p99_s is not None:
        note = f"p50 {milliseconds(reads.end_to_end.p50_s)}, max {milliseconds(reads.end_to_end.max_s)}"
        found.append(Figure("End-to-end latency, p99", milliseconds(reads.end_to_end.p99_s), note, tone("end-to-end")))
    if wrong:
        found.append(Figure("Errors", f"{wrong:,}", "failed or without an answer", "bad"))
    if result.check:
        found.append(lost_figure(result.check.lost, acked, result.check.outcome != "undecided"))
    return Figures(found)


def lost_figure(lost: int, acknowledged: int, decided: bool) -> Figure:
    """Records lost of those acknowledged; unknown if the check could not decide."""
    if not decided and not lost:
        return Figure("Records lost", "unknown", "not all records could be checked", "warn")
    return Figure("Records lost", f"{lost:,}", f"of {acknowledged:,} acknowledged", "bad" if lost else "good")


def _evidence(result: Result) -> Evidence:
    told = [
        "Latency counts from the time at which a record was due to be sent, so a producer that waits for a slow cluster hides nothing. "
        "Percentiles are accurate to 1 %."
    ]
    if result.check:
        told.append(
            "Every record carries a number. After the load, a fresh consumer read the topic from its beginning and compared it with "
            "what producers had been told and what consumers had been given."
        )
    return Evidence(told, EVIDENCE)


def _facts(result: Result) -> Facts:
    workers = ", ".join(f"{w.index} on {w.host}: {w.state}, {w.sent:,} sent" for w in result.workers)
    late = [s for s in result.sending if (s.late.p99_s or 0) > _HELD_BACK_S]
    warm_up_s = result.scenario.warm_up_s
    facts = [
        ("cluster id", result.cluster_id),
        ("run", result.run),
        ("started", f"{result.began_at[:19].replace('T', ' ')} UTC"),
        ("duration", format_duration(result.seconds)),
        ("warm-up", f"{format_duration(warm_up_s)}, sent and checked but not measured" if warm_up_s else ""),
        (
            "topics",
            ", ".join(f"{name} (written to {to})" if to != name else name for name, to in result.topics.items()),
        ),
        ("workers", workers),
        ("sent late, p99", ", ".join(f"{s.name} {milliseconds(s.late.p99_s)}" for s in result.sending)),
    ]
    if late:
        facts.append(
            ("note", "Records were sent later than intended: this machine, or its client, was too slow for the rate.")
        )
    return Facts("Facts", [(name, value) for name, value in facts if value])


def _until(until_s: float | None) -> str:
    return "" if until_s is None else f"until {format_duration(until_s)} after the start"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
