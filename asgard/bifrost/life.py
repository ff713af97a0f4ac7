"""The life of a grant: when its end is told, when it ends, when nobody seems to use it. Pure; times are seconds since 1970."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from asgard.bifrost.desired import GrantRow

REMINDERS_DAYS = (7, 3, 1)
DAY_S = 86400.0


@dataclass(frozen=True)
class Due:
    """What is to be done about a grant: end it, or remind of its end `days` before."""

    grant: GrantRow
    what: Literal["end", "remind"]
    days: int = 0


def due(grants: Iterable[GrantRow], now: float) -> Iterator[Due]:
    """What is to be done now. A reminder that was missed is not made up for by two at once: the nearest one counts."""
    for grant in grants:
        if grant.expires_at is None:
            continue
        if grant.expires_at <= now:
            yield Due(grant, "end")
            continue
        lasted = grant.expires_at - grant.granted_at
        for days in sorted(REMINDERS_DAYS):
            # A grant for two days is not reminded of seven days before its end.
            if grant.expires_at - now <= days * DAY_S and lasted > days * DAY_S:
                if days < grant.reminded:
                    yield Due(grant, "remind", days)
                break


def dormant(grant: GrantRow, now: float, after_days: float) -> bool | None:
    """Whether a read grant has not been used for so long; None where Kafka can't tell.

    Kafka tells of reads only by what consumer groups commit: of writers, and of readers without a group, it tells nothing.
    """
    if grant.field != "consume":
        return None
    if grant.used_at is None and grant.seen_at is None:
        return None
    last = grant.used_at if grant.used_at is not None else grant.granted_at
    return now - last > after_days * DAY_S
