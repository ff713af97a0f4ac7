"""The other engine: the real Pulumi CLI, driven through the Automation API, on the same program and the same state of record.

A run imports the state of record into a private file backend below the stack's directory, lets the CLI work, and takes the
checkpoint back. The CLI starts providers itself, as plugins found on PATH. If the run is killed, the CLI's own checkpoint is
what knows best: `StateStore.load` reads it, whichever engine comes next, and the next save removes it.
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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from asgard.core.errors import AsgardError, Refused, Unreachable
from asgard.core.paths import private_dir, write_atomic
from asgard.odin.engine import installed
from asgard.odin.engine.deployment import PARALLEL
from asgard.odin.engine.run import Passphrase, light
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.state import State, StateStore
from asgard.odin.engine.steps import Event, Failure, OnEvent, Op, Result, Step
from asgard.odin.engine.values import SECRET_SIGNATURE, SIGNATURE, UNKNOWN_TEXT

if TYPE_CHECKING:
    from pulumi import automation

    from asgard.odin.engine.monitor import Program

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

    def preview(self, program: Program, keep: Iterable[str] = ()) -> Result:
        """What `up` would do. `keep` has to be empty: the CLI deletes what a program leaves out."""
        _refuse_keeping(keep)
        return self._run(program, lambda stack, **how: stack.preview(**how), after=False, writing=False)

    def up(self, program: Program, keep: Iterable[str] = ()) -> Result:
        """Make what is there what the program says. `keep` has to be empty, as in `preview`."""
        _refuse_keeping(keep)
        return self._run(
            program, lambda stack, **how: stack.up(continue_on_error=True, **how), after=True, writing=True
        )

    def refresh(self, *, dry_run: bool = False) -> Result:
        """Read everything in the state; with `dry_run` only say what has changed."""
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
            _nothing, lambda stack, **how: stack.destroy(continue_on_error=True, **how), after=True, writing=True
        )

    def _run(self, program: Program, act: Callable[..., Any], after: bool, writing: bool) -> Result:
        state = self.store.load()
        if any(kind == "creating" for kind, _ in state.pending.values()):
            raise Refused(
                "an interrupted run left creations unfinished, and the Pulumi CLI can't settle them",
                "run `asgard odin up` with Asgard's own engine once (--engine embedded)",
            )
        if writing and (self.store.log_path.exists() or self.store.backend.exists()):
            self.store.save(state)
        result = Result(warnings=list(self.store.warnings))
        with self._workspace(program, state, writing) as stack, light():
            with _interruptible(result):
                self._follow(stack, act, after, result)
            if writing:
                self._take_back(state)
        return result

    @contextmanager
    def _workspace(self, program: Program, state: State, writing: bool = True) -> Iterator[automation.Stack]:
        """A private backend with the state of record in it; removed afterwards, unless the process dies."""

        if available() is None:
            raise Unreachable(
                "the Pulumi CLI is not on PATH",
                "`asgard odin engine install` gets it; local and external stacks need none (--engine embedded)",
            )
        # A preview stays away from what a killed run may have left in the stack's own place.
        home = self.store.backend if writing else Path(tempfile.mkdtemp(prefix="asgard-"))
        shutil.rmtree(home, ignore_errors=True)
        private_dir(home)
        (home / "backend").mkdir()
        secret_file = home / "passphrase"
        # A preview of a stack without secrets needs no passphrase that is kept.
        write_atomic(secret_file, self.passphrase() if writing or state.salt else secrets.token_hex())
        try:
            with _plain_errors(preparing=True):
                stack = self._prepared(program, state, home, secret_file)
            yield stack
        finally:
            shutil.rmtree(home, ignore_errors=True)

    def _prepared(self, program: Program, state: State, home: Path, secret_file: Path) -> automation.Stack:
        """The stack in its private backend, with the state of record."""
        from pulumi import automation

        workspace = automation.LocalWorkspace(
            work_dir=str(home),
            program=program,
            project_settings=automation.ProjectSettings(self.stack.project, "python"),
            stack_settings={self.stack.name: automation.StackSettings(encryption_salt=state.salt)}
            if state.salt
            else None,
            secrets_provider="passphrase",
            env_vars={
                "PATH": os.pathsep.join(
                    [sysconfig.get_path("scripts"), str(Path(sys.executable).parent), installed.search_path()]
                ),
                "PULUMI_BACKEND_URL": f"file://{home / 'backend'}",
                "PULUMI_CONFIG_PASSPHRASE_FILE": str(secret_file),
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                **self.environment,
            },
        )
        stack = automation.Stack.create_or_select(self.stack.name, workspace)
        if state.live or state.retired:
            stack.import_stack(automation.Deployment(version=3, deployment=state.deployment()))
        return stack

    def _follow(self, stack: automation.Stack, act: Callable[..., Any], after: bool, result: Result) -> None:
        """Let the CLI work and turn its events into steps."""
        from pulumi import automation

        def on_event(event: automation.EngineEvent) -> None:
            self._note(event, result, after)

        try:
            with _plain_errors():
                done = act(stack, on_event=on_event, parallel=PARALLEL, color="never", suppress_progress=True)
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

    def _take_back(self, before: State) -> None:
        """The CLI's checkpoint becomes the state of record; without the stack traces it keeps, which name this machine's paths."""
        state = self.store.cli_checkpoint()
        if state is None:
            return
        for record in state:
            record.pop("sourcePosition", None)
            record.pop("stackTrace", None)
        state.meta, state.serial = before.meta, before.serial
        self.store.save(state)


@contextmanager
def _plain_errors(*, preparing: bool = False) -> Iterator[None]:
    """What goes wrong in the CLI, or on the way to it, is no defect of Asgard: a sentence, and exit 3. The failure of a command
    is the run's own result, unless it only prepares the run."""
    import subprocess

    import grpc
    from pulumi import automation

    try:
        yield
    except automation.CommandError as error:
        if preparing:
            raise _unusable(error) from error
        raise
    except AsgardError:
        raise
    except automation.InvalidVersionError as error:
        raise Unreachable(
            f"the version of the Pulumi CLI can't be used: {_first_line(error)}",
            "Install a release from pulumi.com, or use --engine embedded.",
        ) from error
    except (OSError, subprocess.SubprocessError, grpc.RpcError, ValueError, RuntimeError) as error:
        raise _unusable(error) from error
    except Exception as error:
        # The Automation API raises bare exceptions too; those of this program are Asgard's own.
        if type(error) is not Exception:
            raise
        raise _unusable(error) from error


def _unusable(error: Exception) -> Unreachable:
    return Unreachable(
        f"the Pulumi CLI failed: {_first_line(error)}",
        "`pulumi about` says whether it works by itself; --engine embedded needs none.",
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"{type(error).__name__}: {lines[0][:300]}"


@contextmanager
def _interruptible(result: Result) -> Iterator[None]:
    """Ctrl-C goes to the CLI as well, which finishes what is under way: here it is only noted, so that the program's side of
    the conversation stays up until then. SIGTERM comes to this process alone and is handed on."""
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


def _refuse_keeping(keep: Iterable[str]) -> None:
    if any(True for _ in keep):
        raise ValueError("the Pulumi CLI can't keep resources that the program leaves out")


def _nothing() -> None:
    """The program of verbs that need none."""


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
