"""Where a window starts and ends, as the user writes it: `2h`, `2026-11-24T09:00`, `start`, `end`, or offsets as `0:1200,3:80`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from asgard.core.errors import WrongUsage
from asgard.kafka.model import Offsets
from asgard.thor.replay.model import TopicPartition

_OFFSETS = re.compile(r"\s*[0-9]+:[0-9]+\s*(,\s*[0-9]+:[0-9]+\s*)*\Z")


@dataclass(frozen=True)
class Bound:
    """One end of a window. `relative`: the same words mean another time later. `at_ms` is UTC."""

    kind: Literal["start", "end", "time", "offsets"]
    at_ms: int = 0
    offsets: dict[int, int] = field(default_factory=dict)
    relative: bool = False


def parse(text: str | None, default: Literal["start", "end"], option: str, moment: Callable[[str], float]) -> Bound:
    """Read a bound; `moment` turns an age or a date into seconds since 1970. Raises WrongUsage."""
    if text is None:
        return Bound(default, relative=default == "end")
    if text in ("start", "end"):
        return Bound("start") if text == "start" else Bound("end", relative=True)
    if _OFFSETS.match(text):
        pairs = [pair.split(":") for pair in text.split(",")]
        return Bound("offsets", offsets={int(p): int(o) for p, o in pairs})
    try:
        at = moment(text)
    except WrongUsage as error:
        raise WrongUsage(
            f"{option} is {text!r}, which is neither an age, a date, start, end nor offsets",
            "Write 2h, 2026-11-24T09:00 (UTC), start, end, or PARTITION:OFFSET as in 0:1200,3:80.",
        ) from error
    return Bound("time", at_ms=round(at * 1000), relative=not re.match(r"\d{4}-", text))


def between(
    offsets: Mapping[TopicPartition, Offsets],
    begin: Bound,
    stop: Bound,
    at: Callable[[int], Mapping[TopicPartition, int]],
) -> dict[TopicPartition, tuple[int, int]]:
    """The window of each partition. `offsets` end at the last committed record; `at` gives the offsets of a time.

    Offsets apply to the partitions they name; the others are left out. Raises WrongUsage for partitions that don't exist.
    """
    first = at(begin.at_ms) if begin.kind == "time" else {}
    last = at(stop.at_ms) if stop.kind == "time" else {}
    for bound, option in ((begin, "--from"), (stop, "--until")):
        missing = bound.offsets.keys() - {partition for _, partition in offsets}
        if missing:
            raise WrongUsage(f"{option} names partition {min(missing)}, which no topic has")
    found = {}
    for key, known in sorted(offsets.items()):
        low = _place(begin, key, known, first)
        high = _place(stop, key, known, last)
        if low is None or high is None:
            continue
        low, high = min(max(low, known.start), known.end), min(high, known.end)
        found[key] = (low, max(low, high))
    return found


def _place(bound: Bound, key: TopicPartition, known: Offsets, at: Mapping[TopicPartition, int]) -> int | None:
    match bound.kind:
        case "start":
            return known.start
        case "end":
            return known.end
        case "time":
            return at.get(key, known.end)
        case _:
            return bound.offsets.get(key[1])
