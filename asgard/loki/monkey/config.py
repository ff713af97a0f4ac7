"""What a monkey may do, read from its file. Times are seconds, shares parts of 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from asgard.core.errors import InvalidFile
from asgard.machines.member import Kind

Action = Literal["kill", "stop", "terminate", "reboot", "detach"]
_ACTIONS: dict[Kind, Action] = {
    "broker": "kill", "ec2": "stop", "asg": "terminate", "volume": "detach", "ecs": "stop", "container": "kill",
}  # fmt: skip


@dataclass(frozen=True)
class Group:
    """See docs/loki-monkey.md. One of `probability` and `mean_s` is given. `min_healthy`: a number, or a share as text (`60%`)."""

    name: str
    kind: Kind
    opt_in: Mapping[str, tuple[str, ...]]
    min_healthy: int | str
    action: Action
    probability: float | None = None
    mean_s: float | None = None
    size: int | None = None
    at_most: int = 1
    region: str | None = None
    socket: str | None = None
    cluster: str | None = None

    def least(self, size: int) -> int:
        """How many of so many members must stay healthy; a share is rounded up."""
        if isinstance(self.min_healthy, int):
            return self.min_healthy
        # 60 % of 5 is 3, whatever binary fractions say
        return math.ceil(round(float(self.min_healthy.rstrip("%")) * size / 100, 9))


@dataclass(frozen=True)
class Monkey:
    """See docs/loki-monkey.md. `hours` are windows as limits have them, on the clocks of `timezone`; `days_off` first and last days."""

    name: str
    groups: tuple[Group, ...]
    timezone: str = "UTC"
    hours: tuple[str, ...] = ("mon-fri 09:00-17:00",)
    days_off: tuple[tuple[date, date], ...] = ()
    at_most: int = 1
    exclude_topics: tuple[str, ...] = ()


def read(path: Path | str) -> Monkey:
    """The monkey of a file. Raises InvalidFile, and WrongUsage if it can't be read."""
    from asgard.core import yaml
    from asgard.core.schema.monkey import MonkeyFile
    from asgard.core.schema.validate import check

    document = yaml.read(path)
    checked = check(document, MonkeyFile)
    file, problems = checked.value, list(checked.problems)
    if file is not None:
        names = [group.name for group in file.groups]
        twice = [i for i, name in enumerate(names) if name in names[:i]]
        problems += [document.problem(("groups", i, "name"), "is given twice; allowed is once") for i in twice]
    if problems or file is None:
        raise InvalidFile(problems)
    groups = tuple(
        Group(
            g.name,
            g.kind,
            g.opt_in,
            g.min_healthy,
            g.action or _ACTIONS[g.kind],
            g.probability,
            g.mean_time_between_kills,
            g.size,
            g.at_most,
            g.region,
            g.socket,
            g.cluster,
        )
        for g in file.groups
    )
    return Monkey(
        file.name or Path(path).stem,
        groups,
        file.timezone,
        tuple(file.hours),
        tuple(file.days_off),
        file.at_most,
        tuple(file.exclude_topics),
    )


def json_schema() -> dict[str, object]:
    """The JSON Schema of a monkey's file, for editors."""
    from asgard.core.schema.monkey import MonkeyFile

    schema = MonkeyFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Asgard monkey"}
