"""`--set PATH=VALUE`: sets a value of a document from the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy
from typing import Any

from asgard.core.document import Document, Loc, dotted, scalar, shown
from asgard.core.errors import WrongUsage
from asgard.core.yaml import read_text


def assign(document: Document, assignment: str, *, free_keys: Sequence[str] = ("config",)) -> None:
    """Apply `--set PATH=VALUE`: keys and list indexes separated by dots (or `[0]`); everything after a free key is one key, dots included.

    Raises WrongUsage if it is not an assignment, or leads into a scalar or past the end of a list.
    """
    path, equals, text = assignment.partition("=")
    path = re.sub(r"\[(\d+)\]", r".\1", path.strip())  # as errors name them: topics[0].partitions
    if not equals or not path or "" in path.split("."):
        raise WrongUsage(
            f"--set {assignment}: is not an assignment", "Write it as --set KEY=VALUE, as in --set kafka.brokers=3."
        )
    value = _given(text, path)
    loc = _loc(path, free_keys)
    # Containers on the way are copied: one that an alias shares with other places must not change there.
    node = document.root = copy(document.root)
    for i, part in enumerate(loc):
        where = f"--set {path}: {dotted(loc[:i]) or 'the file'}"
        if isinstance(node, list):
            _check_index(node, part, where)
        elif not isinstance(node, dict):
            raise WrongUsage(f"{where} is {shown(node)}; there is nothing inside it to set")
        else:
            part = str(part)
            node.setdefault(part, None)
        if i == len(loc) - 1:
            node[part] = value
        else:
            node[part] = {} if node[part] is None else copy(node[part])
            node = node[part]
    document.overrides[loc] = path


def _given(text: str, path: str) -> Any:
    if text[:1] not in ("[", "{"):
        return scalar(text)
    return read_text(text, f"--set {path}").root


def _loc(path: str, free_keys: Sequence[str]) -> Loc:
    loc: list[str | int] = []
    parts = path.split(".")
    for i, part in enumerate(parts):
        if loc and loc[-1] in free_keys:
            return (*loc, ".".join(parts[i:]))
        loc.append(int(part) if part.isdecimal() else part)
    return tuple(loc)


def _check_index(node: list[Any], part: str | int, where: str) -> None:
    if not isinstance(part, int) or part >= len(node):
        allowed = f"an index from 0 to {len(node) - 1}" if node else "nothing, the list is empty"
        raise WrongUsage(f"{where} is a list and has no {part}; allowed is {allowed}")
