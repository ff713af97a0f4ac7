"""Turns many small calls into a few large ones: each resource awaits its own result, Kafka gets one request.

The engine keeps many resources in flight and knows nothing of batches. A `Batcher` collects what arrives within a
window (20 ms) and sends up to 500 items at once. Only one thread at a time uses Kafka's client.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from asgard.core.errors import Failed

Item = TypeVar("Item")
Result = TypeVar("Result")
Key = TypeVar("Key", bound=Hashable)

WINDOW_S = 0.02
LIMIT = 500


class Batcher(Generic[Key, Item, Result]):
    """One kind of call. `call` takes items by key and answers by key; it runs in `executor`.

    Items with the same key never share a request: the later one waits for the next.
    """

    def __init__(
        self,
        call: Callable[[dict[Key, Item]], Mapping[Key, Result]],
        executor: ThreadPoolExecutor,
        *,
        window_s: float = WINDOW_S,
        limit: int = LIMIT,
    ) -> None:
        self._call = call
        self._executor = executor
        self._window_s = window_s
        self._limit = limit
        self._waiting: list[tuple[Key, Item, asyncio.Future[Result]]] = []
        self._full: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None

    async def submit(self, key: Key, item: Item) -> Result:
        """The result for this item. Raises what the whole call raised."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, item, future))
        if self._full and len(self._waiting) >= self._limit:
            self._full.set()
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        """Send batches until no caller is waiting."""
        try:
            while self._waiting:
                if len(self._waiting) < self._limit:
                    self._full = asyncio.Event()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._full.wait(), self._window_s)
                await self._send(self._next())
        finally:
            self._task = None

    def _next(self) -> dict[Key, tuple[Item, asyncio.Future[Result]]]:
        batch: dict[Key, tuple[Item, asyncio.Future[Result]]] = {}
        later = []
        for key, item, future in self._waiting:
            if key in batch or len(batch) >= self._limit:
                later.append((key, item, future))
            elif not future.cancelled():
                batch[key] = (item, future)
        self._waiting = later
        return batch

    async def _send(self, batch: dict[Key, tuple[Item, asyncio.Future[Result]]]) -> None:
        items = {key: item for key, (item, _) in batch.items()}
        try:
            answers = await asyncio.get_running_loop().run_in_executor(self._executor, self._call, items)
        except Exception as error:  # every caller of the batch gets it
            for _, future in batch.values():
                if not future.done():
                    future.set_exception(error)
            return
        for key, (_, future) in batch.items():
            if future.done():
                continue
            if key in answers:
                future.set_result(answers[key])
            else:
                future.set_exception(Failed(f"Kafka gave no answer for {key}"))
