"""A stack file with the managed file beside it, read from disk, checked as a whole and resolved. Nothing here talks to a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from asgard.core import yaml
from asgard.core.assign import assign
from asgard.core.errors import InvalidFile
from asgard.core.schema.stack import StackFile
from asgard.core.schema.validate import check
from asgard.odin.spec import parts, targets
from asgard.odin.spec.check import review
from asgard.odin.spec.model import StackSpec
from asgard.odin.spec.resolve import resolve


def load(path: Path | str, sets: Iterable[str] = (), *, part: str | None = None) -> StackSpec:
    """Read, check and resolve a stack file; `sets` are `--set` assignments. `part` is a text in place of the managed file.

    Raises InvalidFile with every problem at once, and WrongUsage if the file can't be read or a `--set` has no target.
    """
    document = yaml.read(path)
    parts.join(document, Path(path), part)
    for assignment in sets:
        assign(document, assignment)
    checked = check(document, StackFile, _stand_ins(document.root))
    if checked.value is None:
        raise InvalidFile(checked.problems)
    problems, warnings = review(document, checked)
    if problems:
        raise InvalidFile(problems)
    return resolve(checked.value, Path(path).absolute().parent, tuple(warnings))


def _stand_ins(root: Any) -> dict[str, Any]:
    """Valid values for keys that many other checks depend on."""
    sections = targets.SECTIONS.items() if isinstance(root, dict) else ()
    target = next((owner for section, owner in sections if section in root), "local")
    return {"stack": "stack", "target": target, "brokers": 64, "partitions": 1}


def json_schema() -> dict[str, object]:
    """The JSON Schema of stack files, for editors."""
    schema = StackFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Asgard stack file"}
