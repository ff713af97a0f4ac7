"""The cluster behind a configured provider: one connection, calls in batches, reads from one snapshot a run."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

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
from asgard.odin.provider import eligible
from asgard.odin.provider.batching import Batcher
from asgard.odin.provider.moves import Factor, Replication
from asgard.odin.provider.writes import Writes
from asgard.odin.resources.dataloss import RELEVANT, Loss, config_losses
from asgard.odin.resources.observe import NotRead, Observed

T = TypeVar("T")
Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)
Answer = AsgardError | None

VISIBLE_DEADLINE_S = 60.0
"""Give up after so many seconds in which no new topic shows up. A broker creates the logs of one batch before it
reports the next."""


class ClusterClient:
    """A Kafka cluster; nothing is connected before the first call. All calls but long moves run on one thread of their own.

    `cluster_id` is a guard: a cluster with another id is refused.
    """

    def __init__(
        self,
        connection: Connection | None,
        cluster_id: str | None = None,
        *,
        connect: Callable[[Connection], ControlPlane],
        writes: Writes | None = None,
    ) -> None:
        self._connection = connection
        self._cluster_id = cluster_id
        self._connect = connect
        self._plane: ControlPlane | None = None
        self._connecting = threading.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-admin")
        self._last_shown = 0.0
        self.observed = Observed(self._control)
        self._known = self.observed.known()
        self._replication = Replication(self._control, writes)
        self._describe: Batcher[str, None, Topic | None] = Batcher(self._described, self._thread)
        self._topic_configs: Batcher[str, None, dict[str, str]] = Batcher(self._configs_of, self._thread)
        self._records: Batcher[str, Topic, int | None] = Batcher(self._counted, self._thread)
        self._lost: Batcher[str, ConfigChange, Loss | None] = Batcher(self._lost_by, self._thread)
        self._create_topics: Batcher[str, NewTopic, Answer] = self._writes(
            lambda plane, items: plane.create_topics(list(items.values())),
            lambda name, _: ("topics", lambda topics: name in topics),
        )
        self._delete_topics: Batcher[str, None, Answer] = self._writes(
            lambda plane, items: plane.delete_topics(list(items)),
            lambda name, _: ("topics", lambda topics: name not in topics),
        )
        self._create_partitions: Batcher[str, int, Answer] = self._writes(
            lambda plane, items: plane.create_partitions(items),
            lambda name, total: ("topics", lambda topics: name in topics and len(topics[name].partitions) >= total),
        )
        self._alter_configs: Batcher[tuple[str, str], ConfigChange, Answer] = self._writes(
            lambda plane, items: plane.alter_configs(list(items.values())), lambda _, change: _configs_show(change)
        )
        self._upsert_users: Batcher[str, ScramCredential, Answer] = self._writes(
            lambda plane, items: plane.upsert_users(list(items.values())),
            lambda user, written: ("users", lambda users: written.mechanism in users.get(user, ())),
        )
        self._delete_users: Batcher[str, tuple[str, ...], Answer] = self._writes(
            lambda plane, items: plane.delete_users(items),
            lambda user, gone: ("users", lambda users: not set(gone) & set(users.get(user, ()))),
        )
        self._create_acls: Batcher[Acl, None, Answer] = self._writes(
            lambda plane, items: plane.create_acls(list(items)), lambda acl, _: ("acls", lambda acls: acl in acls)
        )
        self._delete_acls: Batcher[Acl, None, Answer] = self._writes(
            lambda plane, items: plane.delete_acls(list(items)), lambda acl, _: ("acls", lambda acls: acl not in acls)
        )
        self._alter_quotas: Batcher[QuotaEntity, Mapping[str, float | None], Answer] = self._writes(
            lambda plane, items: plane.alter_quotas(items),
            lambda entity, values: ("quotas", lambda quotas: _holds(quotas.get(entity, {}), values)),
        )

    @property
    def known(self) -> bool:
        """Whether the cluster's address is known yet."""
        return self._connection is not None

    def _control(self) -> ControlPlane:
        with self._connecting:
            if self._plane is None:
                self._plane = self._open()
            return self._plane

    def _open(self) -> ControlPlane:
        if self._connection is None:
            raise WrongUsage(
                "the provider asgard has no address of Kafka",
                "Set bootstrapServers in its configuration (asgard:bootstrapServers, or an explicit provider).",
            )
        plane = self._connect(self._connection)
        if self._cluster_id:
            answered = plane.cluster().cluster_id
            if answered != self._cluster_id:
                plane.close()
                raise Refused(
                    f"{self._connection.bootstrap_servers} answers as cluster {answered}; "
                    f"these resources belong to {self._cluster_id}",
                    "Connect to the right cluster, or change clusterId if the cluster was really recreated.",
                )
        return plane

    def _writes(
        self,
        call: Callable[[ControlPlane, dict[Key, Item]], Mapping[Key, Answer]],
        shows: Callable[[Key, Item], tuple[str, Callable[[Any], bool]]],
    ) -> Batcher[Key, Item, Answer]:
        """Batches of a writing call; `shows` says which kind in the snapshot it changes and how to see that it did."""

        def run(items: dict[Key, Item]) -> Mapping[Key, Answer]:
            outcomes = call(self._control(), items)
            for key, item in items.items():
                if outcomes.get(key) is None:
                    kind, seen = shows(key, item)
                    self.observed.wrote(kind, key, seen)
            return outcomes

        return Batcher(run, self._thread)

    async def run(self, call: Callable[[ControlPlane], T]) -> T:
        """One call of the control plane, in the connection's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: call(self._control()))

    async def look(self, call: Callable[[Observed], T]) -> T:
        """Something from this run's snapshot, which is read now if it wasn't yet."""
        with contextlib.suppress(NotRead):
            return call(self._known)
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: call(self.observed))

    async def id(self) -> str:
        """The cluster id, as the cluster itself tells it."""
        if self._cluster_id is None:
            self._cluster_id = (await self.run(lambda plane: plane.cluster())).cluster_id
        return self._cluster_id

    async def close(self) -> None:
        """Close the connection, if there is one."""
        plane, self._plane = self._plane, None
        if plane is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, plane.close)
        self._thread.shutdown(wait=False)
        self._replication.close()

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

    def _lost_by(self, changes: dict[str, ConfigChange]) -> dict[str, Loss | None]:
        found = _losses(self._control(), list(changes.values()))
        return {name: found.get(name) for name in changes}

    async def topic(self, name: str) -> Topic | None:
        """The topic as it exists now."""
        return await self._describe.submit(name, None)

    async def topic_config(self, name: str) -> dict[str, str]:
        """The configs set on the topic itself now."""
        return await self._topic_configs.submit(name, None)

    async def records(self, topic: Topic) -> int | None:
        """The maximum number of records it holds; None if a partition without a leader can't tell."""
        return await self._records.submit(topic.name, topic)

    async def losses(self, change: ConfigChange) -> dict[str, Loss]:
        """What a config change deletes, by topic; the cluster is asked only if the change can shrink anything."""
        if change.resource_type == "broker":
            return await self.run(lambda plane: _losses(plane, [change]))
        if not set(RELEVANT) & {*change.set, *change.unset}:
            return {}
        loss = await self._lost.submit(change.name, change)
        return {change.name: loss} if loss else {}

    async def check_eligible(self, change: ConfigChange) -> None:
        """Raise Refused if Kafka would forget eligible leader replicas because of a config change."""
        if not eligible.concerns(change):
            return
        topic = await self.topic(change.name) if change.resource_type == "topic" else None
        all_of_them = (
            await self.run(lambda plane: plane.topics(moves=False)) if change.resource_type == "broker" else {}
        )
        eligible.check([topic] if topic is not None else all_of_them.values())

    async def create_topic(self, topic: NewTopic) -> Answer:
        """Create it; the reason if it failed."""
        return await self._create_topics.submit(topic.name, topic)

    async def visible_topic(self, name: str) -> Topic:
        """A topic that was just created, once the brokers list it.

        Raises Failed if neither it nor any other awaited topic shows up in time.
        """
        began, pause = time.monotonic(), 0.05
        while True:
            topic = await self.topic(name)
            if topic is not None:
                self._last_shown = time.monotonic()
                return topic
            if time.monotonic() - max(began, self._last_shown) > VISIBLE_DEADLINE_S:
                raise Failed(
                    f"the topic {name} was created, but no broker reported it within {VISIBLE_DEADLINE_S:.0f} s",
                    "Are the brokers overloaded? The same command takes it over once they report it.",
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    async def replicate(self, name: str, factor: Factor) -> None:
        """Change the replication factor; returns when the replicas are where they should be."""
        await self._replication.change(name, factor)
        self.observed.wrote("topics", name, lambda topics: name in topics and not topics[name].unlike(factor.replicas))

    async def delete_topic(self, name: str) -> None:
        """Delete it. Raises Kafka's reason if it refuses."""
        _raise(await self._delete_topics.submit(name, None))

    async def add_partitions(self, name: str, total: int) -> None:
        """Raise the number of partitions to `total`."""
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
        _raise(await self._create_acls.submit(acl, None))

    async def delete_acl(self, acl: Acl) -> None:
        """Delete an ACL."""
        _raise(await self._delete_acls.submit(acl, None))

    async def alter_quota(self, entity: QuotaEntity, values: Mapping[str, float | None]) -> None:
        """Set quotas, or remove those whose value is None; an empty change is not sent."""
        if values:
            _raise(await self._alter_quotas.submit(entity, values))


def _losses(plane: ControlPlane, changes: list[ConfigChange]) -> dict[str, Loss]:
    return config_losses(plane, changes, int(time.time() * 1000))


def _holds(there: Mapping[str, Any], change: Mapping[str, Any]) -> bool:
    """Whether the values are set, and those that are None are not."""
    return all(there.get(name) == value for name, value in change.items())


def _configs_show(change: ConfigChange) -> tuple[str, Callable[[Any], bool]]:
    values = {**change.set, **dict.fromkeys(change.unset)}
    if change.resource_type == "broker":
        return f"broker_configs {change.name}", lambda configs: _holds(configs, values)
    return "topic_configs", lambda configs: _holds(configs.get(change.name, {}), values)


def open_control_plane(connection: Connection) -> ControlPlane:
    """A real control plane."""
    from asgard.kafka.admin import connect

    return connect(connection)


def _raise(outcome: Answer) -> None:
    if outcome is not None:
        raise outcome
