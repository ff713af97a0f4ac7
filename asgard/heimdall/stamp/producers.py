"""Wrappers that stamp what a producer sends: one for confluent-kafka, one for kafka-python. Values must be bytes or None.

Serializers of the client would change the value after its checksum is taken; serialize first, then send.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from asgard.heimdall.stamp.headers import Stamper

GivenHeaders = Mapping[str, bytes | None] | Iterable[tuple[str, bytes | None]] | None


class StampedProducer:
    """A confluent_kafka.Producer whose `produce` adds the headers. Everything else is the producer's own."""

    def __init__(self, producer: Any, stamper: Stamper | None = None) -> None:
        self.producer = producer
        self.stamper = stamper or Stamper()

    def produce(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | str | None = None,
        *,
        headers: GivenHeaders = None,
        intended_us: int | None = None,
        **more: Any,
    ) -> None:
        """As Producer.produce. Raises BufferError if the queue is full; the record then uses up no number."""
        with self.stamper.stamped(topic, _checked(value), _pairs(headers), intended_us) as made:
            self.producer.produce(topic, value, key, headers=made, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.producer, name)

    def __len__(self) -> int:
        return len(self.producer)


class StampedKafkaProducer:
    """A kafka.KafkaProducer whose `send` adds the headers. Everything else is the producer's own."""

    def __init__(self, producer: Any, stamper: Stamper | None = None) -> None:
        self.producer = producer
        self.stamper = stamper or Stamper()

    def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        *,
        headers: GivenHeaders = None,
        intended_us: int | None = None,
        **more: Any,
    ) -> Any:
        """As KafkaProducer.send; returns the client's future."""
        with self.stamper.stamped(topic, _checked(value), _pairs(headers), intended_us) as made:
            return self.producer.send(topic, value=value, key=key, headers=made, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.producer, name)


def _pairs(headers: GivenHeaders) -> list[tuple[str, bytes | None]]:
    return list(headers.items() if isinstance(headers, Mapping) else headers or ())


def _checked(value: Any) -> bytes | None:
    if value is not None and not isinstance(value, bytes | bytearray):
        raise TypeError(f"a stamped value is bytes or None, not {type(value).__name__}: serialize it first")
    return bytes(value) if value is not None else None
