"""Dynamic configs of brokers: only the keys that were named, and what stood there before comes back in the end."""

from __future__ import annotations

from asgard.kafka.model import ConfigChange
from asgard.odin.provider.cluster import Cluster
from asgard.odin.provider.permits import Permits
from asgard.odin.resources.kinds import Values
from asgard.odin.resources.observe import Observed

NEVER_UNSET = frozenset({"min.insync.replicas"})
"""Kafka refuses to remove it from the cluster-wide default where eligible leader replicas are on."""


class Configs:
    """The effects of `asgard:kafka:Config`.

    A value that is in force already is never written: a write of the cluster-wide min.insync.replicas, even of the same
    value, clears all eligible leader replicas (KIP-966).
    """

    def __init__(self, cluster: Cluster, permits: Permits) -> None:
        self._cluster = cluster
        self._permits = permits

    def taken(self, new: Values, observed: Observed) -> bool:
        """Never: configs are always there, and what they were is kept in `previous`."""
        return False

    async def create(self, urn: str, new: Values) -> Values:
        """Set the keys; what was set there before is remembered.

        Where a killed run wrote the values already, what stood before it is not known: those keys are unset in the end, but
        for those that can't be.
        """
        there = await self._there(new["broker"])
        wanted = new["config"]
        adopting = wanted.keys() - NEVER_UNSET if urn in self._permits.adopting else ()
        ours = {key for key in adopting if there.get(key) == wanted[key]}
        await self._set(new["broker"], there, wanted)
        return {**new, "previous": {key: there[key] for key in wanted if key in there and key not in ours}}

    async def update(self, old: Values, new: Values) -> Values:
        """Set what differs; a key that is no longer named gets back what stood there before."""
        there = await self._there(new["broker"])
        before, wanted = old.get("config", {}), new["config"]
        previous: dict[str, str] = dict(old.get("previous", {}))
        dropped = {key for key in before if key not in wanted}
        await self._set(new["broker"], there, {**wanted, **{k: previous[k] for k in dropped if k in previous}}, dropped)
        kept = {key: value for key, value in previous.items() if key in wanted}
        added = {key: there[key] for key in wanted if key not in before and key in there}
        return {**new, "previous": kept | added}

    async def delete(self, old: Values) -> None:
        """Give every key back what stood there before, or unset it."""
        there = await self._there(old["broker"])
        await self._set(old["broker"], there, old.get("previous", {}), set(old["config"]))

    async def _there(self, broker: str) -> dict[str, str]:
        return await self._cluster.look(lambda observed: observed.broker_configs(broker))

    async def _set(
        self, broker: str, there: dict[str, str], wanted: dict[str, str], dropped: set[str] | None = None
    ) -> None:
        """Write what truly differs; of `dropped`, unset what has no wanted value and may be unset."""
        unset = tuple(
            sorted(key for key in dropped or () if key in there and key not in wanted and key not in NEVER_UNSET)
        )
        change = ConfigChange("broker", broker, {k: v for k, v in wanted.items() if there.get(k) != v}, unset)
        if change.set or change.unset:
            self._permits.check_losses(await self._cluster.losses(change))
            await self._cluster.alter_config(change)
