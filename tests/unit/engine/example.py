"""A small provider to try engines with: things that live in one JSON file, named by the provider's configuration.

It runs in process (the embedded engine) and, by `python example.py ADDRESS`, as a plugin of the real CLI. A `Thing` has a `name`
and a `size` (changed in place), a `zone` (a new thing is made, then the old one deleted), a `slot` (the old thing goes first), a
`password` (secret) and an output `address`. A thing named `broken` can't be made; `size: -1` fails check.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from asgard.odin.provider.protocol import CheckedInputs, Difference, ResourceState
from asgard.odin.resources.values import UNKNOWN, Values, has_unknown, reveal, secret

SCHEMA = {
    "name": "example",
    "version": "1.2.3",
    "resources": {},
    "provider": {"inputProperties": {"path": {"type": "string"}}},
}
REPLACE = {"zone": False, "slot": True}


class ExampleProvider:
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

    def schema(self) -> str:
        return json.dumps(SCHEMA)

    async def check_config(self, inputs: Values) -> CheckedInputs:
        return CheckedInputs(inputs)

    async def diff_config(self, old: Values, new: Values) -> Difference:
        return Difference(None)

    async def configure(self, inputs: Values) -> None:
        path = inputs.get("path", os.environ.get("EXAMPLE_PATH", UNKNOWN))
        self.path = None if path is UNKNOWN else Path(path)

    async def close(self) -> None:
        pass

    async def check(self, urn: str, old: Values, new: Values) -> CheckedInputs:
        return CheckedInputs({"size": 1, **new}, [("size", "must not be negative")] if new.get("size") == -1 else [])

    async def diff(self, urn: str, id: str, outputs: Values, inputs: Values, ignored: Collection[str]) -> Difference:
        self.owned[urn] = id
        old, new = reveal(outputs), reveal(inputs)
        detail = {}
        for key in sorted({*old, *new} - {"address"}):
            if old.get(key) == new.get(key) or key in ignored:
                continue
            kind = "add" if key not in old else "delete" if key not in new else "update"
            detail[key] = f"{kind}-replace" if key in REPLACE else kind
        return Difference(
            bool(detail),
            list(detail),
            [key for key in detail if key in REPLACE],
            any(REPLACE.get(key) for key in detail),
            detail,
        )

    def _outputs(self, inputs: Values, id: str) -> Values:
        outputs = dict(inputs)
        if "password" in outputs:
            outputs["password"] = secret(outputs["password"])
        name = inputs.get("name")
        outputs["address"] = f"{name}.example" if id and not has_unknown(name) else UNKNOWN
        return outputs

    async def create(self, urn: str, inputs: Values, *, preview: bool) -> ResourceState:
        name = inputs.get("name")
        id = f"{name}@{inputs.get('zone', '')}"
        if not has_unknown(name) and self.path is not None:
            mine = urn in self.adopting or self.owned.get(urn) == id
            if id in self._read() and not mine:
                raise RuntimeError(f"{name} exists already")
        if preview:
            return ResourceState("", self._outputs(inputs, ""))
        await self._work(f"create {name}")
        if name == "broken":
            raise RuntimeError("broken can't be made")
        self._write({**self._read(), id: reveal(inputs)})
        return ResourceState(id, self._outputs(inputs, id))

    async def update(self, urn: str, id: str, old: Values, new: Values, *, preview: bool) -> Values:
        if not preview:
            await self._work(f"update {new['name']}")
            self._write({**self._read(), id: reveal(new)})
        return self._outputs(new, id)

    async def delete(self, urn: str, id: str, outputs: Values) -> None:
        await self._work(f"delete {id}")
        things = self._read()
        things.pop(id, None)
        self._write(things)

    async def read(self, urn: str, id: str, outputs: Values, inputs: Values) -> ResourceState | None:
        await self._work(f"read {id}")
        thing = self._read().get(id)
        if thing is None:
            return None
        if "password" in thing:
            thing["password"] = secret(thing["password"])
        return ResourceState(id, self._outputs(thing, id), thing)

    async def _work(self, what: str) -> None:
        self.calls.append(what)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.delay)
        finally:
            self.in_flight -= 1


if __name__ == "__main__":
    from asgard.odin.provider.serve import serve

    asyncio.run(serve(ExampleProvider()))
