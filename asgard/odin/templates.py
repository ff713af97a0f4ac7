"""The stack files that ship with Asgard, for `asgard odin init`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from asgard.core.errors import WrongUsage

DEFAULT = "local-dev"


@dataclass(frozen=True)
class Template:
    """A stack file to start from; `about` is its first comment."""

    name: str
    about: str
    text: str

    def render(self, stack: str | None = None) -> str:
        """The text of the stack file, for a stack of that name."""
        return self.text if stack is None else re.sub(r"(?m)^stack: \S+", f"stack: {stack}", self.text, count=1)


def shipped(kind: str) -> Path:
    """The folder of shipped YAML files of a kind (`templates`): in a wheel inside the package, in a checkout beside it."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_shipped" / kind, package.parent / kind):
        if folder.is_dir():
            return folder
    raise WrongUsage(f"this installation of Asgard has no {kind}", "Install it again: the wheel contains them.")


def templates() -> dict[str, Template]:
    """All templates by name."""
    found = {}
    for path in sorted(shipped("templates").glob("*.yaml")):
        content = path.read_text(encoding="utf-8")
        found[path.stem] = Template(path.stem, content.partition("\n")[0].lstrip("# "), content)
    return found


def template(name: str = DEFAULT) -> Template:
    """One template. Raises WrongUsage where there is none of that name."""
    known = templates()
    if name not in known:
        raise WrongUsage(f"there is no template {name!r}", f"Templates: {', '.join(known)}.")
    return known[name]
