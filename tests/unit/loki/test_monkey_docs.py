"""docs/loki-monkey.md says what the code does."""

from __future__ import annotations

import random
import re
from pathlib import Path

import jsonschema
import pytest

from asgard.cli import main as cli
from asgard.core.schema.monkey import MonkeyFile, MonkeyGroup
from asgard.core.yaml import read_text
from asgard.loki.chaos.faults import machines
from asgard.loki.monkey.choose import UNSEEN_S, Past, choose
from asgard.loki.monkey.config import Group, Monkey, json_schema, read
from asgard.loki.monkey.health import Health
from asgard.machines.member import KINDS, Member, Population

PAGE = (Path(__file__).parents[3] / "docs" / "loki-monkey.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_the_file_of_the_page_is_one_and_shows_every_key(tmp_path: Path) -> None:
    (tmp_path / "monkey.yaml").write_text(EXAMPLE)
    monkey = read(tmp_path / "monkey.yaml")
    assert [group.kind for group in monkey.groups] == list(KINDS)
    for key in [*MonkeyFile.model_fields, *MonkeyGroup.model_fields]:
        assert re.search(rf"\b{key}:", PAGE), f"{key} is nowhere on the page"


def test_editors_accept_the_file_of_the_page(tmp_path: Path) -> None:
    schema = json_schema()
    assert not list(jsonschema.Draft202012Validator(schema).iter_errors(read_text(EXAMPLE, "monkey.yaml").root))
    wrong = read_text(EXAMPLE.replace("opt_in: {chaos: allowed} ", "opt_in: {} "), "monkey.yaml").root
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(wrong))


def test_the_actions_of_the_page_are_those_of_the_code() -> None:
    for action in machines.KINDS:
        assert f"`{action}`" in PAGE


def test_the_figures_of_the_page_are_true() -> None:
    group = Group("g", "container", {"a": ("b",)}, 0, "kill", mean_s=5 * 86400.0)
    found = {"g": Population((Member("c", "container", "", {"a": "b"}, "running", True),))}
    tuesday = 1795521600.0
    [thrown] = choose(
        Monkey("m", (group,)), found, Health(), Past(looked_at=tuesday - 600), tuesday, random.Random(0)
    ).groups
    assert f"a chance of {thrown.chance:.1%}".replace("%", " %") in PAGE
    assert f"a day of eight hours of them with {1 - (1 - thrown.chance) ** 48:.0%}".replace("%", " %") in PAGE
    assert f"in the last {UNSEEN_S:.0f} seconds" in PAGE


def test_a_wrong_file_is_exit_code_2_and_touches_no_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    file = tmp_path / "monkey.yaml"
    file.write_text(EXAMPLE.replace("probability: 20%", "probability: often"))
    assert cli.main(["loki", "monkey", "-f", str(file), "--context", "nowhere", "--yes"]) == 2
    assert f"{file}:" in (told := capsys.readouterr().err)
    assert "groups[0].probability: is 'often'; allowed is a percentage" in told
    assert list(tmp_path.iterdir()) == [file]


def test_run_may_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "none.yaml")
    told = set()
    for words in (["loki", "monkey", "-f", missing], ["loki", "monkey", "run", "-f", missing]):
        assert cli.main(words) == 2
        told.add(capsys.readouterr().err)
    assert len(told) == 1
    assert cli.main(["loki", "monkey", "schema"]) == 0
    assert '"title": "Asgard monkey"' in capsys.readouterr().out
