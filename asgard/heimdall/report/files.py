"""The report's files: `report.html` for people, `report.md` for chat, `report.json` and two CSV files for machines.

The JSON has the format `asgard.daily/v1`; readers ignore keys that they don't know. null: not measured, never 0.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asgard.core import paths
from asgard.heimdall import words
from asgard.heimdall.report import page
from asgard.heimdall.report.day import Day
from asgard.heimdall.report.sentences import answer, notes

FORMAT = "asgard.daily/v1"
_ROWS = 15


def write(day: Day, directory: Path) -> list[Path]:
    """Write all of them; returns their paths. Raises WrongUsage if the directory can't be written."""
    content = {
        "report.html": page.page(day),
        "report.md": markdown(day),
        "report.json": json.dumps(document(day), indent=1, ensure_ascii=False) + "\n",
        "topics.csv": topics_csv(day),
        "unusual.csv": unusual_csv(day),
    }
    return paths.write_folder(directory, content)


def markdown(day: Day) -> str:
    """The answer and what needs attention, short enough for chat."""
    said = answer(day)
    lines = [f"**{day.cluster}, {day.date:%A %-d %B %Y} ({day.tz.key}): {said.word}**", "", said.headline, ""]
    lines += [f"- {_escaped(sentence)}" for sentence in said.sentences]
    rows = [(t, h) for t in (*day.wrong, *day.high) for h in t.unusual]
    if rows:
        lines += ["", "| topic | owner | hour | verdict | records | usual |", "| --- | --- | --- | --- | ---: | ---: |"]
        for topic, hour in rows[:_ROWS]:
            at = words.clock(hour.count.window.start, day.tz)
            lines.append(
                f"| {_escaped(topic.topic)} | {_escaped(topic.owner)} | {at} | {hour.verdict} "
                f"| {words.count(hour.count.records)} | {words.count(hour.usual)} |"
            )
        if len(rows) > _ROWS:
            lines.append(f"\n{len(rows) - _ROWS:,} more hours are in unusual.csv.")
    return "\n".join(lines).rstrip() + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;")


def document(day: Day) -> dict[str, Any]:
    """For machines."""
    said = answer(day)
    return {
        "format": FORMAT,
        "cluster": day.cluster,
        "date": day.date.isoformat(),
        "tz": day.tz.key,
        "begin": day.begin,
        "end": day.end,
        "made_at": day.made_at,
        "over": day.over,
        "verdict": said.word.lower(),
        "headline": said.headline,
        "records": day.records,
        "bytes": day.bytes,
        "topics": [
            {
                "topic": t.topic,
                "owner": t.owner,
                "verdict": t.verdict,
                "records": t.records,
                "bytes": t.bytes,
                "usual": t.usual,
                "approximate": list(t.approximate),
                "hours": [
                    {
                        "start": h.count.window.start,
                        "label": h.count.window.label,
                        "records": h.count.records,
                        "bytes": h.count.bytes,
                        "verdict": h.verdict,
                        "usual": h.usual,
                        "tolerance": h.tolerance,
                    }
                    for h in t.hours
                ],
            }
            for t in day.topics
        ],
        "groups": [
            {
                "group": g.name,
                "owner": g.owner,
                "status": g.status,
                "lag_max": g.lag_max,
                "time_lag_max_s": g.time_lag_max_s,
                "expired_unread": g.expired_unread,
                "loses_data_in_s": g.loses_data_in_s,
            }
            for g in day.groups
        ],
        "happenings": [
            {"at": h.at, "until": h.until, "kind": h.kind, "text": h.text, "subject": h.subject, "ended": h.ended}
            for h in day.happenings
        ],
        "gaps": [list(gap) for gap in day.gaps],
        "notes": notes(day),
    }


def topics_csv(day: Day) -> str:
    """A row for each topic and hour."""
    rows = [("topic", "owner", "hour", "records", "bytes", "verdict", "usual", "tolerance", "approximate")]
    rows += [
        (t.topic, t.owner, h.count.window.label, _plain(h.count.records), _plain(h.count.bytes), h.verdict,
         _plain(h.usual), _plain(h.tolerance), "; ".join(h.count.approximate))
        for t in day.topics for h in t.hours
    ]  # fmt: skip
    return _csv(rows)


def unusual_csv(day: Day) -> str:
    """A row for each hour that is not as usual."""
    rows = [("topic", "owner", "hour", "verdict", "records", "usual", "why")]
    rows += [
        (t.topic, t.owner, h.count.window.label, h.verdict, _plain(h.count.records), _plain(h.usual), h.because)
        for t in (*day.wrong, *day.high) for h in t.unusual
    ]  # fmt: skip
    return _csv(rows)


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.15g}"


def _csv(rows: Sequence[tuple[str, ...]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
