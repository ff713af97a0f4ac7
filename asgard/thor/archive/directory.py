"""An archive in a directory: files are written to a workplace in it, synced, and renamed into place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from asgard.core import paths
from asgard.core.errors import Failed, Unreachable
from asgard.thor.archive import workplace
from asgard.thor.archive.storage import Entry, MissingObject

_WORKPLACES = ".incomplete"


class DirectoryStorage:
    """See `Storage`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._workplace: Path | None = None
        self._made: set[Path] = set()

    @property
    def url(self) -> str:
        return str(self._root)

    def workplace(self) -> Path:
        if self._workplace is None:
            with self._told():
                self._root.mkdir(parents=True, exist_ok=True)
                self._workplace = workplace.make(self._root / _WORKPLACES)
        return self._workplace

    def put(self, name: str, file: Path, sha256: str) -> None:
        with self._told():
            _sync(file)
            path = self._place(name)
            file.replace(path)
            _sync(path.parent)

    def create(self, name: str, content: bytes) -> bool:
        with self._told():
            path = self._place(name)
            beside = self.workplace() / f"new-{os.urandom(6).hex()}"
            paths.write_atomic(beside, content, mode=None)
            try:
                os.link(beside, path)  # fails if the file exists, which a rename does not
            except FileExistsError:
                return path.read_bytes() == content
            finally:
                beside.unlink()
            _sync(path.parent)
            return True

    def read(self, name: str) -> bytes:
        with self._told(name):
            return (self._root / name).read_bytes()

    @contextlib.contextmanager
    def local(self, name: str) -> Iterator[Path]:
        path = self._root / name
        if not path.is_file():
            raise MissingObject(f"{self._root / name} is missing")
        yield path

    def list(self, prefix: str) -> Iterator[Entry]:
        top = self._root / prefix
        for parent, folders, files in os.walk(top):
            folders[:] = sorted(f for f in folders if f != _WORKPLACES)
            for file in sorted(files):
                path = Path(parent, file)
                with contextlib.suppress(FileNotFoundError):
                    yield Entry(path.relative_to(self._root).as_posix(), path.stat().st_size)

    def delete(self, names: Collection[str]) -> None:
        with self._told():
            for name in names:
                (self._root / name).unlink(missing_ok=True)

    def abort_uploads(self, prefix: str) -> int:
        return 0

    def _place(self, name: str) -> Path:
        path = self._root / name
        if path.parent not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            for folder in (path.parent, *path.parent.relative_to(self._root).parents):
                _sync(self._root / folder)
            self._made.add(path.parent)
        return path

    @contextlib.contextmanager
    def _told(self, name: str | None = None) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if name is not None:
                raise MissingObject(f"{self._root / name} is missing") from error
            raise Unreachable(f"the archive {self._root} is gone: {error.strerror}") from error
        except PermissionError as error:
            raise Failed(f"{error.filename or self._root} can't be used: {error.strerror}", "Give this user read and write access to the archive.") from error  # fmt: skip
        except OSError as error:
            raise Unreachable(f"can't write to the archive {self._root}: {error.strerror}", "Fix that, then run it again: nothing is lost, it continues from the manifest.") from error  # fmt: skip


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
