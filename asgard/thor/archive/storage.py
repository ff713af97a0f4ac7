"""Where an archive is kept: what a directory and a bucket have in common.

Names are relative, with `/`. A file is there whole or not at all: it is written beside (`workplace`), then `put`. `create` is the one
operation that tells two writers apart: of those who create one name, one succeeds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from asgard.core.errors import Failed


class Missing(Failed):
    """A name that is not there."""


@dataclass(frozen=True)
class Entry:
    """A name that is there, and its size."""

    name: str
    bytes: int


class Storage(Protocol):
    """A directory or a bucket. Raises Unreachable where it does not answer, and Failed where it refuses."""

    @property
    def url(self) -> str:
        """What to call it in sentences."""
        ...

    def workplace(self) -> Path:
        """An empty directory of this process for files that are not whole yet; cleared by whoever comes after a crash."""
        ...

    def put(self, name: str, file: Path, sha256: str) -> None:
        """Make a file of the workplace appear under a name; it is gone from the workplace then. `sha256` is its content's."""
        ...

    def create(self, name: str, content: bytes) -> bool:
        """Write a small file. False where somebody else has written one of that name."""
        ...

    def read(self, name: str) -> bytes:
        """A small file. Raises Missing."""
        ...

    def local(self, name: str) -> AbstractContextManager[Path]:
        """A file to read on this machine, a copy where it is not here. Raises Missing."""
        ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """What is there, by name. `prefix` ends with `/`, or is empty: everything."""
        ...

    def delete(self, names: Collection[str]) -> None:
        """Delete files; one that is not there is no error."""
        ...

    def abort_uploads(self, prefix: str) -> int:
        """Give up uploads that nobody will finish below a prefix; how many."""
        ...
