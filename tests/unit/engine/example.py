"""A small provider to try engines with: things that live in one JSON file, named by the provider's configuration.

It runs in process (the embedded engine) and, by `python example.py ADDRESS`, as a plugin of the real CLI. A `Thing` has a `name`
and a `size` (changed in place), a `zone` (a new thing is made, then the old one deleted), a `slot` (the old thing goes first), a
`password` (secret) and an output `address`. A thing named `broken` can't be made; `size: -1` fails check.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from asgard.odin.engine.values import UNKNOWN, UNKNOWN_TEXT, has_unknown, reveal, secret
from asgard.odin.engine.wire import from_properties, to_properties
from asgard.odin.provider import sdk

SCHEMA = {
    "name": "example",
    "version": "1.2.3",
    "resources": {},
    "provider": {"inputProperties": {"path": {"type": "string"}}},
}
REPLACE = {"zone": False, "slot": True}


class ExampleProvider(sdk.Provider):
    """Keeps what it made in a file; remembers the calls it got."""

    def __init__(self, adopting: frozenset[str] = frozenset()) -> None:
        self.adopting = adopting
        self.path: Path | None = None
        self.calls: list[str] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.delay = 0.0
        self.owned: dict[str, str] = {}

    def _read(self) -> dict[str, Any]:
        if self.path is None:
            raise RuntimeError("the example provider is not configured")
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    def _write(self, things: dict[str, Any]) -> None:
        assert self.path is not None
        self.path.write_text(json.dumps(things))

    async def get_schema(self, request: sdk.GetSchemaRequest) -> sdk.GetSchemaResponse:
        return sdk.GetSchemaResponse(schema=json.dumps(SCHEMA))

    async def configure(self, request: sdk.ConfigureRequest) -> sdk.ConfigureResponse:
        path = from_properties(request.args).get("path", os.environ.get("EXAMPLE_PATH", UNKNOWN))
        self.path = None if path is UNKNOWN else Path(path)
        return await super().configure(request)

    async def check(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        inputs = from_properties(request.new_inputs)
        failures = []
        if inputs.get("size") == -1:
            failures.append(sdk.CheckFailure("size", "must not be negative"))
        inputs.setdefault("size", 1)
        return sdk.CheckResponse(_wire(inputs), failures)

    async def diff(self, request: sdk.DiffRequest) -> sdk.DiffResponse:
        self.owned[request.urn] = request.resource_id
        old, new = reveal(from_properties(request.old_state)), reveal(from_properties(request.new_inputs))
        detailed = {}
        for key in sorted({*old, *new} - {"address"}):
            if old.get(key) == new.get(key) or key in request.ignore_changes:
                continue
            kind = "ADD" if key not in old else "DELETE" if key not in new else "UPDATE"
            detailed[key] = sdk.PropertyDiff(sdk.PropertyDiffKind[f"{kind}_REPLACE" if key in REPLACE else kind], True)
        return sdk.DiffResponse(
            changes=bool(detailed),
            replaces=[key for key in detailed if key in REPLACE],
            delete_before_replace=any(REPLACE.get(key) for key in detailed),
            diffs=list(detailed),
            detailed_diff=detailed,
        )

    def _outputs(self, inputs: dict[str, Any], id: str | None) -> dict[str, sdk.PropertyValue]:
        outputs = dict(inputs)
        if "password" in outputs:
            outputs["password"] = secret(outputs["password"])
        name = inputs.get("name")
        outputs["address"] = UNKNOWN_TEXT if id is None or has_unknown(name) else f"{name}.example"
        return _wire(outputs)

    async def create(self, request: sdk.CreateRequest) -> sdk.CreateResponse:
        inputs = from_properties(request.properties)
        name = inputs.get("name")
        id = f"{name}@{inputs.get('zone', '')}"
        if not has_unknown(name) and self.path is not None:
            mine = request.urn in self.adopting or self.owned.get(request.urn) == id
            if id in self._read() and not mine:
                raise RuntimeError(f"{name} exists already")
        if request.preview:
            return sdk.CreateResponse(None, self._outputs(inputs, None))
        await self._work(f"create {name}")
        if name == "broken":
            raise RuntimeError("broken can't be made")
        self._write({**self._read(), id: reveal(inputs)})
        return sdk.CreateResponse(id, self._outputs(inputs, id))

    async def update(self, request: sdk.UpdateRequest) -> sdk.UpdateResponse:
        inputs = from_properties(request.news)
        if not request.preview:
            await self._work(f"update {inputs['name']}")
            self._write({**self._read(), request.resource_id: reveal(inputs)})
        return sdk.UpdateResponse(self._outputs(inputs, request.resource_id))

    async def delete(self, request: sdk.DeleteRequest) -> None:
        await self._work(f"delete {request.resource_id}")
        things = self._read()
        things.pop(request.resource_id, None)
        self._write(things)

    async def read(self, request: sdk.ReadRequest) -> sdk.ReadResponse:
        await self._work(f"read {request.resource_id}")
        thing = self._read().get(request.resource_id)
        if thing is None:
            return sdk.ReadResponse(None)
        if "password" in thing:
            thing["password"] = secret(thing["password"])
        return sdk.ReadResponse(request.resource_id, self._outputs(thing, request.resource_id), to_properties(thing))

    async def _work(self, what: str) -> None:
        self.calls.append(what)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.delay)
        finally:
            self.in_flight -= 1


def _wire(outputs: dict[str, Any]) -> dict[str, sdk.PropertyValue]:
    """Unknowns as the text that also travels over gRPC (the SDK's server can't send a `Computed`)."""
    return to_properties({key: UNKNOWN_TEXT if has_unknown(value) else value for key, value in outputs.items()})


if __name__ == "__main__":
    from pulumi.provider.experimental.server import main

    main(sys.argv[1:], "1.2.3", ExampleProvider())
