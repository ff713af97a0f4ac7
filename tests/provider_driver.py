"""Drives the provider in process as an engine would, without secrets marked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from asgard.kafka.connection import Connection
from asgard.odin.provider.provider import AsgardProvider
from asgard.odin.resources.values import Values, reveal
from tests.harness import RealCluster


def urn_of(token: str, name: str) -> str:
    """The URN that an engine would give."""
    return f"urn:pulumi:test::test::{token}::{name}"


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
        await self.provider.configure(values)

    async def check(self, token: str, name: str, inputs: Values) -> tuple[Values, list[str]]:
        """Inputs with defaults, and what is wrong with them."""
        answer = await self.provider.check(urn_of(token, name), {}, inputs)
        return reveal(answer.inputs), [reason for _, reason in answer.wrong]

    async def up(self, token: str, name: str, inputs: Values, *, preview: bool = False) -> str:
        """Check, diff and do what follows: `create`, `update`, `replace` or `same`."""
        urn = urn_of(token, name)
        values, wrong = await self.check(token, name, inputs)
        assert not wrong, wrong
        if urn not in self.state:
            await self._create(urn, values, preview)
            return "create"
        known, outputs = self.state[urn]
        diff = await self.provider.diff(urn, known, outputs, values, [])
        if diff.replaces:
            if diff.delete_first:
                await self.delete(token, name)
                await self._create(urn, values, preview)
            else:
                await self._create(urn, values, preview)
                await self.provider.delete(urn, known, outputs)
            return "replace"
        if not diff.changed:
            return "same"
        changed = await self.provider.update(urn, known, outputs, values, preview=preview)
        if not preview:
            self.state[urn] = (known, reveal(changed))
        return "update"

    async def _create(self, urn: str, values: Values, preview: bool) -> None:
        made = await self.provider.create(urn, values, preview=preview)
        if not preview:
            assert made.id
            self.state[urn] = (made.id, reveal(made.outputs))

    async def read(self, token: str, name: str) -> Values | None:
        """The resource as it is now; the state follows."""
        urn = urn_of(token, name)
        known, outputs = self.state[urn]
        found = await self.provider.read(urn, known, outputs, {})
        if found is None:
            del self.state[urn]
            return None
        self.state[urn] = (known, reveal(found.outputs))
        return self.state[urn][1]

    async def delete(self, token: str, name: str) -> None:
        """Delete it."""
        urn = urn_of(token, name)
        known, outputs = self.state[urn]
        await self.provider.delete(urn, known, outputs)
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
