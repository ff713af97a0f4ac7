"""Names that Kafka refuses, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LEGAL = re.compile(r"[a-zA-Z0-9._-]+\Z")
_STACK = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
MAX_TOPIC_NAME = 249
INTERNAL_TOPICS = ("__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata")


def wrong_topic(name: str) -> str | None:
    """Why Kafka refuses a topic's name; None if it accepts it."""
    if not name:
        return "is empty; allowed is a name of 1 to 249 characters"
    if name in (".", ".."):
        return f"is {name!r}, which Kafka refuses; allowed is any other name of letters, digits, '.', '_' and '-'"
    if len(name) > MAX_TOPIC_NAME:
        return f"has {len(name)} characters; allowed are {MAX_TOPIC_NAME} at most"
    if not _LEGAL.match(name):
        bad = next(c for c in name if not _LEGAL.match(c))
        return f"is {name!r}, with {bad!r}; allowed are letters, digits, '.', '_' and '-'"
    return None


def collisions(names: Iterable[str]) -> dict[str, str]:
    """Topic to an earlier one with the same name in metrics: they differ in `.` and `_` only."""
    first: dict[str, str] = {}
    found = {}
    for name in names:
        earlier = first.setdefault(name.replace(".", "_"), name)
        if earlier != name:
            found[name] = earlier
    return found


def wrong_stack(name: str) -> str | None:
    """Why a stack can't have this name: it names a directory and a context."""
    if _STACK.match(name):
        return None
    return f"is {name!r}; allowed are 1 to 63 lower-case letters, digits and '-', the first no '-'"


def wrong_user(name: str) -> str | None:
    """Why a name can't be a user's."""
    if not name or name == "*" or len(name) > 255 or not name.isprintable() or name != name.strip():
        return f"is {name!r}; allowed are 1 to 255 printable characters, without spaces around, and not '*' alone"
    return None
