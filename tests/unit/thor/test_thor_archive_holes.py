"""Why offsets have no record: a log is cleaned by a model of Kafka's cleaner, and what is said of it is compared with the truth."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from asgard.kafka.model import BatchHead
from asgard.thor.archive.holes import Holes, counted, explain
from asgard.thor.archive.model import Gap, Reason

PLAIN, COMMITTED, ABORTED, MARKER, REMOVED = "plain", "committed", "aborted", "marker", "removed"
BATCHES = st.lists(
    st.tuples(st.sampled_from([PLAIN, COMMITTED, ABORTED, MARKER, REMOVED]), st.lists(st.booleans(), min_size=1, max_size=5)),
    min_size=1,
    max_size=12,
)  # fmt: skip


@given(BATCHES, st.integers(1, 4), st.integers(1, 3))
def test_reasons_are_those_of_the_log(parts: list[tuple[str, list[bool]]], answer: int, step: int) -> None:
    """Each batch has offsets of which the cleaner left those that are true; an answer holds a few batches."""
    heads, offsets, truth = list[BatchHead](), list[int](), dict[Reason, int]()
    at = 0
    for kind, kept in parts:
        kept = [True] if kind == MARKER else kept
        last = at + len(kept) - 1
        if kind != REMOVED:
            heads.append(BatchHead(at, last, sum(kept), kind != PLAIN, kind == MARKER))
        for offset, there in enumerate(kept, at):
            if kind in (PLAIN, COMMITTED) and there:
                offsets.append(offset)
                continue
            reason: Reason = "transactions" if kind == MARKER or (kind == ABORTED and there) else "compaction"
            truth[reason] = truth.get(reason, 0) + 1
        at = last + 1

    def read(offset: int) -> Sequence[BatchHead]:
        return [head for head in heads if head.last >= offset][:answer]

    holes, expected = Holes(), 0
    for i in range(0, len(offsets), step):
        holes.note(expected, offsets[i : i + step])
        expected = offsets[min(i + step, len(offsets)) - 1] + 1
    holes.note_end(expected, at)
    # The end of a log is never taken away: there is always a batch to be found behind a hole.
    heads.append(BatchHead(at, at, 1, False, False))
    found = explain(holes, read)
    assert counted(found) == truth
    assert sum(gap.end - gap.start for gap in found) == at - len(offsets)


def test_what_retention_took_before_it_was_looked_at_may_be_either() -> None:
    assert explain([(3, 5)], lambda offset: []) == (Gap(3, 5, "compaction or transactions"),)
    assert explain([(3, 5)], lambda offset: [BatchHead(9, 9, 1, True, True)]) == (Gap(3, 5, "compaction"),)
