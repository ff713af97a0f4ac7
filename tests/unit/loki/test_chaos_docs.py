"""docs/loki-chaos.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from chaoslib.experiment import ensure_experiment_is_valid

from asgard.core.shipped import EXPERIMENTS
from asgard.loki.chaos import read

PAGE = (Path(__file__).parents[3] / "docs" / "loki-chaos.md").read_text(encoding="utf-8")


def test_the_experiment_of_the_page_is_one_here_and_there(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "ledger.yaml").write_text(example)
    found = read.read(tmp_path / "ledger.yaml")
    assert (found.name, found.method[0].after, found.aborts[0].for_s) == ("ledger", 60, 20.0)
    ensure_experiment_is_valid(yaml.safe_load(example))


def test_every_shipped_experiment_is_named() -> None:
    (table,) = re.findall(r"\| experiment \|.*?\n\n", PAGE, re.DOTALL)
    assert set(
        re.findall(r"`([a-z-]+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:] if line))
    ) == set(EXPERIMENTS.files())


def test_every_limit_is_an_option_of_the_command() -> None:
    text = (Path(__file__).parents[3] / "asgard" / "cli" / "loki" / "chaos_options.py").read_text()
    options = set(re.findall(r'"(--(?:max|min|allow)-[a-z-]+)"', text)) - {"--allow-provider"}
    (table,) = re.findall(r"\| option \| default \|.*?\n\n", PAGE, re.DOTALL)
    assert options == set(re.findall(r"`(--[a-z-]+)", table))
