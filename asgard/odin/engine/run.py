"""The embedded engine's front door: preview, up, refresh, destroy, import.

This engine is for one host and Asgard's own resources: no plugins, no targets, no aliases, no policies. The caller
holds the stack's lease. Everything runs on one event loop in the calling thread; the first Ctrl-C lets calls in flight
finish and starts no more, the second one stops at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from asgard.odin.engine.deletions import claimed, delete_all, delete_unnamed
from asgard.odin.engine.deployment import Deployment, step
from asgard.odin.engine.goals import DesiredStack, Goal, Program
from asgard.odin.engine.providers import ProviderFactory
from asgard.odin.engine.refresh import refresh_all
from asgard.odin.engine.register import register_all
from asgard.odin.engine.secrets import Vault
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.state import State, StateStore
from asgard.odin.engine.steplog import StepLog
from asgard.odin.engine.steps import Event, Failure, OnEvent, Result

Passphrase = Callable[[], str]
Work = Callable[[Deployment], Awaitable[None]]


def _quiet(event: Event) -> None:
    """The default for `on_event`."""


@dataclass(frozen=True)
class Engine:
    """What every run on a stack needs. `passphrase` is called at the first secret."""

    stack: StackRef
    store: StateStore
    providers: ProviderFactory
    passphrase: Passphrase
    on_event: OnEvent = _quiet

    def preview(self, program: Program, goals: Sequence[Goal] = (), keep: Collection[str] = ()) -> Result:
        """What `up` would do. Changes nothing, neither in the cluster nor on disk."""
        return self._run(_made(DesiredStack(program, goals, keep)), writing=False)

    def up(self, program: Program, goals: Sequence[Goal] = (), keep: Collection[str] = ()) -> Result:
        """Create, update and delete until everything is as wanted. Errors are in the result; what was done is in the
        state in any case."""
        return self._run(_made(DesiredStack(program, goals, keep)), writing=True)

    def import_resources(
        self,
        program: Program,
        imports: Mapping[tuple[str, str], str],
        *,
        goals: Sequence[Goal] = (),
        dry_run: bool = False,
    ) -> Result:
        """Adopt existing resources: the wanted ones, by (type, name) -> id. Each must exist and match what is wanted; a
        resource that is neither in the state nor among `imports` is an error. Nothing is created or deleted."""
        return self._run(_made(DesiredStack(program, goals), deleting=False), writing=not dry_run, imports=imports)

    def refresh(self, *, dry_run: bool = False) -> Result:
        """Read everything in the state. With `dry_run` changes appear in the result only (`drift`)."""
        return self._run(refresh_all, writing=not dry_run)

    def destroy(self, *, dry_run: bool = False) -> Result:
        """Delete everything in the state, dependents first."""
        return self._run(_destroy, writing=not dry_run)

    def _run(self, work: Work, writing: bool, imports: Mapping[tuple[str, str], str] | None = None) -> Result:
        state = self.store.load()
        if writing and self.store.interrupted:
            # What an interrupted run left behind is folded in first: the last line of its log, which may be damaged, is
            # never appended to, and a checkpoint of the Pulumi CLI is never newer than the log of this run.
            self.store.save(state)
        with light():
            return asyncio.run(self._drive(work, state, writing, imports))

    async def _drive(
        self, work: Work, state: State, writing: bool, imports: Mapping[tuple[str, str], str] | None
    ) -> Result:
        vault = Vault(state.salt, self.passphrase)
        log = StepLog(self.store, state, vault) if writing else None
        run = Deployment(self.stack, state, vault, self.providers, on_event=self.on_event, log=log, imports=imports)
        run.result.warnings += self.store.warnings
        try:
            with _interruptible(run):
                await work(run)
        finally:
            await run.providers.close()
            if log is not None:
                await log.close()
        if log is not None and (_settle(run) or log.changed or not self.store.path.exists()):
            self.store.save(state)
        run.result.interrupted = run.stopping
        return run.result


def _made(wanted: DesiredStack, deleting: bool = True) -> Work:
    async def work(run: Deployment) -> None:
        from asgard.odin.engine.monitor import run_program

        try:
            await run_program(run, wanted.program)
        except Exception as error:
            run.result.errors.append(Failure.of("", error))
        await register_all(run, wanted.goals)
        for urn in wanted.keep:
            if urn in run.old and urn not in run.seen:
                run.seen.add(urn)
                run.done(step("same", urn, id=run.old[urn].get("id")))
        if run.result.errors:
            if deleting and any(urn not in run.seen for urn in run.old):
                run.result.warnings.append("nothing was deleted: deletions wait until everything else succeeds")
        elif deleting and not run.stopping:
            await delete_unnamed(run)
        if run.result.errors or run.stopping:
            _keep_former_outputs(run)

    return work


def _keep_former_outputs(run: Deployment) -> None:
    """After a failure the stack keeps earlier outputs that this run has not set, as with the CLI."""
    before, after = run.old.get(run.stack.urn), run.state.live.get(run.stack.urn)
    if run.log is None or before is None or after is None or not before.get("outputs"):
        return
    outputs = {**before["outputs"], **after.get("outputs", {})}
    if outputs != after.get("outputs"):
        run.record({"do": "put", "resource": {**after, "outputs": outputs}})


async def _destroy(run: Deployment) -> None:
    live = [*run.old.values(), *await claimed(run)]
    await delete_all(run, [*live, *run.state.retired], len(live))


def _settle(run: Deployment) -> bool:
    """Settle what an earlier run began, once this run has processed (or no longer knows) its resource; whether there
    was any."""
    settled = [
        urn
        for urn, (kind, _) in run.state.pending.items()
        if kind != "creating" or (urn in run.state.live and urn not in run.failed)
    ]
    for urn in settled:
        del run.state.pending[urn]
    return bool(settled)


@contextlib.contextmanager
def light() -> Iterator[None]:
    """Turns off the two most expensive things in a run of thousands of resources: the garbage collector, which
    repeatedly walks all the SDK's futures and frees none, and the stack trace that the SDK takes when each resource is
    created (only the CLI's engine puts it into the state; a limit of 1 leaves it empty)."""
    limit, collecting = getattr(sys, "tracebacklimit", None), gc.isenabled()
    gc.disable()
    sys.tracebacklimit = 1
    try:
        yield
    finally:
        if limit is None:
            del sys.tracebacklimit
        else:
            sys.tracebacklimit = limit
        if collecting:
            gc.enable()


@contextlib.contextmanager
def _interruptible(run: Deployment) -> Iterator[None]:
    """After the first SIGINT or SIGTERM nothing more starts; the second one cancels."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def stop() -> None:
        if run.stopping and task is not None:
            task.cancel()
        run.stopping = True

    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in former:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number, handler in former.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
