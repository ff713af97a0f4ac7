"""The provider as a process: `pulumi-resource-asgard`, which the Pulumi CLI starts and speaks gRPC with.

It uses its own servicer, since the SDK's experimental one loses unknown values and adds a traceback to every refusal.
`ASGARD_ALLOW_DATA_LOSS=topic,topic` is what `--allow-data-loss` is to `asgard odin up`. Started for an `asgard odin up
--engine pulumi`, it writes under that command's leases (`provider.writes`), and `ASGARD_ADOPTING` is a JSON list of the
URNs whose creation an earlier run began.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from pulumi.runtime import proto
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import provider_pb2_grpc

from asgard import __version__
from asgard.core.errors import AsgardError, Refused, WrongUsage
from asgard.odin.provider.protocol import CheckedInputs, Difference, Provider
from asgard.odin.provider.provider import AsgardProvider
from asgard.odin.provider.wire import from_struct, to_struct
from asgard.odin.provider.writes import from_environment

T = TypeVar("T")


async def _told(work: Awaitable[T], context: Any) -> T:
    """The result; an Asgard error becomes the text of the answer, as users should read it."""
    try:
        return await work
    except AsgardError as error:
        code = {Refused: grpc.StatusCode.FAILED_PRECONDITION, WrongUsage: grpc.StatusCode.INVALID_ARGUMENT}
        await context.abort(code.get(type(error), grpc.StatusCode.UNKNOWN), str(error))
        raise AssertionError("abort raises") from error


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """Pulumi's resource provider service on top of a `Provider`."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Version of the plugin."""
        return proto.PluginInfo(version=__version__)

    async def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The package schema."""
        return proto.GetSchemaResponse(schema=self._provider.schema())

    async def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Check the provider's configuration."""
        return _checked(await _told(self._provider.check_config(from_struct(request.news)), context))

    async def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Compare two configurations of the provider."""
        old, new = from_struct(request.olds), from_struct(request.news)
        return _difference(await _told(self._provider.diff_config(old, new), context))

    async def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Take the provider's configuration."""
        await _told(self._provider.configure(from_struct(request.args)), context)
        return proto.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Check the inputs of a resource."""
        old, new = from_struct(request.olds), from_struct(request.news)
        return _checked(await _told(self._provider.check(request.urn, old, new), context))

    async def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Compare state and inputs."""
        old, new = from_struct(request.olds), from_struct(request.news)
        work = self._provider.diff(request.urn, request.id, old, new, list(request.ignoreChanges))
        return _difference(await _told(work, context))

    async def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Create a resource."""
        inputs = from_struct(request.properties)
        made = await _told(self._provider.create(request.urn, inputs, preview=request.preview), context)
        return proto.CreateResponse(id=made.id, properties=to_struct(made.outputs))

    async def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Read a resource as it is now."""
        outputs, inputs = from_struct(request.properties), from_struct(request.inputs)
        found = await _told(self._provider.read(request.urn, request.id, outputs, inputs), context)
        if found is None:
            return proto.ReadResponse()
        return proto.ReadResponse(id=found.id, properties=to_struct(found.outputs), inputs=to_struct(found.inputs))

    async def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Change a resource in place."""
        old, new = from_struct(request.olds), from_struct(request.news)
        work = self._provider.update(request.urn, request.id, old, new, preview=request.preview)
        return proto.UpdateResponse(properties=to_struct(await _told(work, context)))

    async def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Delete a resource."""
        await _told(self._provider.delete(request.urn, request.id, from_struct(request.properties)), context)
        return empty_pb2.Empty()

    async def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The engine gives up: nothing in flight needs to be undone."""
        return empty_pb2.Empty()


def _checked(answer: CheckedInputs) -> Any:
    failures = [proto.CheckFailure(property=name, reason=reason) for name, reason in answer.wrong]
    return proto.CheckResponse(inputs=to_struct(answer.inputs), failures=failures)


def _difference(answer: Difference) -> Any:
    changes = {
        None: proto.DiffResponse.DIFF_UNKNOWN,
        True: proto.DiffResponse.DIFF_SOME,
        False: proto.DiffResponse.DIFF_NONE,
    }
    kinds = {path: getattr(proto.PropertyDiff, kind.upper().replace("-", "_")) for path, kind in answer.detail.items()}
    return proto.DiffResponse(
        changes=changes[answer.changed],
        replaces=answer.replaces,
        diffs=answer.names,
        deleteBeforeReplace=answer.delete_first,
        detailedDiff={path: proto.PropertyDiff(kind=kind) for path, kind in kinds.items()},
        hasDetailedDiff=bool(kinds),
    )


async def serve(provider: Provider) -> None:
    """Serve on a free port of 127.0.0.1, printed on stdout, until SIGTERM or SIGINT."""
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
    adopting = frozenset(json.loads(os.environ.get("ASGARD_ADOPTING", "[]")))
    writes = from_environment()
    if writes is None:
        asyncio.run(serve(AsgardProvider(allow_data_loss=names, adopting=adopting)))
        return
    with writes.journal:
        provider = AsgardProvider(allow_data_loss=names, adopting=adopting, connect=writes.connect, writes=writes)
        asyncio.run(serve(provider))
