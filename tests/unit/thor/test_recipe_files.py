"""Recipe files: those that ship, parameters, every mistake with its place; crontab lines; who may run programs."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from asgard.cli.main import main
from asgard.core import program
from asgard.core.condition import BROKER_FACTS, CLUSTER_FACTS, FINDINGS
from asgard.core.errors import InvalidFile, Refused, WrongUsage
from asgard.core.schema import recipe as schema
from asgard.core.shipped import RECIPES
from asgard.thor.recipes import crontab, read
from asgard.thor.recipes.model import Recipe

SHIPPED = RECIPES.files()
DOC = Path(__file__).parents[3] / "docs" / "recipes.md"


def written(folder: Path, text: str, name: str = "mine") -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(text)
    return file


def recipe(folder: Path, text: str, *settings: str, examples: bool = False) -> Recipe:
    return read.read(written(folder, f"recipe: mine\nabout: a test\n{text}"), settings, examples=examples)


def problems(folder: Path, text: str, *settings: str) -> list[str]:
    with pytest.raises(InvalidFile) as caught:
        recipe(folder, text, *settings, examples=not settings)
    return [re.sub(r"^.*?mine\.yaml:", "", str(p)) for p in caught.value.problems]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_recipe_that_ships_is_valid_and_runs_no_program(name: str) -> None:
    found = read.read(SHIPPED[name], examples=True)
    assert (found.name, found.programs) == (name, [])
    assert found.steps[-1].action in ("verify", "notify"), "a recipe says at its end whether it helped"


def test_the_shipped_recipes_are_those_that_the_docs_tell_of() -> None:
    assert set(SHIPPED) == {
        "archive-nightly", "broker-failure", "decommission", "disk-nearly-full", "leader-imbalance", "new-brokers", "raise-retention",
        "replay-window", "restore-topic", "rolling-restart", "stuck-group",
    }  # fmt: skip


def test_a_step_is_written_long_short_or_as_a_word(tmp_path: Path) -> None:
    found = recipe(
        tmp_path,
        """
steps:
  - balance
  - balance: {throttle: 50MB/s, name: even out}
  - drain: 3
  - drain: [3, 4]
  - drain: {brokers: "4, 3", retries: 2, retry_after: 1m, timeout: 2h}
  - fill: empty
  - set-rf: orders=3, rides=2
  - set-rf: {topics: {orders: 3}}
  - rolling-restart
  - wait-until: {condition: [under_replicated == 0, offline_partitions == 0], timeout: 1h}
  - verify: under_replicated == 0
  - run: [/bin/true, 5, x]
""",
    )
    given = [step.given for step in found.steps]
    assert [step.action for step in found.steps][:3] == ["balance", "balance", "drain"]
    assert found.steps[1].name == "even out" and found.steps[0].name == "balance"
    assert given[1] == schema.Moving(name="even out", throttle="50MB/s")  # type: ignore[arg-type]
    assert [g.brokers for g in given[2:6]] == [[3], [3, 4], [3, 4], "empty"]  # type: ignore[attr-defined]
    assert (given[4].retries, given[4].retry_after, given[4].timeout) == (2, 60, 7200)
    assert [g.topics for g in given[6:8]] == [{"orders": 3, "rides": 2}, {"orders": 3}]  # type: ignore[attr-defined]
    assert given[8].brokers == "all"  # type: ignore[attr-defined]
    assert [c.text for c in given[9].condition] == ["under_replicated == 0", "offline_partitions == 0"]  # type: ignore[attr-defined]
    assert given[11].command == ["/bin/true", "5", "x"]  # type: ignore[attr-defined]


PARAMETERS = """
parameters:
  brokers: {about: which, example: 3}
  limit: {about: how full, default: 80%}
when: any broker.disk > $limit
steps:
  - drain: $brokers
  - verify: broker[$brokers].replicas == 0
  - notify: "$brokers for $$5, over $limit"
"""


def test_parameters_come_from_set_or_their_default(tmp_path: Path) -> None:
    found = recipe(tmp_path, PARAMETERS, "brokers=[3, 4]", "limit=70%")
    assert found.steps[0].given.brokers == [3, 4]  # type: ignore[attr-defined]
    assert found.steps[1].given.that[0].text == "broker[3, 4].replicas == 0"  # type: ignore[attr-defined]
    assert found.steps[2].given.text == "3, 4 for $5, over 70%"  # type: ignore[attr-defined]
    assert found.when[0].any_of[0].value == 0.7
    assert found.values == {"brokers": [3, 4], "limit": "70%"}
    assert recipe(tmp_path, PARAMETERS, "brokers=3").when[0].any_of[0].value == 0.8
    assert found.digest != recipe(tmp_path, PARAMETERS, "brokers=3").digest


def test_a_value_that_was_given_wrongly_is_named_as_what_was_given(tmp_path: Path) -> None:
    assert problems(tmp_path, PARAMETERS, "brokers=three")[:1] == [
        "--set brokers: steps[0].drain: is 'three'; allowed are broker ids, as in 3 or [3, 4]"
    ]
    with pytest.raises(WrongUsage, match=r"requires brokers: which\nAdd --set brokers=3"):
        recipe(tmp_path, PARAMETERS)
    with pytest.raises(WrongUsage, match=r"has no parameter 'broker'; did you mean brokers\?"):
        recipe(tmp_path, PARAMETERS, "broker=3")
    with pytest.raises(WrongUsage, match="is not an assignment"):
        recipe(tmp_path, PARAMETERS, "brokers")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps: []\n", ["3:8: steps: is a list; allowed is too short"]),
        ("stps: [balance]\n", ["1:1: steps: is missing; it is required", "3:1: stps: is not a known key; did you mean steps?"]),
        ("steps:\n  - balance\n  - dance\n", ["5:5: steps[1]: is not an action: dance; did you mean balance?"]),
        ("steps:\n  - drain: {broker: 3}\n", ["4:12: steps[0].drain.brokers: is missing", "4:13: steps[0].drain.broker: is not a known key; did you mean brokers?"]),
        ("steps:\n  - drain: 3\n    verify: x\n", ["4:5: steps[0]: is a mapping of 2 keys (drain, verify); allowed is one action"]),
        ("steps:\n  - balance: 3\n", ["4:14: steps[0].balance: is 3; balance takes a mapping, or nothing"]),
        ("steps:\n  - verify: under == 0\n", ["4:13: steps[0].verify: names 'under'; allowed are under_replicated"]),
        ("steps:\n  - verify: [brokers_up > 0, x]\n", ["4:30: steps[0].verify[1]: is 'x'; allowed is a comparison"]),
        ("steps:\n  - wait-until: {condition: brokers_up > 0, timeout: 5}\n", ["4:54: steps[0].wait-until.timeout: is 5, without a unit"]),
        ("steps: [balance]\nwhen: [brokers_up]\n", ["4:8: when[0]: is 'brokers_up'"]),
        ("trigger: {schedule: hourly}\nsteps: [balance]\n", ["3:21: trigger.schedule: has 1 fields; allowed are five"]),
        ("trigger: {event: fire}\nsteps: [balance]\n", ["3:18: trigger.event: is 'fire'; allowed is a kind of event"]),
        ("parameters: {a: {about: x, default: 1}}\nsteps: [balance]\n", ["3:14: parameters.a: is not used"]),
        ("parameters: {a: {about: x}}\nsteps: [{drain: $a}]\n", ["3:14: parameters.a: has neither a default nor an example"]),
        ("steps: [{notify: to $whom}]\n", ["3:18: steps[0].notify: names $whom; parameters are none, and $$ is a plain $"]),
        ("steps: [{run: {command: [/bin/true], environment: {a-b: 1}}}]\n", ["3:51: steps[0].run.environment: has the variable 'a-b'"]),
        ("steps: [{run: rm -rf /}]\n", ["3:15: steps[0].run: is 'rm -rf /'; allowed is a list: the program and its arguments"]),
        ("steps: [{notify: {text: x, webhook: ftp://x}}]\n", ["3:37: steps[0].notify.webhook: is not the address of a web hook"]),
        ("on_failure: [dance]\nsteps: [balance]\n", ["3:14: on_failure[0]: is not an action: dance"]),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, said: list[str]) -> None:
    found = problems(tmp_path, text)
    assert [got.startswith(wanted) for got, wanted in zip(sorted(found), sorted(said), strict=False)] == [True] * len(said), found  # fmt: skip


def test_a_recipe_is_called_what_its_file_is_called(tmp_path: Path) -> None:
    file = written(tmp_path, "recipe: other\nabout: x\nsteps: [balance]\n")
    with pytest.raises(InvalidFile, match="is 'other'; allowed is the name of the file, mine"):
        read.read(file)
    written(tmp_path, "recipe: broker-failure\nabout: ours\nsteps: [balance]\n", "broker-failure")
    assert RECIPES.find("broker-failure", [tmp_path]).parent == tmp_path, "a folder that is named wins"
    assert RECIPES.find(str(file)) == file
    with pytest.raises(WrongUsage, match=r"there is no recipe 'broker-failur'; did you mean broker-failure\?"):
        RECIPES.find("broker-failur")
    with pytest.raises(WrongUsage, match="is not a folder"):
        RECIPES.files([tmp_path / "none"])


def test_crontab_lines_carry_all_that_cron_does_not(tmp_path: Path) -> None:
    found = recipe(tmp_path, "trigger: {schedule: '*/5 * * * *', event: heimdall.alert.*}\nsteps: [balance]\n")
    here = crontab.Installation(
        Path("/opt/as gard/bin/asgard"), {"ASGARD_HOME": "/var/lib/as gard"}, logs=Path("/var/log")
    )
    made = crontab.lines(
        found,
        here,
        cluster=["--context", "prod", "--confirm", "prod"],
        options=["--set", "limit=80%"],
        shipped=False,
    )
    run = (
        f"ASGARD_HOME='/var/lib/as gard' '/opt/as gard/bin/asgard' thor recipe run {tmp_path}/mine.yaml "
        r"--context prod --confirm prod --yes --set limit=80\%"
    )
    assert [str(line) for line in made] == [
        f"*/5 * * * * {run} >> /var/log/mine.log 2>&1",
        f"* * * * * {run} --on-event >> /var/log/mine.log 2>&1",
    ]
    there = crontab.Installation(Path("/a"), {}, Path("/l"))
    (by_hand,) = crontab.lines(found, there, cluster=[], options=[], shipped=True, schedule="@daily")
    assert str(by_hand) == "@daily /a thor recipe run mine --yes >> /l/mine.log 2>&1"


def test_the_command_of_a_crontab_line_runs_as_cron_runs_it(tmp_path: Path) -> None:
    """sh, an environment of nearly nothing, no terminal; cron itself turns \\% into %."""
    home = tmp_path / "my home"
    environment = {"PATH": "/usr/bin:/bin", "ASGARD_HOME": str(home)}
    asgard = Path(sys.executable).with_name("asgard")
    limits = tmp_path / "thor.yaml"
    limits.write_text("limits: {disk: 70%}\n")
    options = ["--bootstrap-server", "127.0.0.1:1", "--set", "limit=80%"]
    told = subprocess.run(
        [asgard, "thor", "recipe", "crontab", "disk-nearly-full", *options, "--json"],
        capture_output=True, text=True, check=True, env=environment, cwd=tmp_path,
    )  # fmt: skip
    (line,) = json.loads(told.stdout)
    assert line["schedule"] == "*/15 * * * *" and f"--limits {limits}" in line["command"]
    limits.unlink()
    done = subprocess.run(
        ["/bin/sh", "-c", f"{line['command']} >> {shlex.quote(line['log'])} 2>&1"],
        env={"PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}, stdin=subprocess.DEVNULL, cwd="/", check=False,
    )  # fmt: skip
    log = Path(line["log"]).read_text()
    assert done.returncode == 2, log
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ error: .*thor.yaml: can't be read", log), log
    assert "Traceback" not in log
    assert Path(line["log"]).parent.stat().st_mode & 0o777 == 0o700


RUNS = "steps:\n  - run: [/bin/sh, -c, 'echo $ASGARD_RECIPE']\n"


def test_a_recipe_runs_programs_only_where_that_was_said_and_nobody_else_may_write_it(tmp_path: Path) -> None:
    from asgard.compose import recipes

    plain = recipe(tmp_path, "steps: [balance]\n")
    recipes.allow(plain, False)
    running = recipe(tmp_path, RUNS.replace("$", "$$"))
    with pytest.raises(
        Refused, match=r"runs programs on this machine: /bin/sh\nLook at them with .*, then add --allow-run"
    ):
        recipes.allow(running, False)
    recipes.allow(running, True)
    running.file.chmod(0o666)
    with pytest.raises(Refused, match="others may write it\nRemove that permission: chmod go-w"):
        recipes.allow(running, True)
    running.file.chmod(0o600)
    tmp_path.chmod(0o777)
    with pytest.raises(Refused, match="others may write its folder"):
        recipes.allow(running, True)
    told = recipe(tmp_path, "steps: [balance]\non_failure: [{notify: {text: x, command: [/bin/page]}}]\n")
    assert told.programs == [["/bin/page"]], "whoever is told by a program counts too"


def test_a_program_has_an_environment_of_its_own_and_a_time_to_be_done_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    monkeypatch.setenv("SECRET", "x")
    seen = program.environment({"ASGARD_RECIPE": "mine", "LEVEL": "5"})
    out = program.run(["/bin/sh", "-c", "env | sort | tr '\\n' ' '; cat"], seen, 10)
    assert "SECRET" not in out and "HOME=/" not in out.replace("ASGARD_HOME", "")
    for pair in ("ASGARD_RECIPE=mine", "LEVEL=5", f"ASGARD_HOME={tmp_path}"):
        assert pair in out
    with pytest.raises(Exception, match="/bin/sh ended with 3: no"):
        program.run(["/bin/sh", "-c", "echo yes; echo no >&2; exit 3"], seen, 10)
    with pytest.raises(Exception, match=r"timed out after 0\.5 s and was killed"):
        program.run(["/bin/sh", "-c", "yes"], seen, 0.5)
    with pytest.raises(Exception, match="/no/such can't be run: No such file"):
        program.run(["/no/such"], seen, 10)


def test_list_show_and_validate_need_no_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, "recipe: mine\nabout: ours\nsteps: [balance]\n")
    written(tmp_path, "recipe: broken\nabout: ours\nsteps: [dance]\n", "broken")
    assert main(["thor", "recipe", "list", "--recipes", str(tmp_path), "--json"]) == 0
    told = capsys.readouterr()
    assert {"mine", "rolling-restart"} <= {r["recipe"] for r in json.loads(told.out)}
    assert "broken.yaml is left out" in told.err
    assert main(["thor", "recipe", "validate", "--recipes", str(tmp_path)]) == 2
    assert "broken.yaml:3:9: steps[0]: is not an action: dance" in capsys.readouterr().err
    assert main(["thor", "recipe", "validate"]) == 0
    capsys.readouterr()
    assert main(["thor", "recipe", "show", "mine", "--recipes", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("recipe: mine\nabout: ours\n")


def test_the_docs_name_every_action_fact_finding_and_recipe() -> None:
    text = DOC.read_text(encoding="utf-8")
    rows = [f"| `{name}` |" for name in (*CLUSTER_FACTS, *FINDINGS, *SHIPPED)]
    rows += [f"| `broker.{name}` |" for name in BROKER_FACTS]
    assert [row for row in rows if row not in text] == []
    assert [action for action in schema.ACTIONS if f"`{action}`" not in text] == []


def test_the_recipes_in_the_docs_are_valid(tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    assert examples
    for example in examples:
        name = re.search(r"(?m)^recipe: (\S+)", example)
        assert name, example
        read.read(written(tmp_path, example, name[1]), examples=True)


def test_the_page_lists_the_recipes_as_the_command_does() -> None:
    page = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text()
    for name, path in SHIPPED.items():
        found = read.read(path, examples=True)
        (row,) = [line for line in page.splitlines() if line.startswith(f"{name} ")]
        assert row.endswith(f"  {found.about}") and found.trigger in row
