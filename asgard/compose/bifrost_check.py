"""`bifrost check`: what a user may do, tested with its own credentials against the brokers themselves.

Reading is actually tried: a fetch, and the offsets of its groups. Writing puts one small record, with the header `asgard-probe`, into
topics of the user's own team. Nothing is written to other teams' topics, nor with `write=False`: instead the brokers are asked, with the
user's own credentials, whether it may write. A topic that was never granted must be refused.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asgard.bifrost.gate import Bifrost
from asgard.bifrost.store import rows, tables
from asgard.bifrost.teams import Actor
from asgard.compose.bifrost_credentials import connection_as, user_of
from asgard.core.errors import AsgardError, Failed, Unreachable
from asgard.kafka.connection import Connection, read_properties

DEADLINE_S = 15.0
PROBE = (("asgard-probe", b"1"),)


@dataclass(frozen=True)
class AccessCheck:
    """One thing that was tried. `wanted`: whether it should work; `worked`: whether it did, None if no answer came;
    `why`: the broker's answer."""

    what: str
    name: str
    wanted: bool
    worked: bool | None
    why: str = ""

    @property
    def ok(self) -> bool:
        """Whether the result is as wanted."""
        return self.wanted == self.worked


def check(
    gate: Bifrost,
    who: Actor,
    environment: str | None,
    user: str,
    *,
    properties: Path | None = None,
    write: bool = True,
) -> list[AccessCheck]:
    """Try everything granted to a user, and one topic that was not. `properties`: use these client properties."""
    where = gate.environment(environment)
    row = user_of(gate, who, where, user, "grant.view")
    if properties is None:
        principal = row.principals[-1] if row.principals else user
        connection = connection_as(where, principal)
    else:
        admin = connection_as(where, row.principals[-1] if row.principals else user)
        connection = Connection(admin.bootstrap_servers, read_properties(properties))
    g = tables.grants.c
    with gate.store.read() as store:
        granted = rows.grants(store, environment=where.name, where=[g.user == user])
        topics = {topic.name: topic for _, topic in rows.topics(store, where.name)}
    found: list[AccessCheck] = []
    reads = _covered([x.name for x in granted if x.field == "consume"], topics)
    writes = _covered([x.name for x in granted if x.field == "produce"], topics)
    groups = [x.name for x in granted if x.field == "groups"]
    for name in writes:
        if write and topics[name].team == row.team:
            found.append(_tried("produce", name, True, lambda n=name: _produce(connection, n)))
        else:
            found.append(_tried("may produce", name, True, lambda n=name: _may_write(connection, n)))
    for name in reads:
        found.append(_tried("consume", name, True, lambda n=name: _fetch(connection, n)))
    for group in groups:
        literal = group.rstrip("*") + ("check" if group[-1] in ".-_*" else "")
        found.append(_tried("group", literal, True, lambda n=literal: _group(connection, n, reads or list(topics)[:1])))
    foreign = next((n for n in sorted(topics) if n not in reads and n not in writes), None)
    if foreign is not None:
        found.append(_tried("consume", foreign, False, lambda n=foreign: _fetch(connection, n)))
    return found


def _covered(names: list[str], topics: dict[str, Any]) -> list[str]:
    found: dict[str, None] = {}
    for name in names:
        if name in topics:
            found[name] = None
        elif name[-1] in ".-_*":
            found |= dict.fromkeys(t for t in sorted(topics) if t.startswith(name.removesuffix("*")))
    return list(found)


def _tried(what: str, name: str, wanted: bool, act: Any) -> AccessCheck:
    try:
        act()
    except Unreachable as error:
        return AccessCheck(what, name, wanted, None, error.what)
    except AsgardError as error:
        return AccessCheck(what, name, wanted, False, error.what)
    return AccessCheck(what, name, wanted, True)


def _produce(connection: Connection, topic: str) -> None:
    from asgard.kafka.data import Record, Writer

    with Writer(connection, deadline_s=DEADLINE_S, name="asgard-check", idempotent=False) as writer:
        writer.send(Record(topic, b"", headers=PROBE))
        tally = writer.finish()
    if tally.failures:
        raise Failed(tally.failures[0].removeprefix(f"{topic}: "))


def _may_write(connection: Connection, topic: str) -> None:
    from confluent_kafka import KafkaException, TopicCollection
    from confluent_kafka.admin import AclOperation, AdminClient

    from asgard.kafka.data import explain

    admin = AdminClient({**connection.for_librdkafka(), "client.id": "asgard-check", "log_level": 0})
    asked = admin.describe_topics(
        TopicCollection([topic]), include_authorized_operations=True, request_timeout=DEADLINE_S
    )
    try:
        allowed = asked[topic].result().authorized_operations
    except KafkaException as error:
        raise explain(error.args[0], connection) from error
    if AclOperation.WRITE not in (allowed or ()):
        raise Failed("not authorised to write to the topic")


def _consumer(connection: Connection, group: str) -> Any:
    from confluent_kafka import Consumer

    return Consumer(
        {
            **connection.for_librdkafka(),
            "client.id": "asgard-check",
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )


def _fetch(connection: Connection, topic: str) -> None:
    from confluent_kafka import OFFSET_END, KafkaError, KafkaException, TopicPartition

    from asgard.kafka.data import explain

    consumer = _consumer(connection, "asgard-check")
    try:
        try:
            refused = consumer.list_topics(topic, timeout=DEADLINE_S).topics[topic].error
        except KafkaException as error:
            raise explain(error.args[0], connection) from error
        if refused is not None and not refused.retriable():
            raise explain(refused, connection)
        consumer.assign([TopicPartition(topic, 0, OFFSET_END)])
        give_up = time.monotonic() + DEADLINE_S
        while time.monotonic() < give_up:
            message = consumer.poll(0.5)
            said = None if message is None else message.error()
            if message is not None and (said is None or said.code() == KafkaError._PARTITION_EOF):
                return
            # A reader without its own group needs none; only errors about the topic count.
            if said is not None and said.code() != KafkaError.GROUP_AUTHORIZATION_FAILED and not said.retriable():
                raise explain(said, connection)
        raise Unreachable(f"no answer within {DEADLINE_S:g} s")
    finally:
        consumer.close()


def _group(connection: Connection, group: str, topics: list[str]) -> None:
    from confluent_kafka import KafkaError, KafkaException, TopicPartition

    from asgard.kafka.data import explain

    finding = (
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    )
    consumer = _consumer(connection, group)
    give_up = time.monotonic() + DEADLINE_S
    try:
        while True:
            try:
                consumer.committed([TopicPartition(topic, 0) for topic in topics[:1]], timeout=DEADLINE_S)
                return
            except KafkaException as error:
                # The first group of a cluster waits until its coordinator has been found.
                if error.args[0].code() not in finding or time.monotonic() > give_up:
                    raise explain(error.args[0], connection) from error
                time.sleep(0.5)
    finally:
        consumer.close()
