"""Experiment files: what is one, and what is said where one is not."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from chaoslib.experiment import ensure_experiment_is_valid
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asgard.compose import chaos
from asgard.core.errors import InvalidFile, Refused, WrongUsage
from asgard.core.shipped import EXPERIMENTS
from asgard.loki.chaos import kinds, read, variables
from asgard.loki.chaos.actions import RESTORING
from asgard.loki.chaos.experiment import OWN
from tests.harness.examples import examples

SHIPPED = sorted(EXPERIMENTS.files().values())
GOOD = """\
title: Does it hold?
description: A broker dies.
configuration:
  broker: {type: env, key: BROKER, env_var_type: int, default: 2}
steady-state-hypothesis:
  title: It serves
  probes:
    - {type: probe, name: writes, tolerance: true, provider: {type: python, module: asgard.loki.chaos.probes, func: can_produce}}
method:
  - type: action
    name: dies
    provider: {type: python, module: asgard.loki.chaos.actions, func: kill_broker, arguments: {broker: "${broker}"}}
    pauses: {after: 1.5}
  - {ref: writes}
rollbacks:
  - {type: action, name: back, background: true, provider: {type: python, module: asgard.loki.chaos.actions, func: start_broker}}
asgard:
  every: 5s
  abort:
    - {type: probe, name: up, tolerance: [1, 3], for: 20s, provider: {type: python, module: asgard.loki.chaos.probes, func: brokers_up}}
"""


def of(text: str, tmp_path: Path, name: str = "mine.yaml") -> Any:
    path = tmp_path / name
    path.write_text(text)
    return read.read(path)


def test_an_experiment_is_read_with_what_asgard_adds(tmp_path: Path) -> None:
    found = of(GOOD, tmp_path)
    assert (found.name, found.hypothesis, found.every_s) == ("mine", "It serves", 5.0)
    assert [a.name for a in found.method] == ["dies", "writes"]
    assert (found.method[0].after, found.method[0].provider.arguments) == (1.5, {"broker": "${broker}"})
    assert found.rollbacks[0].background
    assert (found.aborts[0].probe.tolerance, found.aborts[0].for_s) == ([1, 3], 20.0)
    assert not found.foreign()


def test_the_same_experiment_as_json(tmp_path: Path) -> None:
    assert of(json.dumps(yaml.safe_load(GOOD), indent=1), tmp_path, "mine.json").method == of(GOOD, tmp_path).method


def test_chaos_toolkit_finds_it_valid_too() -> None:
    ensure_experiment_is_valid(yaml.safe_load(GOOD))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title: Does it hold?\n", "", "mine.yaml:1:1: title: is missing"),
        ("method:", "methods:", "mine.yaml:9:1: methods: is not a known key; did you mean method?"),
        ("func: kill_broker", "func: kil_broker", "mine.yaml:12:71: method[0].provider.func: is 'kil_broker'; did you mean kill_broker?"),
        ('{broker: "${broker}"}', "{node: 2}", "is not an argument of kill_broker; allowed are broker"),
        ("{ref: writes}", "{ref: write}", "no activity has that name"),
        ("tolerance: true", "tolerance: 0.5", "allowed are true, false, a whole number"),
        ("tolerance: [1, 3]", "tolerance: {type: rnge}", "has the type 'rnge'; allowed are probe, regex, jsonpath, range"),
        ("tolerance: true, ", "", "has no tolerance"),
        ("after: 1.5", "after: soon", "allowed are seconds"),
        ("for: 20s", "for: 20", "without a unit"),
        ("type: env", "type: vault", "has the type 'vault'; allowed is env"),
        ("{ref: writes}", "{type: action, name: x, provider: {type: process}}", "has no path"),
        ("{ref: writes}", "{type: thing, name: x, provider: {type: python}}", "allowed is probe or action"),
        ("asgard:\n", "controls: []\nasgard:\n", "code around every step"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(old: str, new: str, said: str, tmp_path: Path) -> None:
    assert old in GOOD
    with pytest.raises(InvalidFile) as raised:
        of(GOOD.replace(old, new), tmp_path)
    assert said in str(raised.value)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("func: kill_broker", "func: kil_broker").replace("tolerance: true", "tolerance: 0.5")
    with pytest.raises(InvalidFile) as raised:
        of(text.replace("type: env", "type: vault"), tmp_path)
    fields = ["configuration.broker", "steady-state-hypothesis.probes[0].tolerance", "method[0].provider.func"]
    assert [p.field for p in raised.value.problems] == fields


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from(["", "x", "${y}", "env", "probe", "5s"])
    | st.floats(-1, 1),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "ref", "name", "key"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_somewhere_the_answer_is_an_experiment_or_problems_with_places(
    data: st.DataObject, tmp_path: Path
) -> None:
    document: Any = yaml.safe_load(GOOD)
    node = document
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            node[key] = data.draw(ODD)
            break
        node = node[key]
    try:
        of(json.dumps(document, indent=1), tmp_path, "odd.json")
    except InvalidFile as error:
        assert all(p.line > 0 for p in error.problems)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_a_shipped_experiment_is_valid_here_for_chaos_toolkit_and_by_its_schema(path: Path) -> None:
    assert not read.read(path).foreign()
    document = yaml.safe_load(path.read_text())
    ensure_experiment_is_valid(document)
    jsonschema.validate(document, read.json_schema())


def test_the_shipped_experiments_are_found_by_name() -> None:
    assert len(SHIPPED) >= 10
    assert EXPERIMENTS.find("broker-dies").name == "broker-dies.yaml"
    with pytest.raises(WrongUsage, match="did you mean broker-dies"):
        EXPERIMENTS.find("broker-die")


def test_an_experiment_of_ones_own_wins_over_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "broker-dies.yaml").write_text(GOOD)
    assert EXPERIMENTS.find("broker-dies", [tmp_path]) == tmp_path / "broker-dies.yaml"


@pytest.mark.parametrize(
    "provider",
    [
        "{type: python, module: os, func: getpid}",
        "{type: python, module: asgard.loki.chaos.breaking, func: inject}",
        "{type: process, path: /bin/true}",
        "{type: http, url: 'http://127.0.0.1:1/'}",
    ],
)
def test_what_is_not_lokis_runs_only_where_it_is_allowed(provider: str, tmp_path: Path) -> None:
    found = of(GOOD.replace("{ref: writes}", f"{{type: action, name: other, provider: {provider}}}"), tmp_path)
    assert [a.name for a in found.foreign()] == ["other"]
    with pytest.raises(Refused, match="not Loki"):
        chaos.allow(found, allow_provider=False)
    chaos.allow(found, allow_provider=True)


def test_a_tolerance_that_calls_somebody_elses_function_is_not_lokis_either(tmp_path: Path) -> None:
    other = "tolerance: {type: probe, name: t, provider: {type: python, module: os, func: getpid, arguments: {}}}"
    assert of(GOOD.replace("tolerance: true", other), tmp_path).foreign()


def test_every_action_is_a_function_with_the_same_arguments() -> None:
    functions = set(read.functions(OWN[0]))
    assert functions == {*kinds.MODULES, *RESTORING}
    for action in kinds.MODULES:
        wrapper, plan = read.own(OWN[0], action), kinds.kind(action).plan
        assert wrapper is not None and wrapper.__doc__
        assert list(inspect.signature(plan).parameters)[1:] == list(inspect.signature(wrapper).parameters), action


def test_variables_stand_for_values_of_their_kind() -> None:
    values = variables.configuration({"n": {"type": "env", "key": "N", "env_var_type": "int"}, "t": "x"}, {"N": "3"})
    hidden = variables.secrets({"target": {"token": {"type": "env", "key": "T"}}}, {"T": "s"})
    data = {"a": "${n}", "b": ["${t}${n}", "${none}"], "c": "${token}", "d": 4}
    assert variables.put_in(data, values, hidden) == {"a": 3, "b": ["x3", "${none}"], "c": "s", "d": 4}


def test_a_variable_that_the_environment_lacks_is_named() -> None:
    with pytest.raises(WrongUsage, match="the variable N of the environment"):
        variables.configuration({"n": {"type": "env", "key": "N"}}, {})
