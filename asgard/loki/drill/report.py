"""Writes the result of a drill: `report.html`, `result.json` and `junit.xml`."""

from __future__ import annotations

from pathlib import Path

from asgard.core import console
from asgard.loki.drill.page import page
from asgard.loki.drill.result import Drill, Series
from asgard.loki.load import report
from asgard.loki.load.junit import Suite, document


def write(series: Series, directory: Path) -> Path:
    """Write all three; returns the path of the page. Raises WrongUsage if the directory can't be written."""
    return report.put(directory, console.to_plain(series), document([_suite(run) for run in series.runs]), page(series))


def _suite(run: Drill) -> Suite:
    cases = [(p.words, None if p.kept else f"promise not kept: {p.words} ({p.seen})") for p in run.promises]
    return Suite(f"drill {run.scenario}, seed {run.seed}", run.load.began_at, run.load.seconds, cases)
