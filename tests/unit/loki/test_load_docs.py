"""docs/loki-load.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from asgard.core.schema.load import LoadSlo
from asgard.loki.load.read import read_file

PAGE = (Path(__file__).parents[3] / "docs" / "loki-load.md").read_text(encoding="utf-8")


def test_the_scenario_of_the_page_is_one(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "peak.yaml").write_text(example)
    load = read_file(tmp_path / "peak.yaml")
    assert (load.name, load.users, load.duration_s) == ("evening-peak", 7, 60)


def test_every_goal_is_explained() -> None:
    (table,) = re.findall(r"\| goal \|.*?\n\n", PAGE, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.strip().splitlines()[2:]))) == set(
        LoadSlo.model_fields
    )
