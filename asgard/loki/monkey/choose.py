"""Which member does the monkey stop now, and why no other? Pure: members, health, past, moment and dice in, a choice out.

One run takes at most one member. Rules, in this order: hours and days off; the cluster can bear it; what was taken a moment ago
is visible in it; no more gone at once than allowed, in all groups and in this one; enough healthy ones stay; the dice. A missing
member counts as gone, whatever took it.

Every group throws the same number of dice in every run, and members are taken in the order of their ids: the same seed and the
same inputs give the same victim, and a group's luck does not depend on what another group looks like.

How often: a probability is for each run. With a mean time between kills the kills are a Poisson process in the open hours (an
exponential time to the next one, as Chaos Monkey's `meanTimeBetweenKillsInWorkDays` has it): the chance of a run is
1 - exp(-t / (mean x share of the week that is open)), t being the open seconds since the run before. So it does not matter how often
cron runs it; the first run takes none, and kills that came due while a rule forbade them are not made up for.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from asgard.core import units
from asgard.loki.monkey.config import Group, Monkey
from asgard.loki.monkey.health import Health
from asgard.loki.monkey.hours import Hours
from asgard.machines.member import Member, Population, opted_in

UNSEEN_S = 60.0
"""How long a cluster may take until it shows that a member is gone: several session time-outs of a broker, and replica.lag.time.max.ms."""


@dataclass(frozen=True)
class Past:
    """What the journal knows. `looked_at`: when this monkey last looked in open hours; `taken_at`: when something was last broken, by anyone."""

    looked_at: float | None = None
    taken_at: float | None = None


@dataclass(frozen=True)
class Considered:
    """One member, and why it was or was not taken."""

    group: str
    member: Member
    taken: bool
    why: str


@dataclass(frozen=True)
class Thrown:
    """One group in this run: `size` is how many there should be, `chance` that one is taken, `dice` what was rolled against it."""

    group: str
    size: int
    healthy: int
    gone: int
    chance: float
    dice: float
    due: bool
    why: str


@dataclass(frozen=True)
class Victim:
    """Which member to take, and how."""

    group: Group
    member: Member


@dataclass(frozen=True)
class Choice:
    """`why` in one sentence; all groups and members with what was decided for each."""

    victim: Victim | None
    why: str
    groups: tuple[Thrown, ...]
    considered: tuple[Considered, ...]


@dataclass(frozen=True)
class _Team:
    """Members of a group that can replace each other; an entry for Auto Scaling groups has one team for each of them."""

    name: str
    group: Group
    members: tuple[Member, ...]
    size: int

    @property
    def fit(self) -> tuple[Member, ...]:
        return tuple(m for m in self.members if m.healthy)

    @property
    def gone(self) -> int:
        return max(0, self.size - len(self.fit))


def choose(
    monkey: Monkey,
    found: Mapping[str, Population],
    health: Health,
    past: Past,
    now: float,
    dice: random.Random,
) -> Choice:
    """The choice of one run. `found`: group of the monkey's file to what was found of it; `now` in seconds since 1970."""
    hours = Hours(monkey.hours, monkey.days_off, monkey.timezone)
    teams = [team for group in monkey.groups for team in _teams(group, found.get(group.name, Population()))]
    no = _forbidden(monkey, hours, teams, health, past, now)
    few = {team.name: _too_few(team) for team in teams}
    # A member of two groups must be one too many in both.
    bars = {
        _key(m): f"is in {team.name} too: {few[team.name]}" for team in teams if few[team.name] for m in team.members
    }
    open_s = hours.open_s(past.looked_at, now) if past.looked_at is not None and not hours.closed(now) else 0.0
    thrown: list[Thrown] = []
    due: list[tuple[float, _Team, float]] = []
    for team in teams:
        throw, rank, pick = dice.random(), dice.random(), dice.random()
        chance = _chance(team.group, open_s, hours.share)
        free = [m for m in team.fit if _key(m) not in bars]
        why = no or few[team.name] or ("" if free else bars[_key(team.fit[0])])
        if not why and throw >= chance:
            why = f"not due: the dice showed {throw:.3g}, not below {chance:.3g}"
        thrown.append(
            Thrown(team.name, team.size, len(team.fit), team.gone, round(chance, 9), round(throw, 9), not why, why)
        )
        if not why:
            due.append((rank, team, pick))
    due.sort(key=lambda entry: entry[0])
    victim, picked = None, None
    if due:
        _, picked, pick = due[0]
        free = [m for m in picked.fit if _key(m) not in bars]
        victim = Victim(picked.group, free[int(pick * len(free))])
    told = {t.group: t.why for t in thrown}
    considered = [
        *_left_out(monkey, found),
        *(_considered(team, m, victim, picked, told[team.name], bars) for team in teams for m in team.members),
    ]
    return Choice(victim, _sentence(victim, picked, no, thrown), tuple(thrown), tuple(considered))


def _teams(group: Group, found: Population) -> list[_Team]:
    """Sorted; each Auto Scaling group is its own team, even if it has no members left."""
    members = sorted((m for m in found.members if _belongs(m, group)), key=lambda m: (m.group, m.id))
    names = sorted({m.group for m in members} | set(found.sizes)) or [""]
    teams = []
    for name in names:
        own = tuple(m for m in members if m.group == name)
        size = max(len(own), group.size or 0, found.sizes.get(name, 0))
        teams.append(_Team(f"{group.name}/{name}" if name else group.name, group, own, size))
    return teams


def _key(member: Member) -> str:
    """Its identity, however it was found: an instance of an Auto Scaling group is an EC2 instance."""
    return f"{'ec2' if member.kind == 'asg' else member.kind}/{member.id}"


def _belongs(member: Member, group: Group) -> bool:
    return member.kind == group.kind and opted_in(member.labels, group.opt_in)


def _forbidden(monkey: Monkey, hours: Hours, teams: list[_Team], health: Health, past: Past, now: float) -> str:
    """Why no member may be stopped at all; empty if one may."""
    closed = hours.closed(now)
    if closed:
        return closed
    if health.because:
        return "the cluster could not take it: " + "; ".join(health.because)
    if past.taken_at is not None and now - past.taken_at < UNSEEN_S:
        ago = units.format_duration(max(0.0, now - past.taken_at))
        return f"something was broken {ago} ago, and the cluster may not show it yet"
    gone = sum(team.gone for team in teams)
    if gone >= monkey.at_most:
        return f"{gone} gone already, and at most {monkey.at_most} may be"
    return ""


def _too_few(team: _Team) -> str:
    """Why no member of this team may be stopped; empty if one may."""
    if not team.members:
        return "no member has opted in" if not team.size else "no members found"
    if not team.fit:
        return "no member is healthy"
    if team.gone >= team.group.at_most:
        return f"{team.gone} of {team.size} gone already, and at most {team.group.at_most} may be"
    least = team.group.least(team.size)
    if len(team.fit) - 1 < least:
        return f"{len(team.fit)} of {team.size} healthy, and {least} must stay ({team.group.min_healthy})"
    return ""


def _chance(group: Group, open_s: float, share: float) -> float:
    if group.probability is not None:
        return group.probability
    assert group.mean_s is not None
    return -math.expm1(-open_s / (group.mean_s * share)) if share else 0.0


def _left_out(monkey: Monkey, found: Mapping[str, Population]) -> list[Considered]:
    """Members that were found but have not opted in: none of them is ever taken."""
    return [
        Considered(group.name, m, False, "has not opted in")
        for group in monkey.groups
        for m in found.get(group.name, Population()).members
        if not _belongs(m, group)
    ]


def _considered(
    team: _Team, member: Member, victim: Victim | None, picked: _Team | None, why: str, bars: Mapping[str, str]
) -> Considered:
    if victim is not None and picked is team and member is victim.member:
        return Considered(team.name, member, True, "chosen")
    if why:
        return Considered(team.name, member, False, why)
    if not member.healthy:
        return Considered(team.name, member, False, f"is not healthy ({member.state})")
    if _key(member) in bars:
        return Considered(team.name, member, False, bars[_key(member)])
    other = "the dice chose another one" if picked is team else "one run stops one member, and another group came first"
    return Considered(team.name, member, False, other)


def _sentence(victim: Victim | None, picked: _Team | None, no: str, thrown: list[Thrown]) -> str:
    if victim is not None and picked is not None:
        throw = next(t for t in thrown if t.group == picked.name)
        return (
            f"{victim.group.action} {victim.member}, one of {picked.name}: the dice showed {throw.dice:.3g}, below {throw.chance:.3g}; "
            f"{throw.healthy - 1} of {throw.size} stay healthy"
        )
    return f"nothing is stopped: {no or '; '.join(f'{t.group}: {t.why}' for t in thrown)}"
