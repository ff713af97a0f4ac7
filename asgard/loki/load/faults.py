"""Which faults happened during a load, for its plots: from the journal's events to marks. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from asgard.loki.load.result import Mark

if TYPE_CHECKING:
    from asgard.journal.events import Event

KINDS = "loki.fault.*"


def marks(events: Iterable[Event], cluster_id: str, began_s: float, seconds: float) -> list[Mark]:
    """The faults of that cluster in the `seconds` from `began_s` (Unix time). One that has no end lasts to the load's end.

    An end belongs to the fault injected with the same subject and correlation. Faults without a cluster count too.
    """
    found: dict[tuple[str, str | None], Mark] = {}
    done: list[Mark] = []
    for event in events:
        if event.data.get("cluster_id", cluster_id) != cluster_id:
            continue
        at_s, which = event.at - began_s, (event.subject, event.correlation)
        if event.kind == "loki.fault.injected":
            found[which] = Mark(at_s, str(event.data.get("text") or event.subject), seconds)
        elif event.kind == "loki.fault.ended" and which in found:
            mark = found.pop(which)
            done.append(Mark(mark.at_s, mark.text, at_s))
    inside = [mark for mark in (*done, *found.values()) if mark.at_s < seconds and (mark.until_s or 0) > 0]
    return sorted(
        (Mark(max(m.at_s, 0.0), m.text, min(m.until_s or 0, seconds)) for m in inside), key=lambda mark: mark.at_s
    )
