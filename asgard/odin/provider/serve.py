"""The provider as a process: `pulumi-resource-asgard`, which the Pulumi CLI starts and speaks gRPC with.

A servicer of our own in place of the SDK's experimental one, whose answers lose unknown values and carry a traceback with every
refusal. `ASGARD_ALLOW_DATA_LOSS=topic,topic` is what `--allow-data-loss` is to `asgard odin up`. Started for an
`asgard odin up --engine pulumi`, it writes under that command's leases (`provider.writes`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime import proto
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import provider_pb2_grpc
from pulumi.runtime.rpc import UNKNOWN as WIRE_UNKNOWN

from asgard import __version__
from asgard.core.errors import AsgardError, Refused, WrongUsage
from asgard.odin.provider import sdk
from asgard.odin.provider.provider import AsgardProvider
from asgard.odin.provider.writes import from_environment

T = TypeVar("T")


def from_wire(properties: struct_pb2.Struct) -> dict[str, sdk.PropertyValue]:
    """Properties as they came, unknown ones as `Computed`."""
    return {
        name: _swap(value, _known_to_computed) for name, value in sdk.PropertyValue.unmarshal_map(properties).items()
    }


def to_wire(properties: Mapping[str, sdk.PropertyValue]) -> struct_pb2.Struct:
    """Properties to send, `Computed` as the engine's sign for unknown."""
    return sdk.PropertyValue.marshal_map({name: _swap(value, _computed_to_known) for name, value in properties.items()})


def _known_to_computed(inner: Any) -> Any:
    return sdk.Computed() if inner == WIRE_UNKNOWN else inner


def _computed_to_known(inner: Any) -> Any:
    return WIRE_UNKNOWN if isinstance(inner, sdk.Computed) else inner


def _swap(value: sdk.PropertyValue, leaf: Callable[[Any], Any]) -> sdk.PropertyValue:
    inner = value.value
    if isinstance(inner, Mapping):
        return value.with_value({key: _swap(item, leaf) for key, item in inner.items()})
    if isinstance(inner, tuple):
        return value.with_value([_swap(item, leaf) for item in inner])
    if isinstance(inner, str | sdk.Computed):
        return value.with_value(leaf(inner))
    return value


async def _told(work: Awaitable[T], context: Any) -> T:
    """The result; an error of Asgard's becomes the text of the answer, as people are to read it."""
    try:
        return await work
    except AsgardError as error:
        code = {Refused: grpc.StatusCode.FAILED_PRECONDITION, WrongUsage: grpc.StatusCode.INVALID_ARGUMENT}
        await context.abort(code.get(type(error), grpc.StatusCode.UNKNOWN), str(error))
        raise AssertionError("abort raises") from error


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """Pulumi's resource provider service on top of a `Provider`."""

    def __init__(self, provider: AsgardProvider) -> None:
        self._provider = provider

    async def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Version of the plugin."""
        return proto.PluginInfo(version=__version__)

    async def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The package schema."""
        answer = await self._provider.get_schema(sdk.GetSchemaRequest(request.version))
        return proto.GetSchemaResponse(schema=answer.schema or "")

    async def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Check the provider's configuration."""
        return _check_response(await _told(self._provider.check_config(_check_request(request)), context))

    async def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Compare two configurations of the provider."""
        return _diff_response(await _told(self._provider.diff_config(_diff_request(request)), context))

    async def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Take the provider's configuration."""
        answer = await _told(
            self._provider.configure(
                sdk.ConfigureRequest(
                    dict(request.variables), from_wire(request.args), request.acceptSecrets, request.acceptResources
                )
            ),
            context,
        )
        return proto.ConfigureResponse(
            acceptSecrets=answer.accept_secrets,
            supportsPreview=answer.supports_preview,
            acceptResources=answer.accept_resources,
            acceptOutputs=answer.accept_outputs,
        )

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Check the inputs of a resource."""
        return _check_response(await _told(self._provider.check(_check_request(request)), context))

    async def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Compare state and inputs."""
        return _diff_response(await _told(self._provider.diff(_diff_request(request)), context))

    async def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Create a resource."""
        answer = await _told(
            self._provider.create(
                sdk.CreateRequest(request.urn, from_wire(request.properties), request.timeout, request.preview)
            ),
            context,
        )
        return proto.CreateResponse(id=answer.resource_id or "", properties=to_wire(answer.properties))

    async def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Read a resource as it is now."""
        answer = await _told(
            self._provider.read(
                sdk.ReadRequest(request.urn, request.id, from_wire(request.properties), from_wire(request.inputs))
            ),
            context,
        )
        return proto.ReadResponse(
            id=answer.resource_id or "", properties=to_wire(answer.properties), inputs=to_wire(answer.inputs)
        )

    async def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Change a resource in place."""
        answer = await _told(
            self._provider.update(
                sdk.UpdateRequest(
                    request.urn,
                    request.id,
                    from_wire(request.olds),
                    from_wire(request.news),
                    request.timeout,
                    list(request.ignoreChanges),
                    request.preview,
                )
            ),
            context,
        )
        return proto.UpdateResponse(properties=to_wire(answer.properties))

    async def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Delete a resource."""
        await _told(
            self._provider.delete(
                sdk.DeleteRequest(request.urn, request.id, from_wire(request.properties), request.timeout)
            ),
            context,
        )
        return empty_pb2.Empty()

    async def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Stop taking work."""
        await self._provider.cancel()
        return empty_pb2.Empty()


def _check_request(request: Any) -> sdk.CheckRequest:
    return sdk.CheckRequest(request.urn, from_wire(request.olds), from_wire(request.news), request.randomSeed)


def _check_response(answer: sdk.CheckResponse) -> Any:
    failures = [proto.CheckFailure(property=f.property, reason=f.reason) for f in answer.failures or ()]
    return proto.CheckResponse(inputs=to_wire(answer.inputs or {}), failures=failures)


def _diff_request(request: Any) -> sdk.DiffRequest:
    return sdk.DiffRequest(
        request.urn, request.id, from_wire(request.olds), from_wire(request.news), list(request.ignoreChanges)
    )


def _diff_response(answer: sdk.DiffResponse) -> Any:
    changes = {
        None: proto.DiffResponse.DIFF_UNKNOWN,
        True: proto.DiffResponse.DIFF_SOME,
        False: proto.DiffResponse.DIFF_NONE,
    }
    return proto.DiffResponse(
        changes=changes[answer.changes],
        replaces=answer.replaces,
        stables=answer.stables,
        deleteBeforeReplace=answer.delete_before_replace,
        diffs=answer.diffs,
        detailedDiff={
            path: proto.PropertyDiff(kind=getattr(proto.PropertyDiff, diff.kind.name), inputDiff=diff.input_diff)
            for path, diff in answer.detailed_diff.items()
        },
        hasDetailedDiff=bool(answer.detailed_diff),
    )


async def serve(provider: AsgardProvider) -> None:
    """Serve on a free port of 127.0.0.1, told on stdout, until SIGTERM or SIGINT."""
    server = grpc.aio.server(options=_GRPC_CHANNEL_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(provider), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    await server.stop(grace=5)
    await provider.close()


def main() -> None:
    """The console script `pulumi-resource-asgard`."""
    parser = argparse.ArgumentParser(
        prog="pulumi-resource-asgard", description="Pulumi's resource provider for Kafka; started by the Pulumi engine."
    )
    parser.add_argument("engine", nargs="?", help="address of the engine, which Asgard does not need")
    parser.parse_known_args()
    allowed = os.environ.get("ASGARD_ALLOW_DATA_LOSS", "")
    names = frozenset(name.strip() for name in allowed.split(",") if name.strip())
    writes = from_environment()
    if writes is None:
        asyncio.run(serve(AsgardProvider(allow_data_loss=names)))
        return
    with writes.journal:
        provider = AsgardProvider(allow_data_loss=names, connect=writes.connect, writes=writes)
        asyncio.run(serve(provider))
