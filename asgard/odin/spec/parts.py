"""The managed file of a stack: what Bifrost adds, in a separate file beside the stack file (`asgard.bifrost.yaml` of `asgard.yaml`).

It is read wherever the stack file is read, so that neither can be applied without the other. Its topics, users and ACLs
are added to those of the stack file; a problem names its file and line.
"""

from __future__ import annotations

from pathlib import Path

from asgard.core import yaml
from asgard.core.document import Document, Map, Seq, placed_in
from asgard.core.schema.stack import StackPart
from asgard.core.schema.validate import check

SECTIONS = ("topics", "users", "acls")


def part_path(stack_file: Path) -> Path:
    """Where the managed file of a stack file is, or would be."""
    return stack_file.with_name(f"{stack_file.stem}.bifrost.yaml")


def join(document: Document, stack_file: Path, text: str | None = None) -> None:
    """Add the entries of the managed file, if there is one; its problems become problems of the document.

    `text` is used in place of the file; empty: as if there were none.
    """
    path = part_path(stack_file)
    if not isinstance(document.root, Map) or text == "" or (text is None and not path.is_file()):
        return
    part = yaml.read(path) if text is None else yaml.read_text(text, str(path))
    document.problems += check(part, StackPart).problems
    if not isinstance(part.root, Map):
        return
    if part.root.get("stack") != document.root.get("stack"):
        wrong = (
            f"is {part.root.get('stack')!r}; allowed is the stack of {stack_file.name}, {document.root.get('stack')!r}"
        )
        document.problems.append(part.problem(("stack",), wrong))
    for section in SECTIONS:
        added = placed_in(part.root.get(section), str(path))
        mine = document.root.get(section)
        if not isinstance(added, Seq) or not added:
            continue
        if isinstance(mine, Seq):
            mine.extend(added)
            mine.item_at.extend(added.item_at)
        elif mine is None:
            document.root[section] = added
            document.root.key_at[section] = document.root.value_at[section] = added.at
