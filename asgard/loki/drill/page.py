"""The page that a stakeholder reads: the verdict first, then times, counts and plots, with the evidence behind them. Pure.

One file with its JavaScript inside; it needs no network.
"""

from __future__ import annotations

from html import escape

from asgard.core.units import format_duration
from asgard.loki.drill.result import Drill, Series, Struck
from asgard.loki.drill.times import ALLOWED_S
from asgard.loki.load.page import charts, document, table
from asgard.loki.load.verdict import milliseconds

_DEFINITIONS = (
    ("noticed", "from the fault until the healing saw it"),
    ("whole again", "from the fault until every broker was there and every replica of every partition in sync"),
    (
        "had to wait",
        f"the time in which a record that was due was not acknowledged (for those who write) or not read (for those who read) within "
        f"{ALLOWED_S:g} s; one partition is enough",
    ),
    ("lost", "acknowledged, and not found afterwards by a reader that reads everything from the beginning"),
)


def page(series: Series) -> str:
    """The page as text. Raises Failed where the chart library is not installed."""
    shown = worst(series.runs)
    before = [_lead(series)]
    if len(series.runs) > 1:
        before += [_often(series), _runs(series)]
        before.append(f"<h2>The run with seed {shown.seed}</h2><p>{escape(shown.verdict)}</p>")
    before += [_story(shown), _faults(shown), _counts(shown), _promises(shown)]
    return document(f"Disaster drill: {series.scenario}", "".join(before), charts(shown.load), _facts(series, shown))


def worst(runs: list[Drill]) -> Drill:
    """The run whose plots are shown: the first that did not pass, else the one in which producers waited longest."""
    failed = next((run for run in runs if not run.passed), None)
    return failed or max(runs, key=lambda run: run.producers_waited_s)


def _lead(series: Series) -> str:
    kind, word = ("good", "Passed.") if series.passed else ("bad", "Not passed.")
    about = escape(f"What was tried: {series.runs[0].about}, on {series.cluster}, while records were written and read.")
    return f'<p class="verdict {kind}">{word} {escape(series.verdict)}</p><p>{about}</p>'


def _story(drill: Drill) -> str:
    return "<h2>What happened</h2>" + "".join(f"<p>{escape(line)}</p>" for line in drill.story)


def _faults(drill: Drill) -> str:
    heads = ["fault", "at", "noticed after", "whole again after", "writers waited", "readers waited"]
    rows = [
        [
            fault.text,
            format_duration(fault.at_s),
            _time(fault.noticed_s, fault),
            _time(fault.healed_s),
            format_duration(fault.producers_waited_s),
            format_duration(fault.consumers_waited_s),
        ]
        for fault in drill.faults
    ]
    return "<h2>How long it took</h2>" + table(heads, rows, 1)


def _time(seconds: float | None, fault: Struck | None = None) -> str:
    if seconds is None:
        return "nothing to notice" if fault is not None and not fault.heals else "never"
    return format_duration(seconds)


def _counts(drill: Drill) -> str:
    heads = ["acknowledged", "lost", "there twice", "worst wait, written", "worst wait, read"]
    row = [
        f"{drill.acknowledged:,}",
        f"{drill.lost:,}",
        f"{drill.duplicates:,}",
        milliseconds(drill.worst_s),
        milliseconds(drill.worst_end_to_end_s),
    ]
    return "<h2>What became of the records</h2>" + table(heads, [row], 0)


def _promises(drill: Drill) -> str:
    rows = [[p.words, "yes" if p.kept else "NO", p.seen] for p in drill.promises]
    return "<h2>What must hold</h2>" + table(["promise", "kept", "seen"], rows, 3)


def _often(series: Series) -> str:
    rows = [
        [o.words, f"{o.share.kept} of {o.share.of}", f"{o.share.low:.0%} to {o.share.high:.0%}"] for o in series.often
    ]
    return "<h2>How often it held</h2>" + table(["promise", "kept", "of all runs, with 95 % confidence"], rows, 1)


def _runs(series: Series) -> str:
    heads = ["seed", "passed", "noticed after", "whole again after", "writers waited", "readers waited"]
    rows = [
        [
            str(run.seed),
            "yes" if run.passed else "NO",
            _longest([f.noticed_s for f in run.faults if f.heals]),
            _longest([f.healed_s for f in run.faults]),
            format_duration(run.producers_waited_s),
            format_duration(run.consumers_waited_s),
            f"{run.acknowledged:,}",
            f"{run.lost:,}",
            f"{run.duplicates:,}",
            milliseconds(run.worst_s),
        ]
        for run in series.runs
    ]
    return "<h2>All runs</h2>" + table([*heads, "acknowledged", "lost", "there twice", "worst wait"], rows, 2)


def _longest(seconds: list[float | None]) -> str:
    found = [s for s in seconds if s is not None]
    if len(found) < len(seconds):
        return "never"
    return format_duration(max(found)) if found else "-"


def _facts(series: Series, drill: Drill) -> str:
    load = drill.load
    rows = [
        ["cluster", f"{series.cluster} ({series.cluster_id})"],
        ["began (UTC)", load.began_at[:19].replace("T", " ")],
        ["seed", str(drill.seed)],
        ["again", drill.command],
        [
            "load",
            f"{load.scenario.producers[0].stages[0].to_per_s:,.0f} records/s, {load.check.mode if load.check else ''}",
        ],
    ]
    words = [[word, meaning] for word, meaning in _DEFINITIONS]
    return f"<h2>Facts</h2>{table([], rows, 2)}<h2>Words</h2>{table([], words, 2)}"
