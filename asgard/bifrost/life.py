"""The life of a grant: when its end is announced, when it ends, when it seems unused. Pure; times are seconds since 1970."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from asgard.bifrost.desired import GrantRow
from asgard.bifrost.teams import Dormancy

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


@dataclass(frozen=True)
class Watched:
    """What Kafka shows of reads: since when anybody looked, and which users have groups (a reader without one commits nothing)."""

    since: float | None
    with_groups: frozenset[str]


def unused_since(grant: GrantRow, watched: Watched) -> float | None:
    """Since when a read grant has not been used, as far as Kafka tells; None where it can't tell.

    Kafka shows reads only by what consumer groups commit: of writers, and of readers without a group, it shows nothing.
    """
    if grant.field != "consume" or watched.since is None or grant.user not in watched.with_groups:
        return None
    if grant.used_at is not None:
        return grant.used_at
    # Before the first look it is not known.
    return max(grant.granted_at, watched.since)


def dormant(grant: GrantRow, now: float, after_days: float, watched: Watched) -> bool | None:
    """Whether a read grant has not been used for so long; None where Kafka can't tell."""
    since = unused_since(grant, watched)
    return None if since is None else now - since > after_days * DAY_S


@dataclass(frozen=True)
class Dormant:
    """What is to be done about a grant that is unused, or used again. `since` is when it was last used."""

    grant: GrantRow
    what: Literal["notice", "withdraw", "used"]
    since: float


def unused(
    grants: Iterable[GrantRow], noticed: Mapping[str, float], rule: Dormancy, watched: Watched, now: float
) -> Iterator[Dormant]:
    """What is to be done now about grants on other teams' topics. `noticed`: when a team was told, by the grant's id.

    A grant is withdrawn only after its notice, however late that was; a read in between ends the matter.
    """
    for grant in grants:
        since = unused_since(grant, watched)
        if since is None or grant.owner == grant.team or grant.origin == "adopted":
            continue
        told = noticed.get(grant.id)
        if told is not None and since > told:
            yield Dormant(grant, "used", since)
        elif now - since <= rule.after_s:
            continue
        elif told is None:
            yield Dormant(grant, "notice", since)
        elif now - told > rule.notice_s:
            yield Dormant(grant, "withdraw", since)
