"""The resource monitor: what the SDK of a running program talks to, in process instead of over gRPC.

The SDK calls the monitor from its event loop's default executor and awaits the answer. Hundreds of resources are in
flight at once, so instead of using a thread for each, `InlineExecutor` makes such a call immediately, on the loop, and
returns the monitor's task. Anything else that uses the executor (a provider's blocking calls) gets a thread as usual.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from asgard.core.errors import Failed
from asgard.odin.engine.deployment import PARALLEL, Deployment
from asgard.odin.engine.goals import Goal, Program, Registered
from asgard.odin.engine.register import register
from asgard.odin.engine.steps import PROVIDER_PREFIX, Event
from asgard.odin.provider.wire import from_struct, to_struct
from asgard.odin.resources.values import Values, display, has_unknown, reveal

if TYPE_CHECKING:
    from pulumi.runtime.proto import resource_pb2


SDKS_CALLS = "pulumi.runtime._context"
"""The module of the SDK's functions that it hands to the executor. This is the only private name of the SDK that the
engine uses: if it changes, those calls take a thread each, and `tests/unit/engine/test_program.py` fails."""


async def run_program(run: Deployment, program: Program) -> None:
    """Run a program against the monitor; raises what the program raises."""
    from pulumi.runtime import settings, stack
    from pulumi.runtime.config import set_all_config

    loop = asyncio.get_running_loop()
    loop.set_default_executor(InlineExecutor(32, thread_name_prefix="provider"))
    # When a program fails, the SDK leaves behind futures of everything that depended on the failure; the failure itself
    # is raised.
    loop.set_exception_handler(
        lambda loop, context: (
            None if "never retrieved" in context["message"] else loop.default_exception_handler(context)
        )
    )
    settings.configure(
        settings.Settings(
            project=run.stack.project,
            stack=run.stack.name,
            monitor=Monitor(run),
            engine=EngineLog(run),
            parallel=PARALLEL,
            dry_run=run.preview,
            organization="organization",
        )
    )
    set_all_config({})
    await stack.run_in_stack(program)


class InlineExecutor(ThreadPoolExecutor):
    """Runs the SDK's own calls at once and everything else in threads."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The future of the call; for a call to the monitor the task that answers it, which `run_in_executor` awaits as it is."""
        if getattr(fn, "__module__", "") != SDKS_CALLS:
            return super().submit(fn, *args, **kwargs)
        future: Future[Any] = Future()
        try:
            answer = fn(*args, **kwargs)
        except Exception as error:
            future.set_exception(error)
            return future
        if isinstance(answer, asyncio.Future):
            return answer  # type: ignore[return-value]
        future.set_result(answer)
        return future


class Monitor:
    """The methods of Pulumi's ResourceMonitor that programs of Asgard's own resources use; all others are refused."""

    def __init__(self, run: Deployment) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._defaults: dict[str, asyncio.Task[Registered]] = {}

    def GetDeploymentInfo(self, request: Any) -> Any:  # noqa: N802
        """The features that programs may use."""
        from pulumi.runtime.proto import resource_pb2

        return resource_pb2.DeploymentInfo(
            supportedFeatures=[
                resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
                resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES,
                resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
                resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
            ]
        )

    def SupportsFeature(self, request: Any) -> Any:  # noqa: N802
        """Older SDKs ask for a feature by name."""
        from pulumi.runtime.proto import resource_pb2

        return resource_pb2.SupportsFeatureResponse(
            hasSupport=request.id in ("secrets", "resourceReferences", "aliasSpecs", "deletedWith")
        )

    def RegisterResource(self, request: resource_pb2.RegisterResourceRequest) -> Any:  # noqa: N802
        """Register a resource: returns a task on the loop's own thread, the answer itself on any other."""
        return self._answer(self._register(request))

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        """Store the outputs of a component or of the stack."""
        from google.protobuf import empty_pb2

        self._keep_outputs(request.urn, from_struct(request.outputs))
        return empty_pb2.Empty()

    def SignalAndWaitForShutdown(self, request: Any) -> Any:  # noqa: N802
        """The program has nothing more to register."""
        from google.protobuf import empty_pb2

        return empty_pb2.Empty()

    def __getattr__(self, name: str) -> Any:
        def refuse(request: Any) -> Any:
            raise Failed(
                f"the program uses {name}, which Asgard's own engine does not offer",
                "run it with the Pulumi CLI: --engine pulumi",
            )

        if not name[:1].isupper():
            raise AttributeError(name)
        return refuse

    def _answer(self, work: Any) -> Any:
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        return asyncio.ensure_future(work) if here else asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _register(self, request: resource_pb2.RegisterResourceRequest) -> Any:
        from pulumi.runtime.proto import resource_pb2

        goal = self._goal(request)
        if goal.custom and not goal.is_provider and not goal.provider:
            goal.provider = await self._default_provider(goal.type.split(":")[0], request.version)
        made = await register(self._run, goal)
        result = resource_pb2.Result.SUCCESS if made.outcome == "done" else resource_pb2.Result.FAIL
        return resource_pb2.RegisterResourceResponse(
            urn=made.urn, id=made.id, object=to_struct(made.outputs), result=result
        )

    def _goal(self, request: resource_pb2.RegisterResourceRequest) -> Goal:
        for used, what in ((request.remote, "remote components"), (request.aliases or request.aliasURNs, "aliases")):
            if used:
                raise Failed(
                    f"the program uses {what}, which Asgard's own engine does not offer",
                    "use the Pulumi CLI: --engine pulumi",
                )
        inputs = from_struct(request.object)
        if request.type.startswith(PROVIDER_PREFIX) and request.version:
            inputs["version"] = request.version
        return Goal(
            urn=self._run.stack.child(request.parent, request.type, request.name),
            type=request.type,
            custom=request.custom,
            inputs=inputs,
            parent=request.parent,
            provider=request.provider,
            dependencies=list(request.dependencies),
            property_dependencies={key: list(value.urns) for key, value in request.propertyDependencies.items()},
            protect=request.protect,
            ignore_changes=list(request.ignoreChanges),
            replace_on_changes=list(request.replaceOnChanges),
            delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
            additional_secret_outputs=list(request.additionalSecretOutputs),
            import_id=request.importId,
            retain_on_delete=request.retainOnDelete,
            deleted_with=request.deletedWith,
        )

    async def _default_provider(self, package: str, version: str) -> str:
        """The provider reference for resources that name none; the provider is registered when the first one comes."""
        key = f"{package}@{version}"
        if key not in self._defaults:
            name = "default" + (f"_{version.replace('.', '_')}" if version else "")
            type = PROVIDER_PREFIX + package
            inputs: Values = {"version": version} if version else {}
            goal = Goal(self._run.stack.child("", type, name), type, True, inputs)
            self._defaults[key] = asyncio.ensure_future(register(self._run, goal))
        made = await self._defaults[key]
        return f"{made.urn}::{made.id}"

    def _keep_outputs(self, urn: str, outputs: Values) -> None:
        run = self._run
        if urn == run.stack.urn:
            run.result.outputs = {key: display(value) for key, value in outputs.items()}
            run.result.secret_outputs = {key: reveal(value) for key, value in outputs.items() if not has_unknown(value)}
        if run.preview or urn not in run.new:
            return
        record = dict(run.new[urn])
        if urn in run.old:
            run.outputs(run.old[urn])  # opens its secrets, so that unchanged ones keep their ciphertext
        known = {key: value for key, value in outputs.items() if not has_unknown(value)}
        record.pop("outputs", None)
        if known:
            record["outputs"] = run.vault.encode(urn, known)
            record = {
                key: record[key] for key in ("urn", "custom", "type", "inputs", "outputs") if key in record
            } | record
        if record != run.state.live.get(urn):
            run.new[urn] = record
            run.record({"do": "put", "resource": record})


class EngineLog:
    """Where the SDK's `pulumi.log` goes: warnings and errors become warnings of the run, information becomes events."""

    def __init__(self, run: Deployment) -> None:
        self._run = run

    def Log(self, request: Any) -> None:  # noqa: N802
        """Take one message (severity: 0 debug, 1 info, 2 warning, 3 error)."""
        if request.severity == 0:
            return
        if request.severity > 1:
            self._run.result.warnings.append(request.message)
        self._run.on_event(Event("log", None, request.message))
