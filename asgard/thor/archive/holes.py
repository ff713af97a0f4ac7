"""Why an offset has no record: read from the heads of the log's batches, which a consumer never shows. Pure.

A consumer of committed records skips offsets silently. The log itself shows why: a transaction marker is a control batch; an aborted
record is in a batch of a transaction of which the consumer got nothing; what the log cleaner removed is in no batch, or in one that
counts fewer records than offsets. The cleaner also removes old markers and aborted records: whatever it removed is called compaction.
If retention deleted the batches before they were read, both reasons remain possible.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from asgard.kafka.model import BatchHead
from asgard.thor.archive.model import Gap, Reason, joined


class Holes:
    """Ranges of skipped offsets `[start, end)`, in order; two numbers each."""

    def __init__(self) -> None:
        self._starts, self._ends = array("q"), array("q")

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._starts, self._ends, strict=True))

    def note(self, expected: int, offsets: list[int]) -> None:
        """Note what is missing among ascending offsets, if `expected` should have been the first."""
        for offset in offsets:
            if offset > expected:
                self._starts.append(expected)
                self._ends.append(offset)
            expected = offset + 1

    def note_end(self, expected: int, end: int) -> None:
        """No more records come before `end`."""
        if end > expected:
            self._starts.append(expected)
            self._ends.append(end)

    def clear(self) -> None:
        """Forget them."""
        del self._starts[:], self._ends[:]


def explain(holes: Iterable[tuple[int, int]], read: Callable[[int], Sequence[BatchHead]]) -> tuple[Gap, ...]:
    """The holes, which are in order, with their reasons.

    `read` returns batch heads, starting at the one that holds an offset or the next one; none if the log now starts later.
    """
    batches: deque[BatchHead] = deque()
    found: list[Gap] = []
    for start, end in holes:
        at = start
        while at < end:
            if not _reach(batches, at, read):
                found.append(Gap(at, end, "compaction or transactions"))
                break
            batch = batches[0]
            if batch.first > at:
                found.append(Gap(at, min(batch.first, end), "compaction"))
                at = batch.first
                continue
            stop = min(end, batch.last + 1)
            found += _of_batch(batch, at, stop, whole=start <= batch.first and batch.last < end)
            at = stop
    return joined(tuple(gap for gap in found if gap.end > gap.start))


def _reach(batches: deque[BatchHead], at: int, read: Callable[[int], Sequence[BatchHead]]) -> bool:
    """Drop batches until the first one ends at or after an offset. Returns whether there is one."""
    for last in (False, True):
        while batches and batches[0].last < at:
            batches.popleft()
        if batches or last:
            break
        batches.extend(read(at))
    return bool(batches)


def _of_batch(batch: BatchHead, start: int, end: int, *, whole: bool) -> list[Gap]:
    """The part of a hole inside a batch. The head says how many offsets of an aborted batch the cleaner removed, not which."""
    if batch.control:
        return [Gap(start, end, "transactions")]
    if not (whole and batch.transactional):
        return [Gap(start, end, "compaction")]
    aborted = min(end, start + batch.records)
    return [Gap(start, aborted, "transactions"), Gap(aborted, end, "compaction")]


def counted(gaps: Iterable[Gap]) -> dict[Reason, int]:
    """Offsets by reason."""
    found: dict[Reason, int] = {}
    for gap in gaps:
        found[gap.reason] = found.get(gap.reason, 0) + gap.end - gap.start
    return found
