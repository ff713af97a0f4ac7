"""`bifrost.yaml`, the files it includes, and request files, read and checked; every problem with its file, line and column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from asgard.bifrost.ask import Ask, of_file
from asgard.bifrost.teams import (
    Budget,
    Channel,
    Costs,
    Dormancy,
    Environment,
    Mail,
    OpenIdProvider,
    Samples,
    Team,
    TeamDirectory,
    TeamMember,
)
from asgard.core import yaml
from asgard.core.document import Document
from asgard.core.errors import InvalidFile, Problem, WrongUsage
from asgard.core.schema.bifrost import (
    BifrostFile,
    ChannelEntry,
    PersonEntry,
    RequestFile,
    SamplesSection,
    TeamEntry,
    TeamsFile,
)
from asgard.core.schema.validate import check, nearest

Placed = tuple[TeamEntry, Document, int]
"""A team, its file, and its index there."""


def directory(path: Path) -> TeamDirectory:
    """Read `bifrost.yaml`. Raises InvalidFile with every problem at once."""
    document = yaml.read(path)
    checked = check(document, BifrostFile)
    if checked.value is None:
        raise InvalidFile(checked.problems)
    file, problems, folder = checked.value, list(checked.problems), path.absolute().parent
    kept = checked.kept.get("teams", list(range(len(file.teams))))
    placed: list[Placed] = [(t, document, kept[i]) for i, t in enumerate(file.teams)]
    for pattern in file.include:
        found = sorted(folder.glob(pattern)) if not Path(pattern).is_absolute() else []
        if not found:
            problems.append(document.problem(("include",), f"has {pattern!r}, which no file matches"))
        for other in found:
            more = yaml.read(other)
            inside = check(more, TeamsFile)
            problems += inside.problems
            if inside.value is not None:
                index = inside.kept.get("teams", list(range(len(inside.value.teams))))
                placed += [(t, more, index[i]) for i, t in enumerate(inside.value.teams)]
    problems += _review(file, document, placed)
    if problems:
        raise InvalidFile(problems)
    mail = None if file.mail is None else Mail(file.mail.host, file.mail.port, file.mail.sender)
    openid, provider = file.openid, None
    if openid is not None:
        secret = folder / Path(openid.client_secret_file).expanduser()
        provider = OpenIdProvider(openid.issuer, openid.client_id, secret)
    return TeamDirectory(
        file=path.absolute(),
        environments=tuple(
            Environment(e.name, folder / Path(e.stack).expanduser(), e.confirm) for e in file.environments
        ),
        teams=tuple(_team(entry) for entry, _, _ in placed),
        data_engineers=tuple(_person(p) for p in file.data_engineers),
        auditors=tuple(_person(p) for p in file.auditors),
        notify=_channels(file.notify),
        policy=folder / Path(file.policy).expanduser(),
        open_catalog=file.catalog == "open",
        costs=Costs(file.costs.storage, file.costs.partition, file.costs.currency),
        mail=mail,
        provider=provider,
        dormant=None if file.dormant is None else Dormancy(file.dormant.after, file.dormant.notice),
        samples=None if file.samples is None else _samples(file.samples, folder),
        pending_s=file.pending,
        overlap_s=file.overlap,
        retries=file.retries,
    )


def _review(file: BifrostFile, document: Document, placed: list[Placed]) -> Iterator[Problem]:
    if not file.environments:
        yield document.problem(("environments",), "is missing or empty; at least one is required")
    for i, environment in enumerate(file.environments):
        if environment.name in [e.name for e in file.environments[:i]]:
            yield document.problem(("environments", i, "name"), f"is {environment.name!r} again; allowed is each once")
    teams: set[str] = set()
    placed_at: dict[str, tuple[str, Document, tuple[str | int, ...]]] = {}
    os_users: dict[str, str] = {}
    for entry, where, index in placed:
        if entry.name in teams:
            yield where.problem(("teams", index, "name"), f"is {entry.name!r} again; allowed is each name once")
        teams.add(entry.name)
        for j, prefix in enumerate(entry.namespaces):
            loc = ("teams", index, "namespaces", j)
            if not prefix.endswith((".", "-", "_")):
                yield where.problem(loc, f"is {prefix!r}; allowed is a prefix that ends in '.', '-' or '_'")
            placed_at.setdefault(prefix, (entry.name, where, loc))
            if (owner := placed_at[prefix][0]) != entry.name:
                yield where.problem(loc, f"is {prefix!r}, which overlaps {prefix!r} of team {owner}")
        names = [m.name for m in entry.members]
        for j, approver in enumerate(entry.approvers):
            if approver not in names:
                hint = nearest(approver, names)
                yield where.problem(("teams", index, "approvers", j), f"is {approver!r}, who is not a member{hint}")
        for j, member in enumerate(entry.members):
            yield from _same_person(os_users, member, where, ("teams", index, "members", j))
            if member.name in names[:j]:
                yield where.problem(("teams", index, "members", j, "name"), f"is {member.name!r} again")
    # When sorted, a prefix comes right before those that begin with it.
    above: list[str] = []
    for prefix in sorted(placed_at):
        while above and not prefix.startswith(above[-1]):
            above.pop()
        owner, where, place = placed_at[prefix]
        for other in above:
            if placed_at[other][0] != owner:
                yield where.problem(place, f"is {prefix!r}, which overlaps {other!r} of team {placed_at[other][0]}")
        above.append(prefix)
    for key in ("data_engineers", "auditors"):
        for j, person in enumerate(getattr(file, key)):
            yield from _same_person(os_users, person, document, (key, j))


def _same_person(
    seen: dict[str, str], person: PersonEntry, where: Document, loc: tuple[str | int, ...]
) -> Iterator[Problem]:
    os_user = person.os_user or person.name
    if seen.setdefault(os_user, person.name) != person.name:
        yield where.problem(loc, f"has the OS user {os_user!r}, which is {seen[os_user]} already")


def _person(entry: PersonEntry) -> TeamMember:
    return TeamMember(entry.name, entry.os_user or entry.name, email=entry.email)


def _samples(section: SamplesSection, folder: Path) -> Samples:
    masks = None if section.masks is None else folder / Path(section.masks).expanduser()
    return Samples(section.to, masks, frozenset(section.sensitive), section.last)


def _team(entry: TeamEntry) -> Team:
    members = tuple(TeamMember(m.name, m.os_user or m.name, m.role, m.email) for m in entry.members)
    b = entry.budget
    return Team(
        entry.name,
        entry.about,
        members,
        tuple(entry.namespaces),
        Budget(b.partitions, b.storage, b.throughput, b.users),
        tuple(entry.approvers) or tuple(m.name for m in members if m.role == "owner"),
        _channels(entry.notify),
    )


def _channels(entries: list[ChannelEntry]) -> tuple[Channel, ...]:
    return tuple(
        Channel("webhook", c.webhook) if c.webhook is not None else Channel("email", c.email or "") for c in entries
    )


def request(text: str, file: str, defaults: Mapping[str, Any] | None = None) -> Ask:
    """Read a request. `${…}` is never replaced in one: it may come from an untrusted person. Raises InvalidFile.

    `defaults` has the values of keys that the text omits (`team`, `environment`, `reason`, `token`).
    """
    document = yaml.read_text(text, file, references=False)
    checked = check(document, RequestFile)
    if checked.problems or checked.value is None:
        raise InvalidFile(checked.problems)
    return of_file(checked.value, defaults or {})


def request_of(values: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> Ask:
    """The same for values from options or JSON. Raises InvalidFile or WrongUsage."""
    import json

    try:
        text = json.dumps(values, ensure_ascii=False, indent=1)
    except TypeError as error:
        raise WrongUsage(f"the request is not a plain document: {error}") from error
    return request(text, "request", defaults)
