"""A policy file and the cases beside it, read and checked. Anything not understood is an error, never an allow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asgard.bifrost.ask import of_file
from asgard.bifrost.policy import fields
from asgard.bifrost.policy.judge import Judgement, judge
from asgard.bifrost.policy.rules import BUILT_IN, DATA_ENGINEER, NO_RULE, Condition, Policy, Rule, condition
from asgard.bifrost.policy.world import Headroom, PolicyTopic, PolicyUser, World
from asgard.bifrost.teams import RESOURCES, Team, TeamDirectory, Usage
from asgard.core import yaml
from asgard.core.document import Document
from asgard.core.errors import InvalidFile, Problem
from asgard.core.schema.bifrost_policy import CaseEntry, CasesFile, PolicyFile, RuleEntry
from asgard.core.schema.validate import check, nearest


def policy(path: Path, teams: TeamDirectory | None = None) -> Policy:
    """Read a policy. Raises InvalidFile with every problem."""
    document = yaml.read(path, references=False)
    checked = check(document, PolicyFile)
    problems, rules = list(checked.problems), []
    if checked.value is not None:
        kept = checked.kept.get("rules", list(range(len(checked.value.rules))))
        names: set[str] = {rule.name for rule in BUILT_IN} | {NO_RULE}
        for i, entry in enumerate(checked.value.rules):
            if entry.name in names:
                problems.append(document.problem(("rules", kept[i], "name"), f"is {entry.name!r}, which is taken"))
            names.add(entry.name)
            problems += _approvers(document, kept[i], entry, teams)
            conditions, wrong = _conditions(document, kept[i], entry)
            problems += wrong
            rules.append(Rule(entry.name, entry.then, tuple(entry.kinds), conditions, tuple(entry.by), entry.because))
    if problems or checked.value is None:
        raise InvalidFile(problems)
    return Policy(tuple(rules))


def _conditions(document: Document, index: int, entry: RuleEntry) -> tuple[tuple[Condition, ...], list[Problem]]:
    found, wrong = [], []
    for j, text in enumerate(entry.when):
        try:
            found.append(condition(text, entry.kinds))
        except ValueError as error:
            wrong.append(document.problem(("rules", index, "when", j), str(error)))
    return tuple(found), wrong


def _approvers(document: Document, index: int, entry: RuleEntry, teams: TeamDirectory | None) -> Iterator[Problem]:
    for j, name in enumerate(entry.by):
        kind, _, team = name.partition(":")
        if name in ("owner", DATA_ENGINEER):
            continue
        loc = ("rules", index, "by", j)
        if kind != "team" or not team:
            yield document.problem(loc, f"is {name!r}; allowed are owner, data-engineer and team:NAME")
        elif teams is not None and team not in teams.by_name:
            yield document.problem(loc, f"names the team {team!r}, which there is not{nearest(team, teams.by_name)}")


@dataclass(frozen=True)
class Tried:
    """The result of a case; `wrong` is empty if it came out as written."""

    name: str
    judgement: Judgement
    wrong: tuple[str, ...]


def cases_path(policy_path: Path) -> Path:
    """Where the cases of a policy are: `policy.cases.yaml` beside `policy.yaml`."""
    return policy_path.with_suffix(".cases.yaml")


def try_cases(path: Path, rules: Policy, teams: TeamDirectory) -> list[Tried]:
    """Run every case of a file. Raises InvalidFile if the file itself is wrong."""
    document = yaml.read(path, references=False)
    checked = check(document, CasesFile)
    problems = list(checked.problems)
    tried = []
    if checked.value is not None:
        kept = checked.kept.get("cases", list(range(len(checked.value.cases))))
        for i, case in enumerate(checked.value.cases):
            try:
                tried.append(_try(case, rules, teams))
            except ValueError as error:
                problems.append(document.problem(("cases", kept[i]), str(error)))
    if problems:
        raise InvalidFile(problems)
    return tried


def _try(case: CaseEntry, rules: Policy, teams: TeamDirectory) -> Tried:
    if case.team not in teams.by_name:
        raise ValueError(f"names the team {case.team!r}, which there is not{nearest(case.team, teams.by_name)}")
    first = teams.environments[0].name if teams.environments else ""
    ask = of_file(case.request, {"team": case.team, "environment": first})
    judged = judge(rules, ask, _world(case, teams.by_name[case.team], teams))
    wanted, wrong = case.expect, []
    if judged.outcome != wanted.outcome:
        wrong.append(f"the outcome is {judged.outcome}, wanted {wanted.outcome} ({judged.sentence})")
    if wanted.rule is not None and judged.rule != wanted.rule:
        wrong.append(f"rule {judged.rule} decided, wanted {wanted.rule}")
    if wanted.by is not None and list(judged.by) != sorted(wanted.by):
        wrong.append(f"{', '.join(judged.by) or 'no one'} approves, wanted {', '.join(sorted(wanted.by)) or 'no one'}")
    if wanted.nearest is not None and (judged.nearest is not None) != wanted.nearest:
        wrong.append(f"a request that passes was {'found' if judged.nearest else 'not found'}")
    return Tried(case.name, judged, tuple(wrong))


def _world(case: CaseEntry, team: Team, teams: TeamDirectory) -> World:
    topics = {
        t.name: PolicyTopic(t.name, t.team, t.partitions, t.replication, tags=frozenset(t.tags)) for t in case.topics
    }
    spaces = {prefix: other.name for other in teams.teams for prefix in other.namespaces}
    # Users that a case gives access to are the team's own: policy does not look at their owner.
    users = {access.user: PolicyUser(access.user, team.name) for access in case.request.access}
    return World(team, case.role, topics, users, spaces, _used(case.used), _head(case.headroom))


def _used(values: dict[str, Any]) -> Usage:
    types: dict[str, fields.Type] = {"partitions": "count", "storage": "bytes", "throughput": "rate", "users": "count"}
    if unknown := set(values) - set(RESOURCES):
        raise ValueError(f"has used.{min(unknown)}; allowed are {', '.join(RESOURCES)}")
    read = {key: fields.value(str(value), types[key]) for key, value in values.items()}
    return Usage(**{k: float(v) if k == "throughput" else int(v) for k, v in read.items()})  # type: ignore[arg-type]


def _head(values: dict[str, Any]) -> Headroom:
    if unknown := set(values) - {"disk", "brokers", "partitions"}:
        raise ValueError(f"has headroom.{min(unknown)}; allowed are disk, brokers, partitions")
    disk: Any = fields.value(str(values["disk"]), "fraction") if "disk" in values else None
    counts = {k: int(fields.value(str(values[k]), "count")) for k in ("brokers", "partitions") if k in values}  # type: ignore[arg-type]
    return Headroom(counts.get("brokers"), disk, replicas_left=counts.get("partitions"))
