"""The example in the docs is a valid stack file."""

from __future__ import annotations

import re
from pathlib import Path

from asgard.odin.spec.check_access import ADMIN_USERS
from asgard.odin.spec.read import load

DOC = Path(__file__).parents[3] / "docs" / "stack-file.md"


def test_the_example_in_the_docs_loads(tmp_path: Path) -> None:
    text = DOC.read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "asgard.yaml").write_text(example)
    spec = load(tmp_path / "asgard.yaml")
    assert spec.name == "orders"
    assert all(f"`{user}`" in text for user in ADMIN_USERS)
