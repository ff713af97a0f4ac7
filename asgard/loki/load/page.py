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
from asgard.loki.load.result import LoadResult
from asgard.loki.load.verdict import milliseconds

EVIDENCE = (Link("result.json", "result.json"), Link("junit.xml", "junit.xml"))
"""Files beside a report (`asgard.loki.load.report`)."""
_HELD_BACK_S = 0.1  # records later than this at p99: the load's own machine was too slow, or its client full


def page(result: LoadResult) -> str:
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


Values = dict[str, Callable[[Row], float | None]]
"""Series of a chart by name."""


def charts(result: LoadResult, marks: Sequence[Marked] = ()) -> list[Part]:
    """Throughput, latency, errors if there were any, and what consumers saw; the marks are drawn on each."""
    rates: Values = {"sent": lambda row: row.sent, "acknowledged": lambda row: row.acked}
    if result.reading:
        rates["consumed"] = lambda row: row.read
    found = [
        _throughput(result, rates, marks),
        _chart(
            result,
            marks,
            "Producer latency",
            "from the intended send time to the acknowledgement",
            {"p50": lambda row: row.p50_s, "p99": lambda row: row.p99_s, "max": lambda row: row.max_s},
        ),
    ]
    if any(row.errors for row in result.rows):
        x, (errors,) = _rates(result, {"errors": lambda row: row.errors})
        about = "records per second that failed or got no answer"
        found.append(Chart("Errors", x, [errors], "per_s", kind="area", subtitle=about, marks=marks))
    if result.reading:
        lag = Series("lag", [row.lag for row in result.rows])
        found += [
            _chart(
                result,
                marks,
                "End-to-end latency",
                "from the intended send time to the consumer",
                {
                    "p50": lambda row: row.end_to_end_p50_s,
                    "p99": lambda row: row.end_to_end_p99_s,
                    "max": lambda row: row.end_to_end_max_s,
                },
            ),
            Chart("Consumer lag", [row.at_s for row in result.rows], [lag], "count", kind="area", subtitle="records not consumed yet", marks=marks),
        ]  # fmt: skip
    return [chart for chart in found if not chart.empty]


def _chart(result: LoadResult, marks: Sequence[Marked], title: str, about: str, what: Values) -> Chart:
    """Latencies, on a logarithmic axis."""
    series = [Series(name, [value(row) for row in result.rows]) for name, value in what.items()]
    x = [row.at_s for row in result.rows]
    return Chart(title, x, series, "seconds", log=True, subtitle=about, marks=marks)


def _throughput(result: LoadResult, what: Values, marks: Sequence[Marked]) -> Chart:
    """Rates. Records that were held up arrive all at once: such a peak is cut off, as it would flatten everything else."""
    x, series = _rates(result, what)
    planned = max((stage.to_per_s for group in result.scenario.producers for stage in group.stages), default=0.0)
    highest = max((value or 0.0 for one in series for value in one.values), default=0.0)
    top, about = None, "records per second"
    if planned and highest > 4 * planned:
        top, about = 2 * planned, f"records per second; catch-up peaks of up to {exact(highest, 'per_s')} are cut off"
    return Chart("Throughput", x, series, "per_s", subtitle=about, marks=marks, top=top)


def _rates(result: LoadResult, what: Values) -> tuple[list[float], list[Series]]:
    """Counts of rows as rates, over at least a second each: finer rows show the batches of the clients, not the cluster."""
    together = max(1, round(1 / result.row_s))
    groups = [result.rows[i : i + together] for i in range(0, len(result.rows), together)]
    if len(groups) > 1 and len(groups[-1]) < together:
        groups.pop()
    series = [
        Series(name, [sum(value(row) or 0 for row in group) / len(group) / result.row_s for group in groups])
        for name, value in what.items()
    ]
    return [group[0].at_s for group in groups], series


def table(caption: str, figures: tables.Figures, bad: str = "NO") -> Table:
    """Figures of a terminal as a table of a page; a cell that says `bad` is coloured."""
    columns = [Column(head, number=i >= figures.right) for i, head in enumerate(figures.columns)]
    rows = [[Cell(cell, tone="bad") if cell == bad else cell for cell in row] for row in figures.rows]
    return Table(caption, columns, rows)


def figures_of(result: LoadResult) -> list[Part]:
    """The tables that have rows."""
    every: tuple[tuple[str, Callable[[LoadResult], tables.Figures]], ...] = (
        ("Goals", tables.judged),
        ("Producers", tables.sending),
        ("Consumers", tables.reading),
        ("Why records failed", tables.reasons),
        ("What the check found", tables.findings),
    )
    return [table(caption, found) for caption, make in every if (found := make(result)).rows]


def _tried(result: LoadResult) -> str:
    """What was tried, as a title: `800 records/s to orders.created for 20 s`."""
    planned = [stage.to_per_s for group in result.scenario.producers for stage in group.stages]
    rate = f"{max(planned):,.0f} records/s" if planned else "as fast as possible"
    return f"{rate} to {', '.join(result.topics) or result.name} for {format_duration(result.scenario.duration_s)}"


_NAMES = {"p50": "Latency p50", "p99": "Latency p99", "p999": "Latency p99.9", "lost": "Number of lost records"}


def _verdict(result: LoadResult) -> Verdict:
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


def _figures(result: LoadResult) -> Figures:
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


def _evidence(result: LoadResult) -> Evidence:
    told = [
        "Latency counts from the time at which a record was due to be sent, so a producer that waits for a slow cluster hides nothing. "
        "Percentiles are accurate to 1 %."
    ]
    if result.check:
        told.append(
            "Every record carries a number. After the load, a fresh consumer read the topic from its beginning and compared it with what producers and consumers had recorded."
        )
    return Evidence(told, EVIDENCE)


def _facts(result: LoadResult) -> Facts:
    workers = ", ".join(f"{w.index} on {w.host}: {w.state}, {w.sent:,} sent" for w in result.workers)
    late = [s for s in result.sending if (s.late.p99_s or 0) > _HELD_BACK_S]
    facts = [
        ("cluster id", result.cluster_id),
        ("run", result.run),
        ("started", f"{result.began_at[:19].replace('T', ' ')} UTC"),
        ("duration", format_duration(result.seconds)),
        ("warm-up", result.scenario.warm_up_words),
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
