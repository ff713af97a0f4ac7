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
    """What to do about a grant: end it, or remind of its end `days` before."""

    grant: GrantRow
    what: Literal["end", "remind"]
    days: int = 0


def due(grants: Iterable[GrantRow], now: float) -> Iterator[Due]:
    """What to do now. Missed reminders are not sent together: only the nearest one counts."""
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
    """What Kafka shows of reads: since when it was watched, and which users have groups (a reader without one commits nothing)."""

    since: float | None
    with_groups: frozenset[str]


def unused_since(grant: GrantRow, watched: Watched) -> float | None:
    """Since when a read grant has not been used, as far as Kafka shows; None if it can't tell.

    Kafka shows reads only through commits of consumer groups: it shows nothing of writers, or of readers without a group.
    """
    if grant.field != "consume" or watched.since is None or grant.user not in watched.with_groups:
        return None
    if grant.used_at is not None:
        return grant.used_at
    # Before the first look it is not known.
    return max(grant.granted_at, watched.since)


def dormant(grant: GrantRow, now: float, after_days: float, watched: Watched) -> bool | None:
    """Whether a read grant has been unused for so long; None if Kafka can't tell."""
    since = unused_since(grant, watched)
    return None if since is None else now - since > after_days * DAY_S


@dataclass(frozen=True)
class Dormant:
    """What to do about a grant that is unused, or used again. `since` is when it was last used."""

    grant: GrantRow
    what: Literal["notice", "withdraw", "used"]
    since: float


def unused(
    grants: Iterable[GrantRow], noticed: Mapping[str, float], rule: Dormancy, watched: Watched, now: float
) -> Iterator[Dormant]:
    """What to do now about grants on other teams' topics. `noticed`: when a team was notified, by the grant's id.

    A grant is withdrawn only after its notice, however late that was; a read in between cancels it.
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
