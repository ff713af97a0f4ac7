"""One run on one stack: what its parts (registration, deletions, refresh) share.

A run without a steps log is a preview: providers are called with `preview=True` and nothing is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from asgard.core.errors import Failed
from asgard.odin.engine.graph import Record
from asgard.odin.engine.providers import ProviderFactory, Providers
from asgard.odin.engine.secrets import Vault
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.state import State
from asgard.odin.engine.steplog import StepLog
from asgard.odin.engine.steps import Event, Failure, OnEvent, Op, Result, Step
from asgard.odin.resources.values import Values, display

if TYPE_CHECKING:
    from asgard.odin.provider.protocol import Provider

PARALLEL: Final = 512
"""The maximum number of changing calls in flight; providers coalesce them."""


class Skipped(Exception):
    """A resource that this one needs has failed, so this one is skipped."""


class Deployment:
    """State before and after, providers, and the record of what was done."""

    def __init__(
        self,
        stack: StackRef,
        state: State,
        vault: Vault,
        factory: ProviderFactory,
        *,
        on_event: OnEvent,
        log: StepLog | None,
        imports: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self.stack = stack
        self.state = state
        self.vault = vault
        self.log = log
        self.imports = imports
        self.on_event = on_event
        self.old: dict[str, Record] = dict(state.live)
        self.new: dict[str, Record] = {}
        """Records of this run by URN; in a preview too, where some of their values are unknown to the state."""
        self.seen: set[str] = set()
        self.failed: set[str] = set()
        self.replaced: set[str] = set()
        self.gone: dict[str, list[str]] = {}
        """Deleted before their replacement is created, with the properties that forced it."""
        self.result = Result()
        self.stopping = False
        self.providers = Providers(factory, frozenset(state.unfinished))
        self._gate = asyncio.Semaphore(PARALLEL)

    @property
    def preview(self) -> bool:
        """Whether this is a preview."""
        return self.log is None

    def inputs(self, record: Record) -> Values:
        """A record's inputs, secrets opened."""
        properties: Values = self.vault.decode(record["urn"], record.get("inputs") or {})
        return properties

    def outputs(self, record: Record) -> Values:
        """A record's outputs, secrets opened."""
        properties: Values = self.vault.decode(record["urn"], record.get("outputs") or {})
        return properties

    def record(self, entry: dict[str, Any]) -> None:
        """Record what has happened; nothing in a preview."""
        if self.log is not None:
            self.log.append(entry)

    async def intend(self, kind: str, record: Record) -> None:
        """Write to disk what is about to happen."""
        if self.log is not None:
            await self.log.durable({"do": "pending", "type": kind, "resource": record})

    async def provider(self, urn: str) -> Provider:
        """The provider of a provider resource, of this run or of the state."""
        record = self.old.get(urn)
        if record is None and not self.providers.has(urn):
            raise Failed(f"the provider {urn.rpartition('::')[2]!r} is not part of this stack")
        return await self.providers.get(urn, lambda: self.inputs(record) if record else {})

    @asynccontextmanager
    async def working(self, step: Step) -> AsyncIterator[None]:
        """Wraps a step: waits for a free slot among the calls in flight, sends events before and after, adds it to the
        result."""
        async with self._gate:
            if self.stopping:
                raise Skipped
            self.on_event(Event("start", step))
            try:
                yield
            except Exception as error:
                self.on_event(Event("failed", step, str(error)))
                raise
            self.done(step)

    def done(self, step: Step) -> None:
        """Note a step that is done."""
        self.result.steps.append(step)
        self.on_event(Event("done", step))

    def fail(self, urn: str, error: BaseException) -> None:
        """Record a resource that failed; what needs it will be skipped."""
        self.failed.add(urn)
        if isinstance(error, Skipped):
            self.result.skipped.append(urn)
            self.on_event(Event("skipped", Step("same", urn)))
        else:
            self.result.errors.append(Failure.of(urn, error))


def step(op: Op, urn: str, old: Values | None = None, new: Values | None = None, **more: Any) -> Step:
    """A step with its inputs in displayable form."""
    return Step(op, urn, None if old is None else display(old), None if new is None else display(new), **more)
