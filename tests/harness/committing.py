"""Commits of a consumer that no group assigned anything to."""

from __future__ import annotations

import time
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

_LATER = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError._WAIT_COORD,
)
"""A cluster's first commit makes its offsets topic; until its leaders have loaded it, librdkafka passes this on."""


def commit(consumer: Consumer, offsets: Sequence[TopicPartition], within_s: float = 60) -> None:
    """Commit, again while the group's coordinator is still coming. Raises KafkaException."""
    until = time.monotonic() + within_s
    while True:
        try:
            consumer.commit(offsets=list(offsets), asynchronous=False)
            return
        except KafkaException as error:
            if error.args[0].code() not in _LATER or time.monotonic() > until:
                raise
        time.sleep(0.2)
