"""A plan as a page: every broker before and after. One file, its JavaScript inside; it needs no network."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from asgard.cluster.plan import BrokerChange, BrokerLoad, Plan
from asgard.core import units
from asgard.core.errors import Failed
from asgard.core.paths import write_for_user

_BEFORE, _AFTER = "#9aa5b1", "#2f6fde"
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1200px;padding:0 1rem;color:#1f2933}"
    "h1{font-size:1.5rem}table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem .2rem 0;text-align:left}"
    ".unmet{color:#b42318}.chart{height:340px}"
)


def write(plan: Plan, path: Path) -> None:
    """Write the page. Raises Failed where the chart library is not installed, WrongUsage where the folder refuses."""
    write_for_user(path, page(plan).encode())


def page(plan: Plan) -> str:
    """The page as text."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise Failed(
            "the chart library plotly is not installed", "Install it with: pip install 'asgard-kafka[charts]'"
        ) from error
    title = f"{plan.kind} {' '.join(plan.arguments)}".strip()
    charts = [_chart(plan, *what) for what in _WHAT]
    divs = "".join(f'<div class="chart" id="chart{i}"></div>' for i in range(len(charts)))
    calls = "".join(
        f'Plotly.newPlot("chart{i}",{_json(data)},{_json(layout)},{{responsive:true,displaylogo:false}});'
        for i, (data, layout) in enumerate(charts)
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Plan: {escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>Plan: {escape(title)}</h1>{_summary(plan)}{divs}"
        f"<script>{get_plotlyjs()}</script><script>{calls}</script></body></html>"
    )


def _gib(load: BrokerLoad) -> float:
    return round(load.bytes / 1024**3, 3)


_WHAT: tuple[tuple[str, Any], ...] = (
    ("disk, GiB", _gib),
    ("replicas", lambda load: load.replicas),
    ("preferred leaders", lambda load: load.leaders),
    ("read from leaders, bytes/s", lambda load: load.bytes_out_per_s),
)


def _chart(plan: Plan, title: str, value: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    names = [_name(b) for b in plan.brokers]
    bars: list[dict[str, Any]] = [
        {
            "type": "bar",
            "name": name,
            "x": names,
            "y": [value(load(b)) for b in plan.brokers],
            "marker": {"color": colour},
        }
        for name, colour, load in (("before", _BEFORE, _before), ("after", _AFTER, _after))
    ]
    layout = {
        "title": {"text": title, "x": 0, "font": {"size": 16}},
        "barmode": "group",
        "bargap": 0.15,
        "margin": {"l": 60, "r": 10, "t": 40, "b": 60},
        "xaxis": {"type": "category", "automargin": True},
        "yaxis": {"rangemode": "tozero"},
        "legend": {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.15},
    }
    return bars, layout


def _before(broker: BrokerChange) -> BrokerLoad:
    return broker.before


def _after(broker: BrokerChange) -> BrokerLoad:
    return broker.after


def _name(broker: BrokerChange) -> str:
    return f"{broker.id} ({broker.note})" if broker.note else str(broker.id)


def _summary(plan: Plan) -> str:
    before, after = plan.spread_before, plan.spread_after
    rows = [
        ("cluster", f"{plan.cluster_id}, as of {plan.taken_at}"),
        ("partitions changed", f"{len(plan.changes):,}"),
        ("to copy", units.format_size(plan.bytes_moved)),
        (
            "time",
            f"about {units.format_duration(plan.seconds)} in {len(plan.batches)} batches,"
            f" at {units.format_size(plan.throttle_bytes_per_s)}/s a broker",
        ),
        ("disk, largest over mean", f"{before.disk:.2f} → {after.disk:.2f}"),
        ("replicas, largest over mean", f"{before.replicas:.2f} → {after.replicas:.2f}"),
        ("leaders, largest over mean", f"{before.leaders:.2f} → {after.leaders:.2f}"),
    ]
    cells = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows)
    unmet = "".join(
        f'<p class="unmet">Not met: {escape(str(u))}. Would help: {escape(u.would_help)}.</p>' for u in plan.unmet
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in plan.notes)
    return f"<table>{cells}</table>{unmet}{notes}"


def _json(value: Any) -> str:
    # `</` inside a script element would end it.
    return json.dumps(value, separators=(",", ":")).replace("</", "<\\/")
