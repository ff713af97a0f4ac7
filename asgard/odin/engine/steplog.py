"""The steps log while a run goes on: appends entries, many to one fsync.

An intent (`pending`) must be on disk before the provider is called; with hundreds of resources in flight, each would
wait for a separate fsync. Here everything appended while the disk was busy goes out with the next write.
"""

from __future__ import annotations

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

from asgard.core.paths import private_dir
from asgard.odin.engine.secrets import Vault
from asgard.odin.engine.state import LOG_FORMAT, State, StateStore


class StepLog:
    """Applies entries to the state in memory and appends them to the log. Lives on one event loop."""

    def __init__(self, store: StateStore, state: State, vault: Vault) -> None:
        self.state = state
        self._vault = vault
        self.changed = False
        """Whether anything was appended."""
        self._store = store
        self._lines: list[bytes] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._writer: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="steps-log")
        self._file: BinaryIO | None = None
        self._failure: BaseException | None = None

    def append(self, entry: dict[str, Any]) -> None:
        """Record that something has happened; it reaches the disk soon, and before anything appended later."""
        if self._vault.was_opened and self.state.salt is None:
            # The first secret ever: without its salt, what follows could not be read.
            self._append({"do": "salt", "salt": self._vault.salt})
        self._append(entry)

    def _append(self, entry: dict[str, Any]) -> None:
        self.state.apply(entry)
        self.changed = True
        self._lines.append(_line(entry))
        self._start()

    async def durable(self, entry: dict[str, Any]) -> None:
        """Record what is about to happen; returns once it is on disk. Raises what went wrong while writing, now or
        before: after a failure nothing reaches the disk any more."""
        if self._failure is not None:
            raise self._failure
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self.append(entry)
        await future

    async def close(self) -> None:
        """Flush everything appended and close the file. Raises what went wrong while writing."""
        while self._writer is not None:
            await asyncio.wait([self._writer])
        self._thread.shutdown()
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._failure is not None:
            raise self._failure

    def _start(self) -> None:
        if self._writer is None and self._failure is None:
            self._writer = asyncio.ensure_future(self._write_all())

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._lines:
                lines, self._lines = self._lines, []
                waiting, self._waiting = self._waiting, []
                try:
                    await loop.run_in_executor(self._thread, self._write, b"".join(lines))
                except BaseException as error:
                    self._failure = error
                    for future in [*waiting, *self._waiting]:
                        if not future.done():
                            future.set_exception(error)
                    return
                for future in waiting:
                    if not future.done():
                        future.set_result(None)
        finally:
            self._writer = None

    def _write(self, data: bytes) -> None:
        self._store.guard()
        if self._file is None:
            private_dir(self._store.directory)
            fd = os.open(self._store.log_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = os.fdopen(fd, "wb")
            self._file.write(_line({"format": LOG_FORMAT, "base": self.state.serial}))
        self._file.write(data)
        self._file.flush()
        os.fsync(self._file.fileno())


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
