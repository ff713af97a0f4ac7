"""How `asgard loki chaos` shows experiments and their runs."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from asgard.core.console import Table

if TYPE_CHECKING:
    from asgard.loki.chaos.experiment import Activity, Experiment


def preview(experiment: Experiment) -> list[str]:
    """What an experiment is about to do, as lines."""
    from asgard.loki.chaos.providers import told

    def lines(lead: str, activities: tuple[Activity, ...]) -> list[str]:
        return [f"  {lead}: {told(a)}" for a in activities]

    return [
        f"{experiment.title}",
        *lines("must hold", experiment.probes),
        *(line for a in experiment.method for line in lines("probe" if a.type == "probe" else "do", (a,))),
        *lines("put back", experiment.rollbacks),
        *(f"  ends early: {told(a.probe)} is not {a.probe.tolerance!r} for {a.for_s:g} s" for a in experiment.aborts),
    ]


def steps(record: dict[str, Any]) -> Table:
    """What a run found and did, one row per activity."""
    states = record["steady_states"]
    groups = [
        ("before", states["before"]["probes"] if states["before"] else []),
        ("method", record["run"]),
        ("after", states["after"]["probes"] if states["after"] else []),
        ("rollback", record["rollbacks"]),
    ]
    rows = [
        [where, run["activity"].get("name"), _came(run), _felt(run), f"{run['duration']:.1f}"]
        for where, runs in groups
        for run in runs
    ]
    return Table(["when", "what", "came out", "after it", "s"], rows, right=frozenset({"s"}))


def _came(run: dict[str, Any]) -> str:
    from asgard.loki.chaos import words

    if run["status"] == "failed":
        return f"failed: {words.came(run)}" if run.get("exception") else "failed"
    if (failure := words.unjudged_failure(run)) is not None:
        return f"failed: {failure}"
    if isinstance(run["output"], dict) and run["activity"].get("type") == "action":
        given = run["output"].get("put_back", run["output"].get("text"))
        if given is not None:
            return str(given) if isinstance(given, str) else "; ".join(given) or "nothing was left to put back"
    out = words.output(run["output"]) if run["output"] is not None else "done"
    out = out if len(out) <= 60 else f"{out[:57]}…"
    return out + (" (not tolerated)" if run.get("tolerance_met") is False else "")


def _felt(run: dict[str, Any]) -> str | None:
    felt = run.get("asgard")
    if felt is None:
        return None
    if felt["produce"] and felt["consume"]:
        return f"produce and consume work ({felt['seconds']:.1f} s)"
    return f"{'consume' if felt['produce'] else 'produce'} does not work"


def functions() -> tuple[list[dict[str, Any]], Table]:
    """What experiments can call, for programs and for people."""
    from asgard.loki.chaos import read
    from asgard.loki.chaos.experiment import OWN

    rows, document = [], []
    for module in OWN:
        for name in read.functions(module):
            function = read.own(module, name)
            assert function is not None
            arguments = [
                p.name if p.default is not p.empty else f"{p.name}!"
                for p in inspect.signature(function).parameters.values()
            ]
            about = (inspect.getdoc(function) or "").splitlines()[0]
            document.append({"module": module, "func": name, "arguments": arguments, "about": about})
            rows.append([module.rpartition(".")[2], name, ", ".join(arguments) or None, about])
    return document, Table(["module", "function", "arguments (! needed)", "what it does"], rows)
