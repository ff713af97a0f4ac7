"""Records by window from the offsets at its ends, and the reasons why they may not be exact. Pure.

A count is the difference of two offsets: the first one whose record is not older than the window's end, and the same of its
start. That is exact if every offset holds one record, in order of time, and nothing was deleted; otherwise it says why not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asgard.heimdall.volume.model import Count
from asgard.heimdall.volume.windows import TimeWindow
from asgard.kafka.groups import UNANSWERED

Numbers = NDArray[np.int64]
DELETED = "retention deleted"
UNBORN = "the topic's first record is newer"
SILENT = "partitions have no leader"


@dataclass(frozen=True)
class Signs:
    """What is known about a topic's log besides offsets. `sampled` of them come from batches that were looked at."""

    compacted: bool = False
    transactional: bool = False
    out_of_order: bool = False
    append_time: bool = False


@dataclass(frozen=True)
class TopicOffsets:
    """Of one topic, by partition: first and next offset (negative: not known), and the time (ms) of the first record.

    `before` holds for each boundary the sum over partitions of `offsets_before`.
    """

    topic: str
    start: Numbers
    end: Numbers
    first_ms: Numbers
    before: Sequence[int]
    size_bytes: int | None = None


def boundaries(windows: Sequence[TimeWindow]) -> list[float]:
    """The instants whose offsets `count` needs, ascending."""
    return sorted({edge for window in windows for edge in (window.start, window.end)})


def answered(start: Mapping[str, Numbers], listed: Sequence[Mapping[str, Numbers]]) -> dict[str, Numbers]:
    """Where logs begin, without partitions for which one of these answers is missing: those count in no window. All topics at once."""
    if not start:
        return {}
    first = np.concatenate(list(start.values()))
    for offsets in listed:
        first = np.where(np.concatenate([offsets[name] for name in start]) == UNANSWERED, UNANSWERED, first)
    ends = np.cumsum([len(offsets) for offsets in start.values()])
    return dict(zip(start, np.split(first, ends[:-1]), strict=True))


def incomparable(approximate: Sequence[str]) -> bool:
    """Whether a count says nothing about what is usual: records were deleted, the topic had none yet, or partitions are not counted."""
    return any(words in why for why in approximate for words in (DELETED, UNBORN, SILENT))


def offsets_before(
    start: Mapping[str, Numbers], end: Mapping[str, Numbers], at: Sequence[Mapping[str, Numbers]]
) -> dict[str, list[int]]:
    """By topic and boundary the sum of the offsets that records from then on begin at, over partitions whose ends are known.

    `at` holds for each boundary, by topic and partition, the first offset whose record is not older (-1: none is). All topics at once.
    """
    if not start:
        return {}
    sizes = np.array([len(start[name]) for name in start])
    ends = np.cumsum(sizes)
    first, last = (np.concatenate([offsets[name] for name in start]) for offsets in (start, end))
    known = (first >= 0) & (last >= 0)
    sums = np.zeros((len(start), len(at)), np.int64)
    for n, offsets in enumerate(at):
        here = np.concatenate([offsets[name] for name in start])
        total = np.concatenate([[0], np.cumsum(np.where(known, np.where(here < 0, last, np.maximum(here, first)), 0))])
        sums[:, n] = total[ends] - total[ends - sizes]
    return dict(zip(start, sums.tolist(), strict=True))


def count(found: TopicOffsets, windows: Sequence[TimeWindow], signs: Signs, now: float) -> list[Count]:
    """The topic's records in each window."""
    known = (found.start >= 0) & (found.end >= 0)
    measured = bool(known.any())
    before = dict(zip(boundaries(windows), found.before, strict=True))
    total = int((found.end - found.start)[known].sum())
    mean = found.size_bytes / total if found.size_bytes is not None and total else None
    log, gone = reasons(found, signs, known), deleted(found, known)
    counts = []
    for window in windows:
        records = before[window.end] - before[window.start] if measured else None
        why = [*log, *gone(window)]
        if window.start >= now:
            records, why = None, ["the window has not begun"]
        elif window.end > now:
            why.append("the window is not over")
        size = round(records * mean) if records is not None and mean is not None else 0 if records == 0 else None
        counts.append(Count(found.topic, window, records, size, tuple(why)))
    return counts


def reasons(found: TopicOffsets, signs: Signs, known: NDArray[np.bool_]) -> list[str]:
    """Why counts of this topic may not be exact, whatever the window."""
    why = []
    if signs.compacted:
        why.append("compacted: records that were replaced by newer ones are counted or not, as the cleaner went")
    if signs.transactional:
        why.append("transactional: markers and aborted records are counted")
    if signs.out_of_order and not signs.append_time and not signs.transactional:
        why.append("timestamps out of order: a late record is counted in the hour of the records beside it")
    if not known.all():
        why.append(f"{int((~known).sum())} of {len(known)} {SILENT} that answers")
    return why


def deleted(found: TopicOffsets, known: NDArray[np.bool_]) -> Callable[[TimeWindow], list[str]]:
    """Whether records of a window may have been deleted: the log begins after it, or within it."""
    if known.any() and (found.start[known] == 0).all() and known.all():
        # Nothing was deleted; a topic says nothing of the time before its first record.
        times = found.first_ms[found.first_ms >= 0]
        if times.size:
            oldest = int(times.min())
            return lambda window: [UNBORN] if oldest >= window.end * 1000 else []
    later, empty = known & (found.start > 0), found.start == found.end
    if not later.any():
        return lambda window: []

    def gone(window: TimeWindow) -> list[str]:
        begun = int((later & ((found.first_ms >= window.start * 1000) | empty)).sum())
        return [f"{DELETED} older records of {begun} of {len(known)} partitions"] if begun else []

    return gone
