"""What happened to a cluster, from the journal's events: faults, healings, drills, alerts, each from when to when. Pure.

The same list becomes the marks on charts and the timeline of a page. Times are seconds since 1970 (UTC).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from asgard.core.pages.parts import Mark, Moment, Tone

if TYPE_CHECKING:
    from asgard.journal.events import Event

Kind = Literal["fault", "healing", "alert", "drill", "change"]
KINDS: tuple[Kind, ...] = ("fault", "healing", "alert", "drill", "change")
REACH_S = 7 * 86400.0
"""How long before a period its events are read: what began then may last into it."""


@dataclass(frozen=True)
class Happening:
    """Something that happened. `until` None: it has not ended, or it is a moment (`lasts` false). `ended`: how it ended."""

    at: float
    kind: Kind
    text: str
    subject: str
    until: float | None = None
    lasts: bool = True
    ended: str = ""
    failed: bool = False

    def within(self, since: float, until: float) -> bool:
        """Whether any of it lies in that time."""
        if not self.lasts:
            return since <= self.at < until
        return self.at < until and (self.until is None or self.until >= since)


@dataclass(frozen=True)
class _Pair:
    """An event that starts something, the events that end it, and its name."""

    kind: Kind
    begins: str
    ends: tuple[str, ...]
    words: Callable[[Event], str]
    failed: str = ""


def _said(event: Event, *names: str) -> str:
    return next((str(event.data[name]) for name in names if event.data.get(name)), "")


_PAIRS = (
    _Pair("fault", "loki.fault.injected", ("loki.fault.ended",), lambda e: _said(e, "text") or e.subject),
    _Pair("drill", "loki.drill.started", ("loki.drill.finished",), lambda e: f"drill {_said(e, 'scenario') or e.subject}"),
    _Pair("drill", "loki.experiment.started", ("loki.experiment.ended",), lambda e: f"experiment {e.subject}"),
    _Pair(
        "fault",
        "thor.broker.missed",
        ("thor.broker.returned", "thor.broker.removed"),
        lambda e: f"broker {e.data.get('broker', e.subject)} is {_said(e, 'state') or 'gone'}",
    ),
    _Pair(
        "healing",
        "thor.heal.started",
        ("thor.heal.finished", "thor.heal.failed"),
        lambda e: f"Thor heals: {_said(e, 'action', 'because') or e.subject}",
        "thor.heal.failed",
    ),
    _Pair(
        "healing",
        "thor.recipe.started",
        ("thor.recipe.finished", "thor.recipe.failed"),
        lambda e: f"recipe {e.subject}",
        "thor.recipe.failed",
    ),
    _Pair(
        "healing",
        "thor.retention.raised",
        ("thor.retention.restored",),
        lambda e: _said(e, "text") or f"{e.subject} keeps its records longer",
    ),
    _Pair(
        "alert",
        "heimdall.alert.raised",
        ("heimdall.alert.cleared",),
        lambda e: f"alert {_said(e, 'rule')}: {_said(e, 'text') or e.subject}",
    ),
    _Pair(
        "fault",
        "heimdall.canary.failed",
        ("heimdall.canary.recovered",),
        lambda e: f"canary: {e.subject} {_said(e, 'because') or _said(e, 'state')}".strip(),
    ),
)  # fmt: skip
_MOMENTS: dict[str, tuple[Kind, Callable[[Event], str]]] = {
    "heimdall.record.lost": ("fault", lambda e: f"records of {e.subject} are lost: {_said(e, 'sentence', 'lost')}"),
    "odin.stack.provisioned": ("change", lambda e: f"stack {e.subject} provisioned"),
    "odin.stack.failed": ("change", lambda e: f"change of stack {e.subject} failed"),
    "thor.leader.elected": ("healing", lambda e: f"leader elected for {e.subject}"),
    "thor.node.killed": ("fault", lambda e: f"node {e.subject} was killed by Thor because it hung"),
}
_BEGINS = {pair.begins: pair for pair in _PAIRS}
_ENDS = {end: pair for pair in _PAIRS for end in pair.ends}


def happenings(events: Iterable[Event], cluster_id: str, since: float, until: float) -> list[Happening]:
    """What lies in that time, oldest first; events are given oldest first, those of other clusters are left out."""
    open_now: dict[tuple[str, str, str | None], Happening] = {}
    done: list[Happening] = []
    for event in events:
        if event.data.get("cluster_id", cluster_id) != cluster_id:
            continue
        if (pair := _BEGINS.get(event.kind)) is not None:
            key = (pair.begins, event.subject, event.correlation)
            if key in open_now:  # reported again before it ended: it is the same one
                continue
            open_now[key] = Happening(event.at, pair.kind, pair.words(event), event.subject)
        elif (pair := _ENDS.get(event.kind)) is not None:
            found = open_now.pop((pair.begins, event.subject, event.correlation), None)
            if found is not None:
                how = _said(event, "outcome", "verdict", "text", "why")
                done.append(replace(found, until=event.at, ended=how, failed=event.kind == pair.failed))
        elif event.kind in _MOMENTS:
            kind, words = _MOMENTS[event.kind]
            done.append(Happening(event.at, kind, words(event), event.subject, lasts=False))
    found_all = [h for h in (*done, *open_now.values()) if h.within(since, until)]
    return sorted(found_all, key=lambda h: h.at)


def marks(found: Iterable[Happening], since: float, until: float, most: int = 12) -> list[Mark]:
    """For charts over Unix times: what lasts is a stretch. Alerts are not marked: the chart shows what they are about."""
    shown = [h for h in found if h.kind != "alert"]
    shown = sorted(shown, key=lambda h: KINDS.index(h.kind))[:most]
    out = []
    for h in sorted(shown, key=lambda h: h.at):
        kind: Any = h.kind if h.kind in ("fault", "healing") else "note"
        end = min(h.until if h.until is not None else until, until) if h.lasts else None
        out.append(Mark(max(h.at, since), h.text, end, kind))
    return out


def moments(
    found: Sequence[Happening], clock: Callable[[float], str], duration: Callable[[float], str]
) -> list[Moment]:
    """For a timeline; `clock` writes a time, `duration` a length in seconds."""
    out = []
    for h in found:
        detail = h.ended
        if h.lasts:
            length = f"for {duration(h.until - h.at)}" if h.until is not None else "it has not ended"
            detail = f"{length}; {h.ended}" if h.ended else length
        out.append(Moment(clock(h.at), h.text[:1].upper() + h.text[1:], _tone(h), detail))
    return out


def _tone(h: Happening) -> Tone:
    if h.failed:
        return "bad"
    tones: dict[Kind, Tone] = {"fault": "bad", "healing": "good", "alert": "warn", "drill": "info", "change": "plain"}
    return tones[h.kind]
