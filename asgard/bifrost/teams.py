"""Who is who: teams, people and their roles, environments, budgets; plain data, read from `bifrost.yaml`.

Sizes are bytes, rates per second, times seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

Role = Literal["member", "owner", "data-engineer", "auditor"]
DATA_ENGINEERS = "data-engineer"
RESOURCES = ("partitions", "storage", "throughput", "users")
"""What a budget limits."""


@dataclass(frozen=True)
class Budget:
    """What a team may use in one environment. None: no limit."""

    partitions: int | None = None
    storage: int | None = None
    throughput: float | None = None
    users: int | None = None


@dataclass(frozen=True)
class Usage:
    """What is used, or asked for: the same four resources."""

    partitions: int = 0
    storage: int = 0
    throughput: float = 0.0
    users: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, r) + getattr(other, r) for r in RESOURCES))

    def __sub__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, r) - getattr(other, r) for r in RESOURCES))


@dataclass(frozen=True)
class Channel:
    """Where a team's notices go."""

    kind: Literal["webhook", "email"]
    address: str = field(repr=False)


@dataclass(frozen=True)
class TeamMember:
    """A person of a team."""

    name: str
    os_user: str
    role: Literal["member", "owner"] = "member"
    email: str | None = None


@dataclass(frozen=True)
class Team:
    """A team. `approvers` are the people who consent in its name."""

    name: str
    about: str | None = None
    members: tuple[TeamMember, ...] = ()
    namespaces: tuple[str, ...] = ()
    budget: Budget = Budget()
    approvers: tuple[str, ...] = ()
    notify: tuple[Channel, ...] = ()

    def owns_name(self, name: str) -> bool:
        """Whether a name begins with one of the team's namespaces."""
        return any(name.startswith(prefix) for prefix in self.namespaces)


@dataclass(frozen=True)
class Environment:
    """A cluster that teams ask on."""

    name: str
    stack: Path
    confirm: str | None = None


@dataclass(frozen=True)
class Costs:
    """Prices of a month."""

    storage_gib: float = 0.0
    partition: float = 0.0
    currency: str = "EUR"


@dataclass(frozen=True)
class Mail:
    """The server that e-mail goes through."""

    host: str
    port: int
    sender: str


@dataclass(frozen=True)
class OpenIdProvider:
    """The OpenID provider that people log in to the portal with, and the portal's client there."""

    issuer: str
    client_id: str
    secret_file: Path


@dataclass(frozen=True)
class Dormancy:
    """For unused access: the team is notified after `after_s`, and it is withdrawn `notice_s` later."""

    after_s: float = 90 * 86400.0
    notice_s: float = 14 * 86400.0


@dataclass(frozen=True)
class Samples:
    """Who may look at `last` records of a topic. `masks` None: topics with one of the `sensitive` tags are not shown."""

    to: Literal["own", "readers"] = "own"
    masks: Path | None = None
    sensitive: frozenset[str] = frozenset()
    last: int = 5


@dataclass(frozen=True)
class Actor:
    """A person as authorisation sees one: a name, the team roles, and the roles over all teams."""

    name: str
    teams: tuple[tuple[str, Role], ...] = ()
    data_engineer: bool = False
    auditor: bool = False
    approves_for: frozenset[str] = frozenset()

    def role_in(self, team: str | None) -> Role | None:
        """The role in a team; None for other teams."""
        return next((role for name, role in self.teams if name == team), None)

    @property
    def known(self) -> bool:
        """Whether this person is known at all."""
        return bool(self.teams) or self.data_engineer or self.auditor


@dataclass(frozen=True)
class TeamDirectory:
    """All of `bifrost.yaml`. `file` is where it was read from."""

    file: Path
    environments: tuple[Environment, ...] = ()
    teams: tuple[Team, ...] = ()
    data_engineers: tuple[TeamMember, ...] = ()
    auditors: tuple[TeamMember, ...] = ()
    notify: tuple[Channel, ...] = ()
    policy: Path = Path("policy.yaml")
    open_catalog: bool = True
    costs: Costs = Costs()
    mail: Mail | None = None
    provider: OpenIdProvider | None = None
    dormant: Dormancy | None = None
    samples: Samples | None = None
    pending_s: float = 14 * 86400.0
    overlap_s: float = 86400.0
    retries: int = 5

    @cached_property
    def by_name(self) -> dict[str, Team]:
        """The teams by name."""
        return {team.name: team for team in self.teams}

    def environment(self, name: str) -> Environment | None:
        """The environment of that name."""
        return next((e for e in self.environments if e.name == name), None)

    def channels(self, team: str) -> tuple[Channel, ...]:
        """Where a team's notices go; `DATA_ENGINEERS` are the data engineers together."""
        if team == DATA_ENGINEERS:
            return self.notify
        return self.by_name[team].notify if team in self.by_name else ()

    def people(self) -> Iterator[TeamMember]:
        """Everybody; a person in two teams is listed twice."""
        for team in self.teams:
            yield from team.members
        yield from self.data_engineers
        yield from self.auditors

    def actor(self, name: str) -> Actor:
        """A person by name, with all roles; an unknown one has none."""
        found = [(t, m) for t in self.teams for m in t.members if m.name == name]
        return Actor(
            name,
            tuple((team.name, member.role) for team, member in found),
            any(m.name == name for m in self.data_engineers),
            any(m.name == name for m in self.auditors),
            frozenset(team.name for team, member in found if name in team.approvers),
        )

    def named_by_os(self, os_user: str) -> str | None:
        """The person whose OS user that is."""
        return next((person.name for person in self.people() if person.os_user == os_user), None)

    def owner_of(self, name: str) -> str | None:
        """The team with the longest namespace that a name begins with."""
        found = [(len(p), t.name) for t in self.teams for p in t.namespaces if name.startswith(p)]
        return max(found)[1] if found else None
