"""Where an archive is kept: the common interface of a directory and a bucket.

Names are relative, with `/`. A file appears complete or not at all: it is written elsewhere (`workplace`), then `put`. `create` is the
one operation that decides between writers: if several create one name, one succeeds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from asgard.core.errors import Failed


class MissingObject(Failed):
    """The name does not exist."""


@dataclass(frozen=True)
class Entry:
    """An existing name, and its size."""

    name: str
    bytes: int


class Storage(Protocol):
    """A directory or a bucket. Raises Unreachable if it does not answer, and Failed if it refuses."""

    @property
    def url(self) -> str:
        """Its name in messages."""
        ...

    def workplace(self) -> Path:
        """An empty directory of this process for incomplete files; cleared by the next process after a crash."""
        ...

    def put(self, name: str, file: Path, sha256: str) -> None:
        """Move a file from the workplace to a name. `sha256` is its content's."""
        ...

    def create(self, name: str, content: bytes) -> bool:
        """Write a small file. False if someone else has already written that name."""
        ...

    def read(self, name: str) -> bytes:
        """A small file. Raises MissingObject."""
        ...

    def local(self, name: str) -> AbstractContextManager[Path]:
        """A file to read on this machine, a copy if it is remote. Raises MissingObject."""
        ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """List by name. `prefix` ends with `/`, or is empty: everything."""
        ...

    def delete(self, names: Collection[str]) -> None:
        """Delete files; a missing one is not an error."""
        ...

    def abort_uploads(self, prefix: str) -> int:
        """Abort abandoned uploads below a prefix. Returns how many."""
        ...
