"""What moves next: of the remaining changes, those of the first batch that fit into about a minute. Pure.

The plan's batches keep the limits in any part of them: a batch gains everywhere before it loses anywhere. So a batch
too large for the current throttle is moved in parts; batches are never merged. The same holds for one whose replicas a
topic's config can't name all at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from asgard.cluster.limits import Limits
from asgard.cluster.plan import BATCH_SECONDS, Change
from asgard.kafka.throttle import LONGEST, REPLICAS

_MARKS_BYTES = LONGEST - 2_767
"""For the throttled replicas that a topic's config names; the rest is for those that an operator has set."""


def first(left: Sequence[Change], rate_bytes_per_s: float | None, limits: Limits) -> tuple[list[Change], list[Change]]:
    """The changes to submit now, and the others, in order. At least one if any is left.

    A broker receives and sends what the rate allows in a minute, or one replica that is larger than that.
    """
    most = rate_bytes_per_s * BATCH_SECONDS if rate_bytes_per_s else float("inf")
    load: dict[tuple[int, bool], int] = defaultdict(int)
    count: dict[int, int] = defaultdict(int)
    marked: dict[tuple[str, str], int] = defaultdict(int)
    chosen: list[Change] = []
    rest: list[Change] = []
    total = 0
    for change in left:
        if change.batch != left[0].batch:
            rest.append(change)
            continue
        new = [r for r in change.after if r not in change.before]
        size = change.bytes_moved // len(new) if new else 0
        # The leader sends: as a rule the preferred one of the old replicas.
        ends = [(r, True) for r in new] + ([(change.before[0], False)] if new else [])
        weights = {end: size if end[1] else change.bytes_moved for end in ends}
        marks = _marks(change, new) if rate_bytes_per_s else {}
        fits = (
            all(not load[end] or load[end] + w <= most for end, w in weights.items())
            and all(not marked[key] or marked[key] + w <= _MARKS_BYTES for key, w in marks.items())
            and not (limits.batch_bytes and total and size and total + change.bytes_moved > limits.batch_bytes)
            and not (limits.moves_per_broker and any(count[b] >= limits.moves_per_broker for b, _ in ends))
        )
        if not fits:
            rest.append(change)
            continue
        chosen.append(change)
        total += change.bytes_moved
        for end, weight in weights.items():
            load[end] += weight
            count[end[0]] += 1
        for key, weight in marks.items():
            marked[key] += weight
    return chosen, rest


def _marks(change: Change, new: Collection[int]) -> dict[tuple[str, str], int]:
    """Bytes that the names of its throttled replicas take in the configs of its topic."""
    lists = zip(REPLICAS, (change.before if new else (), new), strict=True)
    return {(change.topic, key): sum(len(f"{change.partition}:{r},") for r in replicas) for key, replicas in lists}
