"""The other engine: the real Pulumi CLI, driven through the Automation API, on the same program and the same state of record.

A run imports the state of record into a private file backend below the stack's directory, lets the CLI work, and takes
the checkpoint back. With a shared backend (`backends`) the CLI works on the state there, and this machine's state is a
copy of it. The CLI starts providers itself, as plugins found on PATH. If the run is killed, or its checkpoint can't be
taken back, that checkpoint is the most recent state: `StateStore.load` reads it, whichever engine runs next, and the
next save removes it.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from asgard.core.errors import Unreachable
from asgard.core.paths import private_dir, write_atomic
from asgard.odin.engine import installed
from asgard.odin.engine.backends import PASSPHRASE, PRIVATE, Backend, settings_of
from asgard.odin.engine.cli_errors import locked, plain_errors
from asgard.odin.engine.deployment import PARALLEL
from asgard.odin.engine.goals import Goal, Program
from asgard.odin.engine.run import Passphrase, light
from asgard.odin.engine.secrets import Vault
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.state import State, StateStore, parse
from asgard.odin.engine.steps import Event, Failure, OnEvent, Op, Result, Step
from asgard.odin.resources.kinds import KINDS
from asgard.odin.resources.values import SECRET_SIGNATURE, SIGNATURE, UNKNOWN_TEXT

if TYPE_CHECKING:
    from pulumi import automation

BACKEND = "backend"
"""In the state's own data: the shared backend that it is a copy of, and the time of that copy."""
_TRACEBACK = re.compile(r":?\n\s*File \".*", re.DOTALL)


def available() -> str | None:
    """Where the Pulumi CLI is, if there is one."""
    return installed.where()


def _quiet(event: Event) -> None:
    """The default for `on_event`."""


@dataclass(frozen=True)
class CliEngine:
    """The same verbs as `run.Engine`. `environment` goes to the CLI and from there to the providers it starts."""

    stack: StackRef
    store: StateStore
    passphrase: Passphrase
    on_event: OnEvent = _quiet
    environment: Mapping[str, str] = field(default_factory=dict)
    backend: Backend = PRIVATE

    def preview(self, program: Program, goals: Sequence[Goal] = (), keep: Collection[str] = ()) -> Result:
        """What `up` would do. `goals` and `keep` must be empty: the CLI deletes what the program leaves out."""
        _refuse_beyond(goals, keep)
        return self._run(
            program, lambda stack, **how: stack.preview(refresh=self._refresh, **how), after=False, writing=False
        )

    def up(self, program: Program, goals: Sequence[Goal] = (), keep: Collection[str] = ()) -> Result:
        """Bring the stack to what the program says. `goals` and `keep` must be empty, as in `preview`."""
        _refuse_beyond(goals, keep)
        return self._run(
            program,
            lambda stack, **how: stack.up(refresh=self._refresh, continue_on_error=True, **how),
            after=True,
            writing=True,
            settles=True,
        )

    @property
    def _refresh(self) -> bool:
        """A private backend gets the state as it was seen; with a shared one the CLI must refresh it itself."""
        return self.backend.url is not None

    def refresh(self, *, dry_run: bool = False) -> Result:
        """Read everything in the state; with `dry_run` only report what has changed."""
        if dry_run:
            found = self._run(_nothing, lambda stack, **how: stack.preview_refresh(**how), after=True, writing=False)
        else:
            found = self._run(_nothing, lambda stack, **how: stack.refresh(**how), after=True, writing=True)
        for step in found.steps:
            if step.op == "update":  # what the CLI calls a refreshed resource that has changed
                step.op = "refresh"
        return found

    def destroy(self, *, dry_run: bool = False) -> Result:
        """Delete everything in the state."""
        if dry_run:
            return self._run(_nothing, lambda stack, **how: stack.preview_destroy(**how), after=False, writing=False)
        return self._run(
            _nothing,
            lambda stack, **how: stack.destroy(continue_on_error=True, **how),
            after=True,
            writing=True,
            settles=True,
        )

    def _run(
        self, program: Program, act: Callable[..., Any], after: bool, writing: bool, settles: bool = False
    ) -> Result:
        """One run of the CLI. `settles`: once it succeeds, what an earlier run began is finished, or nothing to Asgard."""
        state = self.store.load()
        if writing and self.store.interrupted:
            self.store.save(state)
        result = Result(warnings=[*self.store.warnings, *_strays(state)])
        with self._workspace(program, state, writing) as stack, light():
            assert stack is not None
            with _interruptible(result):
                self._follow(stack, act, after, result)
            if writing and self.backend.url is not None:
                self.store.save(self._copy_of(_exported(stack), state))
            elif writing:
                self._take_back(state, settled=settles and result.ok)
        return result

    def pull(self) -> State:
        """This machine's copy of a stack in a shared backend, brought up to date but not saved. Raises Unreachable, Failed."""
        state = self.store.load()
        with self._workspace(_nothing, state, writing=False, pulling=True) as stack, plain_errors(preparing=True):
            return self._copy_of(None if stack is None else _exported(stack), state)

    def _copy_of(self, deployment: dict[str, Any] | None, before: State) -> State:
        """What a shared backend holds, as stored on this machine: secrets under the stack's passphrase, Asgard's own
        data unchanged unless another run changed the stack."""
        held = before.meta.get(BACKEND) or {}
        if deployment is None:
            if held.get("url") != self.backend.url:
                return before  # It moves there with the next `up`.
            deployment = {}
        at = (deployment.get("manifest") or {}).get("time")
        if held == self._held(at):
            return before
        state = parse({"version": 3, "deployment": {**deployment, "secrets_providers": None}}, str(self.backend.url))
        for record in state:
            _forget_places(record)
        vault = Vault(before.salt, self.passphrase)
        state.live = {urn: vault.sealed(record) for urn, record in state.live.items()}
        state.retired = [vault.sealed(record) for record in state.retired]
        state.salt = vault.salt if vault.was_opened else before.salt
        kept = {key: value for key, value in before.meta.items() if key not in ("fingerprint", "marks")}
        state.meta = {**kept, BACKEND: self._held(at)}
        state.serial = before.serial
        return state

    def _held(self, at: object) -> dict[str, object]:
        return {"url": self.backend.url, "secrets": self.backend.secrets, "at": at}

    @contextmanager
    def _workspace(
        self, program: Program, state: State, writing: bool = True, *, pulling: bool = False
    ) -> Iterator[automation.Stack | None]:
        """A private backend with the state of record in it, or a shared one; the workspace is removed afterwards,
        unless it may hold the only record of what the CLI did. None if the stack to pull does not exist."""

        if available() is None:
            raise Unreachable(
                "the Pulumi CLI is not on PATH",
                "`asgard odin engine install` gets it; local and external stacks need none (--engine embedded)",
            )
        self.backend.check()
        # A preview does not touch what a killed run may have left in the stack's own place.
        home = self.store.backend if writing else Path(tempfile.mkdtemp(prefix="asgard-"))
        shutil.rmtree(home, ignore_errors=True)
        private_dir(home)
        (home / "backend").mkdir()
        secret_file = home / "passphrase"
        # A preview of a stack without secrets needs no stored passphrase.
        write_atomic(secret_file, self.passphrase() if writing or state.salt else secrets.token_hex())
        only_record = False
        try:
            with plain_errors(preparing=True):
                stack = self._prepared(program, state, home, secret_file, create=not pulling)
            only_record = writing and self.backend.url is None
            yield stack
            only_record = False
        finally:
            secret_file.unlink(missing_ok=True)
            if not only_record:
                shutil.rmtree(home, ignore_errors=True)

    def _prepared(
        self, program: Program, state: State, home: Path, secret_file: Path, *, create: bool
    ) -> automation.Stack | None:
        """The stack in its backend: a private one gets the state of record, as does an empty shared one."""
        from pulumi import automation

        shared, name = self.backend.url is not None, self.backend.stack_name(self.stack.project, self.stack.name)
        moving = bool(state.live or state.retired)
        settings = settings_of(None, state.salt) if moving else None

        workspace = automation.LocalWorkspace(
            work_dir=str(home),
            program=program,
            project_settings=automation.ProjectSettings(self.stack.project, "python"),
            stack_settings={name: settings} if settings else None,
            # An existing local state stays under the passphrase until it is in the backend.
            secrets_provider=PASSPHRASE if moving else self.backend.secrets,
            env_vars={
                "PATH": os.pathsep.join(
                    [sysconfig.get_path("scripts"), str(Path(sys.executable).parent), installed.search_path()]
                ),
                "PULUMI_BACKEND_URL": self.backend.login if shared else f"file://{home / 'backend'}",
                "PULUMI_CONFIG_PASSPHRASE_FILE": str(secret_file),
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                **self.environment,
            },
        )
        if shared:
            try:
                stack = automation.Stack.select(name, workspace)
            except automation.StackNotFoundError:
                if not create:
                    return None
            else:
                if found := settings_of(_exported(stack), None):
                    workspace.save_stack_settings(name, found)
                return stack
        stack = automation.Stack.create_or_select(name, workspace)
        if moving:
            stack.import_stack(automation.Deployment(version=3, deployment=state.deployment()))
        if moving and self.backend.secrets != PASSPHRASE:
            command = ["stack", "change-secrets-provider", self.backend.secrets, "--stack", name, "--non-interactive"]
            workspace.pulumi_command.run(command, workspace.work_dir, workspace.env_vars)
        return stack

    def _follow(self, stack: automation.Stack, act: Callable[..., Any], after: bool, result: Result) -> None:
        """Let the CLI work and turn its events into steps."""
        from pulumi import automation

        def on_event(event: automation.EngineEvent) -> None:
            self._note(event, result, after)

        try:
            with plain_errors():
                done = act(stack, on_event=on_event, parallel=PARALLEL, color="never", suppress_progress=True)
        except automation.ConcurrentUpdateError as error:
            raise locked(self.backend, stack.name) from error
        except automation.CommandError as error:
            if not result.errors and not result.interrupted:
                result.errors.append(Failure("", _failed(str(error))))
            return
        for key, value in getattr(done, "outputs", {}).items():
            result.outputs[key] = "[secret]" if value.secret else value.value
            result.secret_outputs[key] = value.value

    def _note(self, event: automation.EngineEvent, result: Result, after: bool) -> None:
        if event.resource_pre_event is not None:
            planned = _step(event.resource_pre_event.metadata)
            self.on_event(Event("start", planned))
            if not after:
                result.steps.append(planned)
                self.on_event(Event("done", planned))
        elif event.res_outputs_event is not None and after:
            done = _step(event.res_outputs_event.metadata)
            result.steps.append(done)
            self.on_event(Event("done", done))
        elif event.res_op_failed_event is not None:
            self.on_event(Event("failed", _step(event.res_op_failed_event.metadata)))
        elif event.diagnostic_event is not None:
            message = event.diagnostic_event.message.strip()
            if event.diagnostic_event.severity == "error" and event.diagnostic_event.urn:
                result.errors.append(Failure(event.diagnostic_event.urn, _failed(message)))
            elif event.diagnostic_event.severity == "warning" and "from $PATH" not in message:
                result.warnings.append(message)
            elif event.diagnostic_event.severity.startswith("info"):
                self.on_event(Event("log", None, message))

    def _take_back(self, before: State, *, settled: bool) -> None:
        """Take the CLI's checkpoint as the state of record, without its stack traces, which name this machine's
        paths. What an earlier run began stays known until it is `settled`."""
        state = self.store.cli_checkpoint()
        if state is None:
            return
        for record in state:
            _forget_places(record)
        state.meta, state.serial = before.meta, before.serial
        begun = {urn: operation for urn, operation in state.pending.items() if urn not in before.unfinished}
        state.pending = begun if settled else state.still_unfinished(before) | begun
        self.store.save(state)


def _strays(state: State) -> list[str]:
    """What may exist without a record: if a creation is interrupted, only Asgard's own provider finds out afterwards."""
    return [
        f"an interrupted run may have created {begun['type']} {urn.split('::', 3)[3]}, which is not in the state: look for "
        "it in the cloud, and delete it there"
        for urn, (_, begun) in state.unfinished.items()
        if begun["type"] not in KINDS and not begun["type"].startswith("pulumi:")
    ]


def _forget_places(record: dict[str, Any]) -> None:
    record.pop("sourcePosition", None)
    record.pop("stackTrace", None)


def _exported(stack: automation.Stack) -> dict[str, Any] | None:
    """What the backend holds, with secrets in the clear: read through a pipe and kept in memory only."""
    found = stack.export_stack().deployment
    return None if found is None else dict(found)


@contextmanager
def _interruptible(result: Result) -> Iterator[None]:
    """Ctrl-C also reaches the CLI, which finishes what is in flight: here it is only noted, so that the program keeps
    answering until then. SIGTERM reaches this process only and is passed on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def noted(number: int, frame: object) -> None:
        import psutil

        result.interrupted = True
        if number == signal.SIGTERM:
            for process in psutil.Process().children():
                if process.name() == "pulumi":
                    process.send_signal(signal.SIGINT)

    former = {number: signal.signal(number, noted) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _refuse_beyond(goals: Sequence[Goal], keep: Collection[str]) -> None:
    if goals or keep:
        raise ValueError("the Pulumi CLI can't make or keep resources that the program leaves out")


def _nothing() -> None:
    """The program of verbs that don't need one."""


def _step(metadata: automation.StepEventMetadata) -> Step:
    detail = {
        path: str(getattr(d.diff_kind, "value", d.diff_kind)) for path, d in (metadata.detailed_diff or {}).items()
    }
    op = cast(Op, str(getattr(metadata.op, "value", metadata.op)))
    old, new = metadata.old, metadata.new
    return Step(
        op,
        metadata.urn,
        old=_shown(old.inputs) if old is not None and op != "same" else None,
        new=_shown(new.inputs) if new is not None and op != "same" else None,
        diff=detail,
        replace_keys=list(metadata.keys or ()),
        id=(new.id if new is not None else "") or (old.id if old is not None else "") or None,
    )


def _shown(value: Any) -> Any:
    if isinstance(value, dict) or hasattr(value, "items"):
        if value.get(SIGNATURE) == SECRET_SIGNATURE:
            return "[secret]"
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return "[unknown]" if value == UNKNOWN_TEXT else value


def _failed(message: str) -> str:
    """The sentence in a failure: the SDK's server wraps what a provider raises in a class name and a traceback."""
    return _TRACEBACK.sub("", message).replace("Unexpected <class 'Exception'>: ", "").strip()
