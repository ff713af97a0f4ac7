"""A drill's figures as rows for people, on a terminal and on the page. Pure."""

from __future__ import annotations

from asgard.core.units import format_duration
from asgard.loki.drill.result import Drill, Series, Struck
from asgard.loki.load.tables import Figures
from asgard.loki.load.verdict import milliseconds


def faults(series: Series) -> Figures:
    """Each fault, how long it took, and what users felt."""
    heads = [
        "seed",
        "fault",
        "at",
        "noticed after",
        "by Kafka",
        "recovered after",
        "producers blocked",
        "consumers blocked",
    ]
    rows = [
        [
            str(run.seed),
            fault.text,
            format_duration(fault.at_s),
            _noticed(fault.noticed_s, fault),
            _noticed(fault.kafka_s, fault),
            "never" if fault.healed_s is None else format_duration(fault.healed_s),
            format_duration(fault.producers_waited_s),
            format_duration(fault.consumers_waited_s),
        ]
        for run in series.runs
        for fault in run.faults
    ]
    return Figures(heads, rows, 2)


def records(series: Series) -> Figures:
    """What happened to the records of each run."""
    heads = ["seed", "acknowledged", "lost", "duplicated", "longest wait", "until read", "producers blocked", "consumers blocked"]  # fmt: skip
    rows = [
        [
            str(run.seed),
            f"{run.acknowledged:,}",
            f"{run.lost:,}",
            f"{run.duplicates:,}",
            milliseconds(run.worst_s),
            milliseconds(run.worst_end_to_end_s),
            format_duration(run.producers_waited_s),
            format_duration(run.consumers_waited_s),
        ]
        for run in series.runs
    ]
    return Figures(heads, rows, 1)


def promises(run: Drill) -> Figures:
    """What had to hold in a run."""
    rows = [[p.words, "yes" if p.kept else "NO", p.seen] for p in run.promises]
    return Figures(["promise", "kept", "seen"], rows, 3)


def often(series: Series) -> Figures:
    """How often it held over all runs."""
    rows = [
        [o.words, f"{o.share.kept} of {o.share.of}", f"{o.share.low:.1%} to {o.share.high:.1%}"] for o in series.often
    ]
    return Figures(["promise", "kept in", "of all drills, with 95 % confidence"], rows, 1)


def _noticed(seconds: float | None, fault: Struck) -> str:
    if seconds is not None:
        return format_duration(seconds)
    return "never" if fault.heals else "it passed"
