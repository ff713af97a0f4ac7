"""Dynamic configs of brokers: only the named keys, and their earlier values are put back in the end."""

from __future__ import annotations

from asgard.kafka.model import ConfigChange
from asgard.odin.provider.cluster import ClusterClient
from asgard.odin.provider.former import Former
from asgard.odin.provider.permits import Permits
from asgard.odin.resources import configs
from asgard.odin.resources.observe import Observed
from asgard.odin.resources.values import Values

NEVER_UNSET = frozenset({"min.insync.replicas"})
"""Kafka refuses to remove it from the cluster-wide default if eligible leader replicas are on."""


class Configs:
    """The effects of `asgard:kafka:Config`.

    A value that already applies is never written: a write of the cluster-wide min.insync.replicas, even of the same
    value, clears all eligible leader replicas (KIP-966).
    """

    def __init__(self, cluster: ClusterClient, permits: Permits) -> None:
        self._cluster = cluster
        self._permits = permits

    def taken(self, new: Values, observed: Observed) -> bool:
        """Never: configs always exist, and their earlier values are in `previous`."""
        return False

    async def create(self, urn: str, new: Values) -> Values:
        """Set the keys; their earlier values are recorded, even if a killed run has already set them."""
        there, former = await self._there(new["broker"])
        previous = former.values(new["broker"], there, new["config"])
        await self._set(new["broker"], there, former, new["config"])
        return {**new, "previous": previous}

    async def update(self, old: Values, new: Values) -> Values:
        """Set what differs; a key that is no longer named gets its earlier value back."""
        broker = new["broker"]
        there, former = await self._there(broker)
        before, wanted = old.get("config", {}), new["config"]
        previous: dict[str, str] = dict(old.get("previous", {}))
        dropped = {key for key in before if key not in wanted}
        added = former.values(broker, there, [key for key in wanted if key not in before])
        back = {key: previous[key] for key in dropped if key in previous}
        await self._set(broker, there, former, {**wanted, **back}, dropped)
        former.forget(broker, dropped)
        return {**new, "previous": {key: value for key, value in previous.items() if key in wanted} | added}

    async def delete(self, old: Values) -> None:
        """Give every key its earlier value back, or unset it."""
        there, former = await self._there(old["broker"])
        await self._set(old["broker"], there, former, old.get("previous", {}), set(old["config"]))
        former.forget(old["broker"], old["config"])

    async def _there(self, broker: str) -> tuple[dict[str, str], Former]:
        """The values set on the broker now, and what is known of those before Asgard set anything."""
        there = await self._cluster.look(lambda observed: observed.broker_configs(broker))
        return there, Former(await self._cluster.id())

    async def _set(
        self,
        broker: str,
        there: dict[str, str],
        former: Former,
        wanted: dict[str, str],
        dropped: set[str] | None = None,
    ) -> None:
        """Write only actual differences; of `dropped`, unset what has no wanted value and may be unset."""
        unset = tuple(
            sorted(key for key in dropped or () if key in there and key not in wanted and key not in NEVER_UNSET)
        )
        change = ConfigChange(
            "broker", broker, {k: v for k, v in wanted.items() if not configs.same("broker", k, there.get(k), v)}, unset
        )
        if change.set or change.unset:
            self._permits.check_losses(await self._cluster.losses(change))
            await self._cluster.check_eligible(change)
            former.note(change, there)
            await self._cluster.alter_config(change)
