"""Whether a plan still fits the cluster. Pure: its changes and the current partitions in, what is left to do out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from asgard.cluster.plan import Change
from asgard.kafka.model import Topic


@dataclass(frozen=True)
class Fit:
    """The changes of a plan by the state of their partitions.

    `todo`: as the plan found them. `done`: as the plan wants them. `gone`: deleted. `changed`: neither, with the
    replicas now.
    """

    todo: tuple[Change, ...] = ()
    done: tuple[Change, ...] = ()
    gone: tuple[Change, ...] = ()
    changed: tuple[tuple[Change, tuple[int, ...]], ...] = ()

    @property
    def stale(self) -> str:
        """What no longer fits, in words; empty if everything does."""
        if not self.changed:
            return ""
        change, now = self.changed[0]
        more = f", and {len(self.changed) - 1} more partitions" if len(self.changed) > 1 else ""
        return f"{change.name} has the replicas {list(now)} now, but the plan found {list(change.before)}{more}"


def compare(changes: Iterable[Change], topics: Mapping[str, Topic]) -> Fit:
    """Sort the changes. A moving partition counts as being at its target."""
    now = {(p.topic, p.partition): p.target_replicas for t in topics.values() for p in t.partitions}
    todo, done, gone, changed = [], [], [], []
    for change in changes:
        there = now.get((change.topic, change.partition))
        if there is None:
            gone.append(change)
        elif there == change.after:
            done.append(change)
        elif there == change.before:
            todo.append(change)
        else:
            changed.append((change, there))
    return Fit(tuple(todo), tuple(done), tuple(gone), tuple(changed))


def onto(changes: Iterable[Change], brokers: Collection[int]) -> list[Change]:
    """Those that add a replica on one of these brokers."""
    return [c for c in changes if any(r in brokers and r not in c.before for r in c.after)]
