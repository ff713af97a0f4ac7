"""Drives the provider in process as an engine would: plain properties in, plain properties out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from asgard.kafka.connection import Connection
from asgard.odin.provider import sdk
from asgard.odin.provider.provider import AsgardProvider
from asgard.odin.provider.values import plain_map, wrapped
from asgard.odin.resources.kinds import Values
from tests.harness import RealCluster


def urn_of(token: str, name: str) -> str:
    """The URN that an engine would give."""
    return f"urn:pulumi:test::test::{token}::{name}"


def properties(values: Mapping[str, Any]) -> dict[str, sdk.PropertyValue]:
    """Plain values as Pulumi's."""
    return {name: wrapped(value) for name, value in values.items()}


class Driver:
    """One provider and what an engine does with it. `state` holds id and outputs by URN."""

    def __init__(self, provider: AsgardProvider) -> None:
        self.provider = provider
        self.state: dict[str, tuple[str, Values]] = {}

    async def configure(self, connection: Connection, cluster_id: str | None = None) -> None:
        """Tell the provider where the cluster is."""
        values: Values = {
            "bootstrapServers": connection.bootstrap_servers,
            "clientProperties": dict(connection.properties),
        }
        if cluster_id:
            values["clusterId"] = cluster_id
        await self.provider.configure(sdk.ConfigureRequest({}, properties(values), True, False))

    async def check(self, token: str, name: str, inputs: Values) -> tuple[Values, list[str]]:
        """Inputs with defaults, and what is wrong with them."""
        answer = await self.provider.check(sdk.CheckRequest(urn_of(token, name), {}, properties(inputs), b""))
        return plain_map(answer.inputs or {}), [failure.reason for failure in answer.failures or []]

    async def up(self, token: str, name: str, inputs: Values, *, preview: bool = False) -> str:
        """Check, diff and do what follows: `create`, `update`, `replace` or `same`."""
        urn = urn_of(token, name)
        values, wrong = await self.check(token, name, inputs)
        assert not wrong, wrong
        if urn not in self.state:
            await self._create(urn, values, preview)
            return "create"
        known, outputs = self.state[urn]
        diff = await self.provider.diff(sdk.DiffRequest(urn, known, properties(outputs), properties(values), []))
        if diff.replaces:
            if diff.delete_before_replace:
                await self.delete(token, name)
                await self._create(urn, values, preview)
            else:
                await self._create(urn, values, preview)
                await self.provider.delete(sdk.DeleteRequest(urn, known, properties(outputs), 0))
            return "replace"
        if not diff.changes:
            return "same"
        answer = await self.provider.update(
            sdk.UpdateRequest(urn, known, properties(outputs), properties(values), 0, [], preview)
        )
        if not preview:
            self.state[urn] = (known, plain_map(answer.properties))
        return "update"

    async def _create(self, urn: str, values: Values, preview: bool) -> None:
        answer = await self.provider.create(sdk.CreateRequest(urn, properties(values), 0, preview))
        if not preview:
            assert answer.resource_id
            self.state[urn] = (answer.resource_id, plain_map(answer.properties))

    async def read(self, token: str, name: str) -> Values | None:
        """The resource as it is now; the state follows."""
        urn = urn_of(token, name)
        known, outputs = self.state[urn]
        answer = await self.provider.read(sdk.ReadRequest(urn, known, properties(outputs), {}))
        if not answer.resource_id:
            del self.state[urn]
            return None
        self.state[urn] = (known, plain_map(answer.properties))
        return self.state[urn][1]

    async def delete(self, token: str, name: str) -> None:
        """Delete it."""
        urn = urn_of(token, name)
        known, outputs = self.state[urn]
        await self.provider.delete(sdk.DeleteRequest(urn, known, properties(outputs), 0))
        del self.state[urn]


@asynccontextmanager
async def driving(
    cluster: RealCluster, *, allow_data_loss: Iterable[str] = (), adopting: Iterable[str] = ()
) -> AsyncIterator[Driver]:
    """A provider of its own that is configured for the cluster."""
    provider = AsgardProvider(allow_data_loss=frozenset(allow_data_loss), adopting=frozenset(adopting))
    driver = Driver(provider)
    await driver.configure(cluster.connection, cluster.cluster_id)
    try:
        yield driver
    finally:
        await provider.close()
