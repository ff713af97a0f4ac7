"""The weekly digest: what a team has, what ends soon, what is unused, and what waits for it. Once a week, for owners to read."""

from __future__ import annotations

from datetime import UTC, datetime

from asgard.bifrost import notices
from asgard.bifrost.desired import GrantRow
from asgard.bifrost.gate import Bifrost
from asgard.bifrost.notices import TeamMessage
from asgard.bifrost.store import requests, rows
from asgard.bifrost.store.requests import Request
from asgard.bifrost.teams import RESOURCES, Budget, Usage

SOON_S = 14 * 86400.0
FULL = 0.8
"""A budget is mentioned from this share on."""


def week_of(now: float) -> str:
    """The ISO week of a time (UTC)."""
    year, week, _ = datetime.fromtimestamp(now, UTC).isocalendar()
    return f"{year}-W{week:02}"


def text(
    team: str,
    topics: int,
    grants: list[GrantRow],
    waiting: list[Request],
    used: dict[str, tuple[Usage, Budget]],
    now: float,
) -> str:
    """The digest of a team. `grants` are those of its users, `waiting` the requests that it has to decide, `used` is by environment."""
    lines = [f"{team}, week {week_of(now)}: {topics} topics, {len(grants)} grants."]
    for request in waiting:
        lines.append(f"- waits for you: {request.id}, {request.kind} {request.subject} of {request.team}")
    for grant in sorted(grants, key=lambda g: g.expires_at or 0.0):
        what = f"{grant.user} {grant.field} {grant.name}"
        if grant.expires_at is not None and grant.expires_at - now <= SOON_S:
            day = datetime.fromtimestamp(grant.expires_at, UTC).date()
            lines.append(f"- ends on {day}: {what}. asgard bifrost extend {grant.id} --for 30d")
        if grant.state == "noticed":
            lines.append(f"- unused: {what}. asgard bifrost withdraw {grant.id}")
    for environment, (usage, budget) in used.items():
        for resource in RESOURCES:
            limit = getattr(budget, resource)
            if limit and getattr(usage, resource) >= FULL * limit:
                share = getattr(usage, resource) / limit
                lines.append(f"- {share:.0%} of the budget of {resource} is used in {environment}")
    return "\n".join(lines)


def weekly(gate: Bifrost) -> int:
    """Send it to every team with a channel, once a week; the first one comes with the first new week. Returns how many were sent."""
    told = [team for team in gate.directory.teams if team.notify]
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        week = week_of(now)
        before = rows.value(connection, "digest")
        if before == week:
            return 0
        rows.set_value(connection, "digest", week)
        if before is None:
            return 0
        pending = requests.find(connection, in_states=["pending"])
        for team in told:
            topics = rows.topics(connection, teams=[team.name])
            held = [g for _, g in rows.placed_grants(connection, where=[rows.of_team(team.name)])]
            waiting = [r for r in pending if f"team:{team.name}" in r.by]
            used = {
                e.name: (rows.used(connection, team.name, e.name), team.budget) for e in gate.directory.environments
            }
            body = text(team.name, len(topics), held, waiting, used, now)
            notices.tell(connection, gate.directory, TeamMessage(team.name, "digest", week, body), now)
    return len(told)
