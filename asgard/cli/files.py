"""`list` and `validate` for things kept in files: experiments, recipes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from asgard.core import console
from asgard.core.errors import AsgardError, InvalidFile

T = TypeVar("T")


def readable(paths: Iterable[Path], read: Callable[[Path], T]) -> list[T]:
    """The readable ones; a warning names each of the others."""
    found: list[T] = []
    for path in paths:
        try:
            found.append(read(path))
        except AsgardError as error:
            console.warn(f"{path} is left out: {error.what.splitlines()[0]}")
    return found


def all_valid(paths: Iterable[Path], read: Callable[[Path], T]) -> list[T]:
    """All of them. Raises InvalidFile with the errors of every file."""
    found: list[T] = []
    problems = []
    for path in paths:
        try:
            found.append(read(path))
        except InvalidFile as error:
            problems += error.problems
    if problems:
        raise InvalidFile(problems)
    return found
