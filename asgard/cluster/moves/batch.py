"""What moves next: of the remaining changes, those of the first batch that fit into about a minute. Pure.

The plan's batches keep the limits in any part of them: a batch gains everywhere before it loses anywhere. So a batch
too large for the current throttle is moved in parts; batches are never merged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from asgard.cluster.limits import Limits
from asgard.cluster.plan import BATCH_SECONDS, Change


def first(left: Sequence[Change], rate_bytes_per_s: float | None, limits: Limits) -> tuple[list[Change], list[Change]]:
    """The changes to submit now, and the others, in order. At least one if any is left.

    A broker receives and sends what the rate allows in a minute, or one replica that is larger than that.
    """
    most = rate_bytes_per_s * BATCH_SECONDS if rate_bytes_per_s else float("inf")
    load: dict[tuple[int, bool], int] = defaultdict(int)
    count: dict[int, int] = defaultdict(int)
    chosen: list[Change] = []
    rest: list[Change] = []
    total = 0
    for change in left:
        new = [r for r in change.after if r not in change.before]
        size = change.bytes_moved // len(new) if new else 0
        # The leader sends: as a rule the preferred one of the old replicas.
        ends = [(r, True) for r in new] + ([(change.before[0], False)] if new else [])
        weights = {end: size if end[1] else change.bytes_moved for end in ends}
        fits = (
            change.batch == left[0].batch
            and all(not load[end] or load[end] + w <= most for end, w in weights.items())
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
    return chosen, rest
