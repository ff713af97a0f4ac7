"""`list` and `validate` for things kept in files: experiments, recipes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from asgard.core import console
from asgard.core.errors import AsgardError, InvalidFile
from asgard.core.shipped import Library

T = TypeVar("T")


def chosen(library: Library, names: Iterable[str] | None, folders: Iterable[Path] | None) -> list[Path]:
    """The named files; all of them if none is named. Raises WrongUsage."""
    found = [library.find(name, folders or ()) for name in names or ()]
    return found or list(library.files(folders or ()).values())


def readable(library: Library, folders: Iterable[Path] | None, read: Callable[[Path], T]) -> list[T]:
    """Those that can be read; a warning names each of the others."""
    found: list[T] = []
    for path in chosen(library, None, folders):
        try:
            found.append(read(path))
        except AsgardError as error:
            console.warn(f"{path} is left out: {error.what.splitlines()[0]}")
    return found


def all_valid(
    library: Library, names: Iterable[str] | None, folders: Iterable[Path] | None, read: Callable[[Path], T]
) -> list[T]:
    """The named files, else all of them. Raises InvalidFile with the errors of every file."""
    found: list[T] = []
    problems = []
    for path in chosen(library, names, folders):
        try:
            found.append(read(path))
        except InvalidFile as error:
            problems += error.problems
    if problems:
        raise InvalidFile(problems)
    return found
