"""What a change would delete, measured on a real broker; and the config table against that broker."""

from __future__ import annotations

import os
import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from asgard.kafka.admin import connect
from asgard.kafka.data import Record, Writer
from asgard.kafka.model import ConfigChange, NewTopic
from asgard.odin.resources.configs import DEFAULT_VERSION, definitions
from asgard.odin.resources.dataloss import Loss, config_losses, deletion_losses
from tests.harness import RealCluster, committing
from tests.harness.placing import eventually

pytestmark = pytest.mark.kafka
HOUR_MS = 3_600_000


def fill(cluster: RealCluster, topic: str, now_ms: int) -> None:
    """Two partitions: 30 records of three hours ago and 10 of now in the first, nothing in the second."""
    with Writer(cluster.connection) as writer:
        for i in range(40):
            at = now_ms - 3 * HOUR_MS if i < 30 else now_ms
            writer.send(Record(topic, os.urandom(1000), timestamp_ms=at, partition=0))


def commit(cluster: RealCluster, group: str, topic: str, offset: int) -> None:
    consumer = Consumer({**cluster.connection.for_librdkafka(), "group.id": group})
    try:
        committing.commit(consumer, [TopicPartition(topic, 0, offset)])
    finally:
        consumer.close()


def test_a_shorter_retention_and_a_deletion_name_records_bytes_and_groups(
    plain_broker: RealCluster, topic_name: str
) -> None:
    now_ms = int(time.time() * 1000)
    slow, fast = f"{topic_name}-slow", f"{topic_name}-fast"
    control = connect(plain_broker.connection)
    try:
        control.create_topics([NewTopic(topic_name, 2, 1, {"retention.ms": str(24 * HOUR_MS)})])
        fill(plain_broker, topic_name, now_ms)
        commit(plain_broker, slow, topic_name, 29)
        commit(plain_broker, fast, topic_name, 35)

        def losses(**config: str) -> dict[str, Loss]:
            set_ = {name.replace("_", "."): value for name, value in config.items()}
            return config_losses(control, [ConfigChange("topic", topic_name, set_)], now_ms)

        assert losses(retention_ms=str(4 * HOUR_MS)) == {}
        assert losses(segment_bytes="1048576") == {}
        loss = losses(retention_ms=str(HOUR_MS))[topic_name]
        assert (loss.records, loss.unread_by, loss.why) == (30, (slow,), ("retention.ms 86400000 -> 3600000",))
        assert loss.bytes is not None and 15_000 < loss.bytes < 60_000
        assert losses(retention_bytes="0")[topic_name].records == 40
        assert losses(cleanup_policy="compact")[topic_name].unread_by == (fast, slow)

        default = ConfigChange("broker", "", {"log.retention.ms": "1"})
        assert topic_name not in config_losses(control, [default], now_ms)
        unset = ConfigChange("topic", topic_name, {}, ("retention.ms",))
        assert config_losses(control, [unset], now_ms) == {}
        assert config_losses(control, [default, unset], now_ms)[topic_name].records >= 30

        assert deletion_losses(control, [topic_name])[topic_name].records == 40
        assert deletion_losses(control, [f"{topic_name}-missing"]) == {}
        control.delete_topics([topic_name])
    finally:
        control.close()


def test_the_config_table_names_the_configs_of_the_broker(plain_broker: RealCluster, topic_name: str) -> None:
    control = connect(plain_broker.connection)
    try:
        control.create_topics([NewTopic(topic_name, 1, 1)])
        eventually(lambda: topic_name in control.effective_topic_configs([topic_name]))
        effective = control.effective_topic_configs([topic_name])[topic_name]
        table = definitions("topic", DEFAULT_VERSION)
        assert set(effective) == set(table)
        alike = {n for n, value in effective.items() if value == table[n].default}
        assert {"retention.ms", "cleanup.policy", "max.message.bytes", "compression.type"} <= alike
        control.delete_topics([topic_name])
    finally:
        control.close()
