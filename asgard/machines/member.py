"""A common form for everything that can be taken away: a broker process, an EC2 instance, one of an Auto Scaling group,
a container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["broker", "ec2", "asg", "volume", "ecs", "container"]
KINDS: tuple[Kind, ...] = ("broker", "ec2", "asg", "volume", "ecs", "container")


@dataclass(frozen=True)
class Member:
    """Something that can be taken away. `id` is its source's own: a node id, an instance id, a container's long id.

    `group` is what it belongs to: the Auto Scaling group; empty for the others. `labels` are tags, labels, or for a
    broker its node id, rack and stack. `state` is its source's word; `healthy` whether it serves as it should.
    """

    id: str
    kind: Kind
    group: str
    labels: Mapping[str, str]
    state: str
    healthy: bool
    name: str = ""

    def __str__(self) -> str:
        lead = _LEADS[self.kind]
        short = self.id[:12] if self.kind == "container" else self.id.rpartition("/")[2]
        named = f" ({self.name})" if self.name else ""
        return f"{lead} {short}{named}" + (f" of {self.group}" if self.group else "")


_LEADS: Mapping[Kind, str] = {
    "broker": "broker", "ec2": "instance", "asg": "instance", "volume": "volume", "ecs": "task", "container": "container",
}  # fmt: skip


@dataclass(frozen=True)
class Population:
    """The members found, and how many there should be by `Member.group`, if their source says so."""

    members: tuple[Member, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)


def opted_in(labels: Mapping[str, str], wanted: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether all the wanted labels exist, each with one of its values, exactly. Without wanted labels: no."""
    return bool(wanted) and all(labels.get(name) in values for name, values in wanted.items())
