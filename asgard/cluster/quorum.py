"""Whether the metadata quorum is safe, and how many more controllers may be lost. Pure.

A controller follows the quorum's leader by fetching from it, twice a second at least. The leader records when each of
them last did; its own entry has the time of the same clock, so no other clock is needed. A voter that has been silent
for `SILENT_MS` counts as down. Voters without times (a handwritten snapshot) count as up.
"""

from __future__ import annotations

from dataclasses import dataclass

from asgard.kafka.model import Quorum

SILENT_MS = 5_000


@dataclass(frozen=True)
class QuorumHealth:
    """`spare` more voters may be lost before the cluster can no longer change; below 0 it already can't.

    `problem` says what is wrong, empty if all voters are up.
    """

    leader: int
    voters: int
    down: tuple[int, ...]
    spare: int
    problem: str


def health(quorum: Quorum) -> QuorumHealth:
    """Judge a quorum as its leader described it."""
    count = len(quorum.voters)
    if quorum.leader < 0:
        problem = "the metadata quorum has no leader: topics, configs and leaders can't change, and a started broker can't join. Bring back controllers until more than half of them are up."
        return QuorumHealth(-1, count, (), -1, problem)
    seen = [v.last_fetch_ms for v in quorum.voters if v.last_fetch_ms is not None]
    now = max(seen, default=None)
    down = tuple(
        v.id
        for v in quorum.voters
        if v.id != quorum.leader and now is not None and (v.last_fetch_ms is None or now - v.last_fetch_ms > SILENT_MS)
    )
    spare = count - len(down) - (count // 2 + 1)
    problem = ""
    if down:
        names = ("controller " if len(down) == 1 else "controllers ") + ", ".join(map(str, down))
        left = "the loss of one more stops the quorum" if spare <= 0 else f"{spare} more may be lost"
        problem = (
            f"{names} of {count} no longer {'follows' if len(down) == 1 else 'follow'} the metadata quorum: {left}."
        )
    return QuorumHealth(quorum.leader, count, down, spare, problem)
