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
"""How many calls that change something may be under way at once; providers coalesce them."""


class Skipped(Exception):
    """Something that the resource needs has failed; it is left alone."""


class Deployment:
    """State before and after, providers, and the record of what was done."""

    def __init__(
        self,
        stack: StackRef,
        state: State,
        vault: Vault,
        factory: ProviderFactory,
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
        """Deleted ahead of a replacement, with the keys to blame."""
        self.result = Result()
        self.stopping = False
        adopting = frozenset(urn for urn, (kind, _) in state.pending.items() if kind == "creating")
        self.providers = Providers(factory, adopting)
        self._gate = asyncio.Semaphore(PARALLEL)

    @property
    def preview(self) -> bool:
        """Does this run only look?"""
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
        """Write down what has happened; nothing in a preview."""
        if self.log is not None:
            self.log.append(entry)

    async def intend(self, kind: str, record: Record) -> None:
        """Have on disk what is about to happen."""
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
        """Around a step: room among the calls in flight, events before and after, and its place in the result."""
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
        """Note a resource that could not be dealt with; what needs it will be skipped."""
        self.failed.add(urn)
        if isinstance(error, Skipped):
            self.result.skipped.append(urn)
            self.on_event(Event("skipped", Step("same", urn)))
        else:
            self.result.errors.append(Failure.of(urn, error))


def step(op: Op, urn: str, old: Values | None = None, new: Values | None = None, **more: Any) -> Step:
    """A step with its inputs as people may see them."""
    return Step(op, urn, None if old is None else display(old), None if new is None else display(new), **more)
