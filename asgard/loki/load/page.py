"""A load's result as one page: verdict, figures, plots. Its JavaScript is inside; it needs no network."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from asgard.core.errors import Failed
from asgard.loki.load import tables
from asgard.loki.load.result import Mark, Result
from asgard.loki.load.verdict import milliseconds

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1200px;padding:0 1rem;color:#1f2933}"
    "h1{font-size:1.5rem}h2{font-size:1.1rem;margin:1.5rem 0 .3rem}table{border-collapse:collapse;margin:.5rem 0}"
    "td,th{padding:.2rem 1rem .2rem 0;text-align:left}.n{text-align:right}.bad{color:#b42318}.good{color:#1d7a46}"
    ".chart{height:320px}.verdict{font-size:1.1rem;font-weight:600}"
)
_COLOURS = ("#2f6fde", "#1d7a46", "#8a5cd6", "#b42318", "#c77700")
_FAULT = "rgba(180,35,24,.12)"


Plot = tuple[list[dict[str, Any]], dict[str, Any]]
"""Data and layout, as Plotly has them."""


def page(result: Result) -> str:
    """The page as text. Raises Failed where the chart library is not installed."""
    return document(f"Load: {result.name}", _verdict(result) + _figures(result), charts(result), _facts(result))


def document(title: str, before: str, plots: list[Plot], after: str) -> str:
    """A page with plots between two parts of HTML. Raises Failed where the chart library is not installed."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise Failed(
            "the chart library plotly is not installed", "Install it with: pip install 'asgard-kafka[load]'"
        ) from error
    divs = "".join(f'<div class="chart" id="chart{i}"></div>' for i in range(len(plots)))
    calls = "".join(
        f'Plotly.newPlot("chart{i}",{_json(data)},{_json(layout)},{{responsive:true,displaylogo:false}});'
        for i, (data, layout) in enumerate(plots)
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{before}{divs}{after}"
        f"<script>{get_plotlyjs()}</script><script>{calls}</script></body></html>"
    )


def charts(result: Result) -> list[Plot]:
    """Data and layout of each plot: rates, latencies, errors, and where there are consumers their latency and lag."""
    seconds = [row.at_s for row in result.rows]
    per_s = 1 / result.row_s

    def lines(*what: tuple[str, list[Any]]) -> list[dict[str, Any]]:
        return [
            {"type": "scatter", "mode": "lines", "name": name, "x": seconds, "y": ys, "line": {"color": colour}}
            for (name, ys), colour in zip(what, _COLOURS, strict=False)
        ]

    rates = [
        ("sent", [row.sent * per_s for row in result.rows]),
        ("acknowledged", [row.acked * per_s for row in result.rows]),
    ]
    if result.reading:
        rates.append(("read", [row.read * per_s for row in result.rows]))
    found = [
        (lines(*rates), _layout("records a second", result.marks)),
        (
            lines(*((name, [_ms(getattr(row, key)) for row in result.rows]) for name, key in _PERCENTILES)),
            _layout("latency from the intended send time to the acknowledgement, ms", result.marks, log=True),
        ),
        (lines(("errors", [row.errors * per_s for row in result.rows])), _layout("errors a second", result.marks)),
    ]
    if result.reading:
        ends = (("p50", "end_to_end_p50_s"), ("p99", "end_to_end_p99_s"))
        found += [
            (
                lines(*((name, [_ms(getattr(row, key)) for row in result.rows]) for name, key in ends)),
                _layout("end-to-end latency, ms", result.marks, log=True),
            ),
            (lines(("lag", [row.lag for row in result.rows])), _layout("consumer lag, records", result.marks)),
        ]
    return found


_PERCENTILES = (("p50", "p50_s"), ("p99", "p99_s"), ("p99.9", "p999_s"), ("max", "max_s"))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _layout(title: str, marks: list[Mark], *, log: bool = False) -> dict[str, Any]:
    shapes, notes = [], []
    for mark in marks:
        end = mark.at_s if mark.until_s is None else mark.until_s
        place = {"xref": "x", "yref": "paper", "x0": mark.at_s, "x1": end, "y0": 0, "y1": 1}
        if mark.until_s is None:
            shapes.append({"type": "line", **place, "line": {"color": _COLOURS[3], "dash": "dot", "width": 1}})
        else:
            shapes.append({"type": "rect", **place, "fillcolor": _FAULT, "line": {"width": 0}})
        note = {"x": mark.at_s, "y": 1, "xref": "x", "yref": "paper", "text": escape(mark.text), "showarrow": False}
        notes.append({**note, "xanchor": "left", "yanchor": "bottom", "font": {"size": 11}})
    return {
        "title": {"text": title, "x": 0, "font": {"size": 15}},
        "margin": {"l": 70, "r": 10, "t": 55, "b": 40},
        "xaxis": {"title": {"text": "seconds"}, "rangemode": "tozero"},
        "yaxis": {"type": "log"} if log else {"rangemode": "tozero"},
        "legend": {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.2},
        "shapes": shapes,
        "annotations": notes,
    }


def _verdict(result: Result) -> str:
    kind, words = ("good", "Passed.") if result.passed else ("bad", f"Not passed: {result.reason}.")
    told = [result.check.sentence, *result.check.notes] if result.check else ["The records were not checked."]
    return f'<p class="verdict {kind}">{escape(words)}</p>' + "".join(f"<p>{escape(line)}</p>" for line in told)


def _figures(result: Result) -> str:
    return "".join(table(figures.columns, figures.rows, figures.right) for figures in tables.every(result))


def _facts(result: Result) -> str:
    workers = ", ".join(f"{w.index} on {w.host}: {w.state}, {w.sent:,} sent" for w in result.workers)
    facts = [
        ["cluster", result.cluster_id],
        ["run", result.run],
        ["began", result.began_at],
        ["workers", workers],
        ["sent late (p99)", ", ".join(f"{s.name} {milliseconds(s.late.p99_s)}" for s in result.sending)],
    ]
    return "<h2>Facts</h2>" + table([], facts, 2)


def table(heads: list[str], rows: list[list[str]], right: int) -> str:
    """A table as HTML; columns from `right` on hold numbers."""

    def cells(kind: str, row: list[str]) -> str:
        text = (f"<{kind}{' class=n' if i >= right else ''}>{escape(cell)}</{kind}>" for i, cell in enumerate(row))
        return f"<tr>{''.join(text)}</tr>"

    head = cells("th", heads) if heads else ""
    return f"<table>{head}{''.join(cells('td', row) for row in rows)}</table>"


def _json(value: Any) -> str:
    return json.dumps(value).replace("</", "<\\/")
