"""The subset of JSONPath that tolerances need: `$.brokers[0].state`, `$..leader`, `$.topics[*]['name','lag']`, `$.list[1:3]`.

Names, indexes (from the end if negative), slices, several of these separated by commas, `*`, and `..` for any depth
(higher matches come first). Filters and functions are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_INDEX = re.compile(r"(-?[0-9]+)(?![0-9]*\s*:)")
_SLICE = re.compile(r"(-?[0-9]+)?:(-?[0-9]+)?(?::([1-9][0-9]*))?")


@dataclass(frozen=True)
class Segment:
    """One segment of a path (RFC 9535): what it selects (a name, an index, a slice, None: all); `deep`: at any
    depth."""

    takes: tuple[str | int | slice | None, ...]
    deep: bool = False


def parse(path: str) -> tuple[Segment, ...]:
    """Read a path. Raises ValueError with what is wrong and what is allowed."""
    if not path.startswith("$"):
        raise ValueError(f"has the path {path!r}; allowed is a JSONPath that begins with $, as in $.brokers[0]")
    steps, at = [], 1
    while at < len(path):
        deep = path.startswith("..", at)
        at += 2 if deep else 0
        if path.startswith("[", at):
            takes, at = _bracket(path, at + 1)
        else:
            at += 0 if deep else 1
            if not deep and path[at - 1] != ".":
                raise _wrong(path, at - 1)
            if path.startswith("*", at):
                takes, at = (None,), at + 1
            elif match := _NAME.match(path, at):
                takes, at = (match[0],), match.end()
            else:
                raise _wrong(path, at)
        steps.append(Segment(takes, deep))
    return tuple(steps)


def _bracket(path: str, at: int) -> tuple[tuple[str | int | slice | None, ...], int]:
    takes: list[str | int | slice | None] = []
    while True:
        while path.startswith(" ", at):
            at += 1
        if path.startswith("*", at):
            takes.append(None)
            at += 1
        elif match := _QUOTED.match(path, at):
            text = match[1].replace('"', '\\"') if match[1] is not None else match[2]
            takes.append(json.loads(f'"{text}"'.replace("\\'", "'")))
            at = match.end()
        elif match := _INDEX.match(path, at):
            takes.append(int(match[1]))
            at = match.end()
        elif match := _SLICE.match(path, at):
            takes.append(slice(*(int(part) if part else None for part in match.groups())))
            at = match.end()
        else:
            raise _wrong(path, at)
        while path.startswith(" ", at):
            at += 1
        if path.startswith("]", at):
            return tuple(takes), at + 1
        if not path.startswith(",", at):
            raise _wrong(path, at)
        at += 1


def _wrong(path: str, at: int) -> ValueError:
    where = path[at:] or "its end"
    return ValueError(
        f"has the path {path!r}, wrong at {where!r}; allowed are .name, ['name'], [0], [1:3], [*], several with commas, and .. for any depth"
    )


def find(steps: tuple[Segment, ...], value: Any) -> list[Any]:
    """The values at the end of a path, in its order."""
    found = [value]
    for step in steps:
        found = [inner for outer in found for inner in (_deep(step, outer) if step.deep else _taken(step, outer))]
    return found


def _deep(step: Segment, value: Any) -> Iterator[Any]:
    yield from _taken(step, value)
    for child in _children(value):
        yield from _deep(step, child)


def _children(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list | tuple) else []


def _taken(step: Segment, value: Any) -> Iterator[Any]:
    for take in step.takes:
        if take is None:
            yield from _children(value)
        elif isinstance(take, str):
            if isinstance(value, dict) and take in value:
                yield value[take]
        elif isinstance(value, list | tuple):
            if isinstance(take, slice):
                yield from value[take]
            elif -len(value) <= take < len(value):
                yield value[take]
