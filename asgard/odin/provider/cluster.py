"""The cluster behind a configured provider: one connection, calls in batches, reads from one snapshot a run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from asgard.core.errors import AsgardError, Failed, Refused, WrongUsage
from asgard.kafka.connection import Connection
from asgard.kafka.model import (
    Acl,
    ConfigChange,
    NewTopic,
    QuotaEntity,
    ScramCredential,
    Topic,
)
from asgard.kafka.ports import ControlPlane
from asgard.odin.provider.batching import Batcher
from asgard.odin.resources.observe import Observed

T = TypeVar("T")
Outcome = AsgardError | None

VISIBLE_DEADLINE_S = 20.0


class Cluster:
    """A Kafka cluster; nothing is connected before the first call. All calls run on one thread of their own.

    `cluster_id` is a guard: a cluster that answers with another id is refused.
    """

    def __init__(
        self,
        connection: Connection | None,
        cluster_id: str | None = None,
        *,
        connect: Callable[[Connection], ControlPlane] | None = None,
    ) -> None:
        self._connection = connection
        self._cluster_id = cluster_id
        self._connect = connect
        self._plane: ControlPlane | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-admin")
        self.observed = Observed(self._control)
        self._create_topics: Batcher[str, NewTopic, Outcome] = self._batch(
            "topics", lambda items: self._control().create_topics(list(items.values()))
        )
        self._delete_topics: Batcher[str, None, Outcome] = self._batch(
            "topics", lambda items: self._control().delete_topics(list(items))
        )
        self._create_partitions: Batcher[str, int, Outcome] = self._batch(
            "topics", lambda items: self._control().create_partitions(items)
        )
        self._describe: Batcher[str, None, Topic | None] = self._batch(None, self._described)
        self._topic_configs: Batcher[str, None, dict[str, str]] = self._batch(None, self._configs_of)
        self._alter_configs: Batcher[tuple[str, str], ConfigChange, Outcome] = self._batch(
            "topic_configs broker_configs", lambda items: self._control().alter_configs(list(items.values()))
        )
        self._records: Batcher[str, Topic, int | None] = self._batch(None, self._counted)
        self._upsert_users: Batcher[str, ScramCredential, Outcome] = self._batch(
            "users", lambda items: self._control().upsert_users(list(items.values()))
        )
        self._delete_users: Batcher[str, Collection[str], Outcome] = self._batch(
            "users", lambda items: self._control().delete_users(items)
        )
        self._create_acls: Batcher[Acl, Acl, Outcome] = self._batch(
            "acls", lambda items: self._control().create_acls(list(items))
        )
        self._delete_acls: Batcher[Acl, Acl, Outcome] = self._batch(
            "acls", lambda items: self._control().delete_acls(list(items))
        )
        self._alter_quotas: Batcher[QuotaEntity, Mapping[str, float | None], Outcome] = self._batch(
            "quotas", lambda items: self._control().alter_quotas(items)
        )

    @property
    def known(self) -> bool:
        """Whether it is known yet where the cluster answers."""
        return self._connection is not None

    def _control(self) -> ControlPlane:
        if self._plane is None:
            if self._connection is None:
                raise WrongUsage(
                    "the provider asgard doesn't know where Kafka answers",
                    "Set bootstrapServers in its configuration (asgard:bootstrapServers, or an explicit provider).",
                )
            plane = (self._connect or _connect)(self._connection)
            if self._cluster_id:
                answered = plane.cluster().cluster_id
                if answered != self._cluster_id:
                    plane.close()
                    raise Refused(
                        f"{self._connection.bootstrap_servers} answers as cluster {answered}; "
                        f"these resources belong to {self._cluster_id}",
                        "Connect to the right cluster, or change clusterId where the cluster was truly made anew.",
                    )
            self._plane = plane
        return self._plane

    def _batch(
        self,
        touches: str | None,
        call: Callable[[dict], Mapping],  # type: ignore[type-arg]
    ) -> Batcher:  # type: ignore[type-arg]
        def run(items: dict) -> Mapping:  # type: ignore[type-arg]
            try:
                return call(items)
            finally:
                if touches:
                    self.observed.touched(*touches.split(" "))

        return Batcher(run, self._thread)

    async def run(self, call: Callable[[ControlPlane], T]) -> T:
        """One call of the control plane, in the connection's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: call(self._control()))

    async def look(self, call: Callable[[Observed], T]) -> T:
        """Something from this run's snapshot, which is read now where it wasn't yet."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: call(self.observed))

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._plane is not None:
            self._plane.close()
            self._plane = None
        self._thread.shutdown(wait=False)

    # topics
    def _described(self, items: dict[str, None]) -> dict[str, Topic | None]:
        found = self._control().topics(list(items))
        return {name: found.get(name) for name in items}

    def _configs_of(self, items: dict[str, None]) -> dict[str, dict[str, str]]:
        found = self._control().topic_configs(list(items))
        return {name: found.get(name, {}) for name in items}

    def _counted(self, items: dict[str, Topic]) -> dict[str, int | None]:
        parts = {name: [(name, p.partition) for p in topic.partitions] for name, topic in items.items()}
        offsets = self._control().offsets([part for of_topic in parts.values() for part in of_topic])
        return {
            name: sum(offsets[part].records for part in of_topic) if all(p in offsets for p in of_topic) else None
            for name, of_topic in parts.items()
        }

    async def topic(self, name: str) -> Topic | None:
        """The topic as it is now."""
        return await self._describe.submit(name, None)

    async def topic_config(self, name: str) -> dict[str, str]:
        """What is set on the topic itself now."""
        return await self._topic_configs.submit(name, None)

    async def records(self, topic: Topic) -> int | None:
        """How many records it holds at most; None where a partition without leader can't tell."""
        return await self._records.submit(topic.name, topic)

    async def create_topic(self, topic: NewTopic) -> Outcome:
        """Create it; the reason where it didn't work."""
        return await self._create_topics.submit(topic.name, topic)

    async def visible_topic(self, name: str) -> Topic:
        """A topic that was just created, once the brokers tell of it. Raises Failed after 20 s."""
        deadline = time.monotonic() + VISIBLE_DEADLINE_S
        while True:
            topic = await self.topic(name)
            if topic is not None:
                return topic
            if time.monotonic() > deadline:
                raise Failed(
                    f"the topic {name} was created, but no broker told of it within {VISIBLE_DEADLINE_S:.0f} s"
                )
            await asyncio.sleep(0.05)

    async def delete_topic(self, name: str) -> None:
        """Delete it. Raises what Kafka says against it."""
        _raise(await self._delete_topics.submit(name, None))

    async def add_partitions(self, name: str, total: int) -> None:
        """Bring it to `total` partitions."""
        _raise(await self._create_partitions.submit(name, total))

    async def alter_config(self, change: ConfigChange) -> None:
        """Change dynamic configs; an empty change is not sent."""
        if change.set or change.unset:
            _raise(await self._alter_configs.submit((change.resource_type, change.name), change))

    # users, ACLs, quotas
    async def upsert_user(self, credential: ScramCredential) -> None:
        """Write a SCRAM credential."""
        _raise(await self._upsert_users.submit(credential.user, credential))

    async def delete_user(self, user: str, mechanism: str) -> None:
        """Delete one of a user's SCRAM credentials."""
        _raise(await self._delete_users.submit(user, (mechanism,)))

    async def create_acl(self, acl: Acl) -> None:
        """Create an ACL."""
        _raise(await self._create_acls.submit(acl, acl))

    async def delete_acl(self, acl: Acl) -> None:
        """Delete an ACL."""
        _raise(await self._delete_acls.submit(acl, acl))

    async def alter_quota(self, entity: QuotaEntity, values: Mapping[str, float | None]) -> None:
        """Set quotas, or remove those whose value is None; an empty change is not sent."""
        if values:
            _raise(await self._alter_quotas.submit(entity, values))


def _connect(connection: Connection) -> ControlPlane:
    from asgard.kafka.admin import connect

    return connect(connection)


def _raise(outcome: Outcome) -> None:
    if outcome is not None:
        raise outcome
