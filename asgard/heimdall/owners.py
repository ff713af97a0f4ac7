"""Whose topic or group is it? Pure: patterns of names to owners, the first that matches counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

NOBODY = "unassigned"


@dataclass(frozen=True)
class Ownership:
    """Topics and groups whose names match belong to `owner`."""

    owner: str
    topics: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Owners:
    """Owners by name. `topic_owner`, such as a catalogue, is asked for topics that no pattern matches."""

    rules: Sequence[Ownership] = ()
    topic_owner: Callable[[str], str | None] = lambda topic: None

    def of_topic(self, topic: str) -> str:
        """The topic's owner, or `unassigned`."""
        found = next((r.owner for r in self.rules if any(fnmatchcase(topic, p) for p in r.topics)), None)
        return found or self.topic_owner(topic) or NOBODY

    def of_group(self, group: str) -> str:
        """The group's owner, or `unassigned`."""
        return next((r.owner for r in self.rules if any(fnmatchcase(group, p) for p in r.groups)), NOBODY)
