"""A document read from a file: its values, the place of each, and their problems.

Numbers keep their original text; `--set` changes values, and errors in those name `--set` instead of the place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from asgard.core.errors import Problem

_INT = re.compile(r"[-+]?[0-9]{1,40}\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?\Z")

Loc = tuple[str | int, ...]
"""The path to a value: keys and indexes from the root."""
Found = Iterator[tuple[Loc, str] | tuple[Loc, str, Loc]]
"""Problems: where, what is wrong, and where the first of two is."""


class Place(Protocol):
    """A line and column, counted from 0."""

    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...


@dataclass(frozen=True)
class PlaceIn:
    """A place in a file other than the document's own."""

    file: str
    line: int
    column: int


class Int(int):
    """A whole number not written the way Python writes it (`007`, `+5`)."""

    text: str


class Float(float):
    """A number with a point or exponent, and its original text."""

    text: str


class Map(dict[str, Any]):
    """A mapping with its own place and the places of its keys and values."""

    __slots__ = ("at", "key_at", "value_at")

    def __init__(self, at: Place) -> None:
        self.at = at
        self.key_at: dict[str, Place] = {}
        self.value_at: dict[str, Place] = {}


class Seq(list[Any]):
    """A sequence with its own place and the places of its items."""

    __slots__ = ("at", "item_at")

    def __init__(self, at: Place) -> None:
        self.at = at
        self.item_at: list[Place] = []


def text_of(value: int | float) -> str:
    """A number as it was written."""
    return getattr(value, "text", None) or str(value)


def scalar(text: str) -> Any:
    """The value of a plain scalar: None, bool, int, float or text."""
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if text[0] not in "+-.0123456789":
        return text
    if _INT.match(text):
        number = int(text)
        if str(number) == text:
            return number
        whole = Int(number)
        whole.text = text
        return whole
    if _FLOAT.match(text) and abs(value := float(text)) != float("inf"):
        real = Float(value)
        real.text = text
        return real
    return text


@dataclass
class Document:
    """A file that was read: its content, the place of everything in it, and the problems so far."""

    file: str
    root: Any
    at: Place | None
    problems: list[Problem] = field(default_factory=list)
    overrides: dict[Loc, str] = field(default_factory=dict)

    def problem(self, loc: Sequence[str | int], message: str, *, at_key: bool = False) -> Problem:
        """The problem of the value at `loc` (or of its key), with its place; if the value is missing, the place of its
        nearest parent."""
        name = dotted(loc)
        for path, given in self.overrides.items():
            if tuple(loc[: len(path)]) == path:
                return Problem("--set", 0, 0, given, message if given == name else f"{name}: {message}")
        mark = self._mark(loc, at_key)
        return Problem(
            getattr(mark, "file", self.file),
            mark.line + 1 if mark else 1,
            mark.column + 1 if mark else 1,
            name,
            message,
        )

    def _mark(self, loc: Sequence[str | int], at_key: bool) -> Place | None:
        node, mark = self.root, self.at
        for i, part in enumerate(loc):
            if isinstance(node, Map) and part in node.key_at:
                mark = (node.key_at if at_key and i == len(loc) - 1 else node.value_at)[str(part)]
                node = node.get(str(part))
            elif isinstance(node, Seq) and isinstance(part, int) and part < len(node.item_at):
                mark = node.item_at[part]
                node = node[part]
            else:
                break
        return mark


def dotted(loc: Sequence[str | int]) -> str:
    """`topics[3].config.retention.ms`: a location as shown in messages."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def shown(value: Any) -> str:
    """A value as shown in messages: short, with its kind."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "…")
    if isinstance(value, int | float):
        return text_of(value)
    return "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else type(value).__name__


def placed_in(node: Any, file: str) -> Any:
    """The same value with its file named in every place in it, so that it can be part of another file's document."""

    def place(at: Place) -> PlaceIn:
        return PlaceIn(file, at.line, at.column)

    if isinstance(node, Map):
        made = Map(place(node.at))
        made.key_at = {key: place(at) for key, at in node.key_at.items()}
        made.value_at = {key: place(at) for key, at in node.value_at.items()}
        made.update({key: placed_in(value, file) for key, value in node.items()})
        return made
    if isinstance(node, Seq):
        items = Seq(place(node.at))
        items.item_at = [place(at) for at in node.item_at]
        items.extend(placed_in(value, file) for value in node)
        return items
    return node
