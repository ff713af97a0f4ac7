"""Topic configs that stay set after their command has ended, such as a retention raised until a group has read its data.

The operation in the journal holds each value that was set and the earlier one. Settling checks whether it is time;
until then the value stays. A value changed by someone else meanwhile is left alone. Odin treats the earlier value as
the topic's own: a kept value is not drift.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from asgard.core.errors import AsgardError
from asgard.kafka.model import ConfigChange

if TYPE_CHECKING:
    from asgard.journal.operations import Operation
    from asgard.journal.store.database import Database
    from asgard.kafka.ports import ControlPlane

RETENTION = "asgard.kept-retention/v1"
Configs = Mapping[str, str]


@dataclass(frozen=True)
class Kept:
    """What is kept of a topic. `before` has None if the topic itself set nothing; `values` are all that were set, the last one now.

    `was_ms` is the earlier effective retention. `groups` are waited for until `until` (seconds since 1970); `run` is
    the recipe's run that did it last.
    """

    topic: str
    was_ms: int
    before: Mapping[str, str | None]
    values: tuple[Configs, ...]
    groups: tuple[str, ...]
    until: float
    run: str

    def undo(self, cluster_id: str) -> dict[str, Any]:
        """For the journal."""
        return {
            "cluster_id": cluster_id, "topic": self.topic, "was_ms": self.was_ms, "before": dict(self.before),
            "values": [dict(v) for v in self.values], "groups": list(self.groups), "until": self.until, "run": self.run,
        }  # fmt: skip

    def again(self, values: Configs, group: str, run: str) -> Kept:
        """The same, with other values for a further group."""
        groups = tuple(dict.fromkeys((*self.groups, group)))
        return replace(self, values=(*self.values, values), groups=groups, run=run)


def parse(undo: Mapping[str, Any]) -> Kept:
    """From the journal."""
    values, groups = tuple(undo["values"]), tuple(undo["groups"])
    return Kept(undo["topic"], undo["was_ms"], undo["before"], values, groups, undo["until"], undo["run"])


def found(journal: Database, cluster_id: str) -> dict[str, tuple[Operation, Kept]]:
    """What is kept in a cluster, by topic."""
    from asgard.journal import operations

    under = f"cluster/{cluster_id}/"
    kept = [u.operation for u in operations.unfinished(journal, under=under) if u.operation.kind == RETENTION]
    return {one.topic: (o, one) for o in kept for one in (parse(o.undo),)}


def own(configs: Configs, kept: Kept) -> dict[str, str]:
    """The topic's configs without what is kept."""
    shown = dict(configs)
    for key, before in kept.before.items():
        if configs.get(key) in [v.get(key) for v in kept.values]:
            shown.pop(key, None)
            if before is not None:
                shown[key] = before
    return shown


def change(control: ControlPlane, topic: str, values: Mapping[str, str | None]) -> None:
    """Set a topic's configs; None unsets. Raises what Kafka answers."""
    given = {key: value for key, value in values.items() if value is not None}
    unset = tuple(key for key, value in values.items() if value is None)
    answer: AsgardError | None
    for answer in control.alter_configs([ConfigChange("topic", topic, given, unset)]).values():
        if answer is not None:
            raise answer


def put_back(control: ControlPlane, kept: Kept) -> str:
    """Put back the topic's earlier values; safe to repeat. What was done."""
    now = control.topic_configs([kept.topic]).get(kept.topic)
    if now is None:
        return f"topic {kept.topic} is gone"
    wanted = {key: value for key, value in kept.before.items() if own(now, kept).get(key) != now.get(key)}
    if not wanted:
        return f"{kept.topic} has its retention of before, or one that was set meanwhile"
    change(control, kept.topic, wanted)
    told = ", ".join(f"{key}={'default' if value is None else value}" for key, value in wanted.items())
    return f"{kept.topic} has its retention of before ({told})"
