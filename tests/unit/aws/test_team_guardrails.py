"""Guardrails that a team adds: in the stack file, and by a package's entry points; shown, waived and refused like Asgard's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from asgard.core.errors import Failed, Refused
from asgard.core.shipped import shipped
from asgard.odin.lifecycle import guardrails
from asgard.odin.spec.aws import TeamRules
from asgard.odin.spec.read import load
from asgard.odin.targets.aws import guardrails as rules
from asgard.odin.targets.aws.guardrails import Declared, Stack

TEAM = "guardrails: {tags: [team, cost-center], regions: [eu-west-1], instance_types: ['m7g.*', t4g.medium]}"


def written(tmp_path: Path, more: str = "") -> Path:
    text = (shipped("templates") / "aws-ec2.yaml").read_text()
    file = tmp_path / "asgard.yaml"
    file.write_text(text.replace("  tags: {team: data}\n", f"  tags: {{team: data}}\n{more}"))
    return file


def test_what_a_stack_file_demands_is_checked_like_the_rest(tmp_path: Path) -> None:
    spec = load(written(tmp_path, f"  {TEAM}\n  waive: {{team-regions: moved in the spring}}\n"))
    found = guardrails.review(spec)
    assert found.rules["team-tags"] == "Every resource has the tags team, cost-center."
    assert {b.rule for b in found.breaches} == {"team-tags"}
    assert all(b.what == "lacks the tag cost-center; set it under aws.tags" for b in found.breaches)
    assert found.waived == {"team-regions": "moved in the spring"}
    with pytest.raises(Refused, match=r"team-tags: orders-eu: lacks the tag cost-center"):
        guardrails.refuse(spec)


STACK = Stack("prod", 2, {}, "orders", "eu-central-1")
TEMPLATE = Declared("aws:ec2/launchTemplate:LaunchTemplate", "orders-1", {"instanceType": "m6i.large", "tags": {}})
CLUSTER = Declared("aws:msk/cluster:Cluster", "orders", {"brokerNodeGroupInfo": {"instanceType": "kafka.m7g.large"}})


@pytest.mark.parametrize(
    ("team", "breaks"),
    [
        (TeamRules(tags=("team",)), [("team-tags", "orders-1")]),
        (TeamRules(regions=("eu-west-1", "eu-north-1")), [("team-regions", "aws.region")]),
        (TeamRules(regions=("eu-central-1",)), []),
        (TeamRules(instance_types=("m7g.*",)), [("team-instance-types", "orders-1")]),
        (TeamRules(instance_types=("m7g.large", "m6i.*")), []),
        (TeamRules(), []),
    ],
)
def test_each_of_a_teams_rules(team: TeamRules, breaks: list[tuple[str, str]]) -> None:
    found = rules.review([TEMPLATE, CLUSTER], STACK, rules=rules.of_team(team))
    assert [(b.rule, b.resource) for b in found] == breaks


def no_saturday(resources: Sequence[Declared], stack: Stack) -> Iterator[tuple[str, str]]:
    """Brokers have names that the team's inventory knows.

    More about it.
    """
    for r in resources:
        if r.type.endswith(":LaunchTemplate") and stack.region == "eu-central-1":
            yield r.name, "is not in the inventory"


def broken(resources: Sequence[Declared], stack: Stack) -> Iterator[tuple[str, str]]:
    """Always wrong."""
    raise KeyError("inventory")
    yield


def entries(monkeypatch: pytest.MonkeyPatch, *found: tuple[str, str]) -> None:
    made = [EntryPoint(name, value, guardrails.GROUP) for name, value in found]

    def entry_points(**wanted: Any) -> list[EntryPoint]:
        assert wanted == {"group": "asgard.odin.guardrails"}
        return made

    monkeypatch.setattr(guardrails, "entry_points", entry_points)


def test_a_package_adds_a_rule_that_is_shown_refused_and_waived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries(monkeypatch, ("inventory", f"{__name__}:no_saturday"))
    found = guardrails.review(load(written(tmp_path)))
    assert found.rules["inventory"] == "Brokers have names that the team's inventory knows."
    assert [(b.rule, b.resource) for b in found.breaches] == [("inventory", f"orders-eu-{i}") for i in (1, 2, 3)]
    guardrails.refuse(load(written(tmp_path, "  waive: {inventory: new cluster}\n")))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("gone", "no.such.module:rule", "the guardrail gone of .* can't be loaded: ModuleNotFoundError"),
        ("imdsv2", f"{__name__}:no_saturday", "the guardrail imdsv2 of .* has a name that is taken"),
        ("broken", f"{__name__}:broken", "the guardrail broken of .* failed: KeyError: 'inventory'"),
    ],
)
def test_a_rule_that_cant_be_asked_stops_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    entries(monkeypatch, (name, value))
    with pytest.raises(Failed, match=said):
        guardrails.refuse(load(written(tmp_path)))
