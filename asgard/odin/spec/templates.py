"""The stack files that ship with Asgard, for `asgard odin init`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from asgard.core.errors import WrongUsage
from asgard.core.shipped import shipped

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


def templates() -> dict[str, Template]:
    """All templates by name."""
    found = {}
    for path in sorted(shipped("templates").glob("*.yaml")):
        content = path.read_text(encoding="utf-8")
        found[path.stem] = Template(path.stem, content.partition("\n")[0].lstrip("# "), content)
    return found


def template(name: str = DEFAULT) -> Template:
    """One template. Raises WrongUsage for an unknown name."""
    known = templates()
    if name not in known:
        raise WrongUsage(f"there is no template {name!r}", f"Templates: {', '.join(known)}.")
    return known[name]
