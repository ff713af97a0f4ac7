"""Topics: created, changed in place and deleted, never losing records without permission."""

from __future__ import annotations

from asgard.core.errors import Failed, Refused
from asgard.kafka.model import ConfigChange, NewTopic, Topic
from asgard.odin.provider.cluster import ClusterClient
from asgard.odin.provider.moves import Factor
from asgard.odin.provider.permits import Permits, exists_already, loses_records
from asgard.odin.resources import configs
from asgard.odin.resources.checks import fewer_partitions
from asgard.odin.resources.observe import TEMPORARY_CONFIGS, Observed
from asgard.odin.resources.values import Values


class Topics:
    """The effects of `asgard:kafka:Topic`."""

    def __init__(self, cluster: ClusterClient, permits: Permits) -> None:
        self._cluster = cluster
        self._permits = permits

    def taken(self, new: Values, observed: Observed) -> bool:
        """Whether the topic exists already."""
        return new["name"] in observed.topics(fresh=False) and new["name"] in observed.topics()

    async def create(self, urn: str, new: Values) -> Values:
        """Create the topic, or adopt it if a killed run created it for this same resource."""
        wanted = NewTopic(new["name"], new["partitions"], new["replication"], dict(new["config"]))
        error = await self._cluster.create_topic(wanted)
        if error is None:
            return {**new, "topicId": (await self._cluster.visible_topic(wanted.name)).id}
        there = await self._cluster.topic(wanted.name)
        if there is None:
            raise error
        if urn not in self._permits.adopting:
            raise exists_already(f"the topic {wanted.name}")
        if reason := await self._unlike(wanted, there):
            raise exists_already(f"the topic {wanted.name}", f"an interrupted run may have created it, but {reason}")
        return {**new, "topicId": there.id}

    async def _unlike(self, wanted: NewTopic, there: Topic) -> str | None:
        """Why an existing topic can't be the one that a killed run created."""
        if len(there.partitions) != wanted.partitions or there.unlike(wanted.replication):
            return f"it has {len(there.partitions)} partitions and replication {there.replication}"
        config = await self._cluster.topic_config(wanted.name)
        own = {key: value for key, value in config.items() if key not in TEMPORARY_CONFIGS}
        keys = own.keys() | wanted.config.keys()
        if not all(configs.same("topic", key, own.get(key), wanted.config.get(key)) for key in keys):
            return "it has other configs"
        records = await self._cluster.records(there)
        return None if records == 0 else "it holds records"

    async def update(self, old: Values, new: Values) -> Values:
        """Bring partitions, configs and replication to what is wanted; writes only what differs."""
        name = new["name"]
        topic = await self._cluster.topic(name)
        if topic is None:
            raise Failed(
                f"the topic {name} is gone",
                "`asgard odin refresh` removes it from the state; `up` then creates it again.",
            )
        if len(topic.partitions) > new["partitions"]:
            raise Refused(f"partitions {fewer_partitions(name, len(topic.partitions), new['partitions'])}")
        there = await self._cluster.topic_config(name)
        change = config_change(name, there, old.get("config", {}), new["config"])
        self._permits.check_losses(await self._cluster.losses(change))
        await self._cluster.check_eligible(change)
        if len(topic.partitions) < new["partitions"]:
            await self._cluster.add_partitions(name, new["partitions"])
        await self._cluster.alter_config(change)
        if topic.unlike(new["replication"]):
            await self._cluster.replicate(name, Factor(new["replication"], new.get("throttle")))
        return {**new, "topicId": topic.id}

    async def delete(self, old: Values) -> None:
        """Delete the topic; refused if it holds records and deletion was not allowed."""
        topic = await self._cluster.topic(old["name"])
        if topic is None:
            return
        if topic.name not in self._permits.allow_data_loss:
            records = await self._cluster.records(topic)
            if records != 0:
                raise loses_records(topic.name, records, f"deleting {topic.name}")
        await self._cluster.delete_topic(topic.name)


def config_change(name: str, there: dict[str, str], old: Values, new: Values) -> ConfigChange:
    """The smallest change from what is set on the topic to what is wanted.

    Keys that were set behind Odin's back and aren't in the state (`old`) stay: a refresh brings them into the next
    diff.
    """
    return ConfigChange(
        "topic",
        name,
        set={key: value for key, value in new.items() if not configs.same("topic", key, there.get(key), value)},
        unset=tuple(sorted(key for key in old if key not in new and key in there)),
    )
