"""Dependencies among the resources of a state; pure.

A record is a resource as the state's JSON holds it. It depends on its parent, its provider, the resources that its
options and properties name, and the one it is deleted with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Record = dict[str, Any]


def provider_urn(record: Record) -> str:
    """The URN in a provider reference (`urn::id`), or an empty text."""
    reference: str = record.get("provider", "")
    return reference.rpartition("::")[0]


def dependencies(record: Record) -> set[str]:
    """The URNs that a record needs."""
    found = set(record.get("dependencies", ()))
    for urns in record.get("propertyDependencies", {}).values():
        found.update(urns)
    for urn in (record.get("parent"), provider_urn(record), record.get("deletedWith")):
        if urn:
            found.add(urn)
    found.discard(record["urn"])
    return found


def in_order(records: Sequence[Record]) -> list[Record]:
    """Every record after those it depends on; otherwise in the order given. A cycle (which no engine writes) is left in place."""
    by_urn: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        by_urn.setdefault(record["urn"], []).append(index)
    placed: set[int] = set()
    result: list[Record] = []
    for start in range(len(records)):
        stack = [(start, False)]
        while stack:
            index, ready = stack.pop()
            if ready:
                result.append(records[index])
                continue
            if index in placed:
                continue
            placed.add(index)
            stack.append((index, True))
            for urn in sorted(dependencies(records[index]), reverse=True):
                stack.extend((other, False) for other in by_urn.get(urn, ()) if other not in placed)
    return result


def waits(doomed: Sequence[Record]) -> list[list[int]]:
    """For each record to be deleted, the positions of the records that must be deleted first: those that depend on
    it."""
    by_urn: dict[str, list[int]] = {}
    for index, record in enumerate(doomed):
        by_urn.setdefault(record["urn"], []).append(index)
    result: list[list[int]] = [[] for _ in doomed]
    for index, record in enumerate(doomed):
        for urn in dependencies(record):
            for needed in by_urn.get(urn, ()):
                result[needed].append(index)
    return result


def pruned(record: Record, present: Mapping[str, Any] | set[str]) -> Record:
    """The record without references to resources that are gone; the same object if all exist."""
    if all(urn in present for urn in dependencies(record)):
        return record
    kept = dict(record)
    if "dependencies" in kept:
        kept["dependencies"] = [urn for urn in kept["dependencies"] if urn in present]
    if "propertyDependencies" in kept:
        kept["propertyDependencies"] = {
            key: [urn for urn in urns if urn in present] for key, urns in kept["propertyDependencies"].items()
        }
    for key in ("parent", "deletedWith"):
        if kept.get(key) and kept[key] not in present:
            del kept[key]
    return kept
