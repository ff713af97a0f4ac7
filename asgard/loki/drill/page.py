"""The page that a stakeholder reads: the verdict first, then times, counts and plots, with the evidence behind them. Pure.

One file with its JavaScript inside; it needs no network.
"""

from __future__ import annotations

from html import escape

from asgard.loki.drill import tables
from asgard.loki.drill.result import Drill, Series
from asgard.loki.drill.times import ALLOWED_S
from asgard.loki.load.page import charts, document, table
from asgard.loki.load.tables import Figures

_DEFINITIONS = (
    ("noticed", "from the fault until the healing saw that a broker did not answer, or what Kafka said of it"),
    ("by Kafka", "from the fault until Kafka's metadata showed it: only then leaders change, and a healing may act"),
    ("whole again", "from the fault until every replica of every partition was in sync again"),
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
    alone = len(series.runs) == 1
    before = [_lead(series), "" if alone else _section("How often it held", tables.often(series))]
    before += [] if alone else [f"<h2>The run with seed {shown.seed}</h2><p>{escape(shown.verdict)}</p>"]
    before += [
        _story(shown),
        _section("How long it took", tables.faults(series)),
        _section("What became of the records", tables.records(series)),
        _section("What must hold" if alone else f"What must hold: seed {shown.seed}", tables.promises(shown)),
    ]
    return document(f"Disaster drill: {series.scenario}", "".join(before), charts(shown.load), _facts(series, shown))


def _section(title: str, figures: Figures) -> str:
    return f"<h2>{title}</h2>{table(figures.columns, figures.rows, figures.right)}"


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
