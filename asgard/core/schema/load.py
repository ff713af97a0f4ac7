"""A load scenario (`asgard.load/v1`): who sends what to which topics, who reads it, and what the cluster must achieve.

The shape only; Loki checks what one part requires of another (stages and rates, users and shapes).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from asgard.core.schema.fields import (
    Configs,
    EmptyList,
    EmptyMapping,
    Given,
    Model,
    OptionalRate,
    OptionalSeconds,
    OptionalText,
    Seconds,
    Size,
    Text,
)
from asgard.core.schema.slo import Slo, Time

MOST_USERS = 1000
MOST_RECORDS = 10_000_000_000


OptionalTime = Annotated[Time | None, Given]
Users = Annotated[int | None, Given, Field(ge=1, le=MOST_USERS)]


class LoadTopic(Model):
    """A topic of the load. Unless `in_place`, a scratch topic takes its place and is deleted afterwards."""

    name: Text
    partitions: Annotated[int | None, Given, Field(ge=1, le=100_000)] = Field(
        default=None, description="of the scratch topic; by default those of the topic with that name"
    )
    replication: Annotated[int | None, Given, Field(ge=1, le=64)] = Field(
        default=None, description="of the scratch topic; by default that of the topic with that name, else 3"
    )
    config: Configs = Field(default_factory=dict, description="topic configs by Kafka's names, beside those it has")
    in_place: bool = Field(default=False, description="write to the topic itself")


class LoadStage(Model):
    """A part of an open loop: `rate` holds it, `to` leads there in a straight line from where the last stage ended."""

    duration: Time
    rate: OptionalRate = Field(default=None, description="records a second, as in 2000/s")
    to: OptionalRate = Field(default=None, description="records a second at the end of the stage")


class LoadKeys(Model):
    """Keys of the records."""

    spread: Literal["none", "fixed", "uniform", "zipf"] = Field(
        default="uniform", description="none: no key; fixed: always the same; zipf: few keys have most records"
    )
    count: Annotated[int, Field(ge=1, le=10_000_000)] = Field(default=10_000, description="different keys")
    exponent: Annotated[float, Field(gt=0, le=10)] = Field(default=1.0, description="of zipf")


class LoadValue(Model):
    """Values of the records: bytes of a size, of sizes between two, events of a shipped generator, or those of a file."""

    size: Annotated[Size | None, Given] = Field(default=None, description="bytes, as in 1KiB")
    smallest: Annotated[Size | None, Given] = Field(default=None, description="with `largest`: sizes spread evenly")
    largest: Annotated[Size | None, Given] = None
    events: Literal["rides"] | None = Field(default=None, description="bookings and rides of a taxi company, as JSON")
    file: OptionalText = Field(
        default=None, description="records to send in turn, as JSON lines that `heimdall peek --json` writes"
    )


class LoadProducers(Model):
    """Producers that are alike. With a rate: an open loop; without: a closed loop at full speed."""

    topic: Text
    name: OptionalText = Field(default=None, description="in reports; by default the topic's")
    users: Users = Field(default=None, description="producers; by default one a worker")
    rate: OptionalRate = Field(default=None, description="records a second of all of them together, as in 2000/s")
    stages: Annotated[list[LoadStage], EmptyList] = Field(default_factory=list, description="a rate that changes")
    in_flight: Annotated[int | None, Given, Field(ge=1, le=1_000_000)] = Field(
        default=None, description="closed loop: records that each may have without an answer; by default 32MiB of them"
    )
    keys: Annotated[LoadKeys, EmptyMapping] = Field(default_factory=LoadKeys)
    value: Annotated[LoadValue, EmptyMapping] = Field(default_factory=LoadValue)
    acks: Literal["all", 1, 0] = "all"
    idempotence: Annotated[bool | None, Given] = Field(default=None, description="true by default with acks all")
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "none"
    linger: OptionalSeconds = Field(
        default=None,
        description="how long a batch waits for more records; 100ms by default at full speed, 5ms with a rate or `in_flight`",
    )
    batch: Size = Field(
        default=1_000_000, description="bytes of a batch, at most; 1 MB by default, as librdkafka has it"
    )
    timeout: Time = Field(default=120.0, description="how long a record may wait for its acknowledgement, with retries")


class LoadConsumers(Model):
    """Consumers of one group."""

    topic: Text
    group: OptionalText = Field(default=None, description="by default one of this run")
    users: Users = Field(default=None, description="consumers; by default one a worker")


class LoadSlo(Slo):
    """What must hold; what is left out is not judged."""

    end_to_end: OptionalSeconds = Field(default=None, description="p99 from the intended send time to the consumer")


class LoadFile(Model):
    """A load scenario."""

    format: Literal["asgard.load/v1"] = "asgard.load/v1"
    name: OptionalText = Field(default=None, description="in reports; by default the file's")
    duration: OptionalTime = Field(default=None, description="how long is sent; by default 30s, or the stages' sum")
    warm_up: Seconds = Field(default=0.0, description="at the beginning, sent and checked but not measured")
    records: Annotated[int | None, Given, Field(ge=1, le=MOST_RECORDS)] = Field(
        default=None, description="records in all, at most"
    )
    drain: Seconds = Field(default=10.0, description="how long consumers may take to catch up afterwards")
    topics: Annotated[list[LoadTopic], EmptyList] = Field(default_factory=list)
    producers: Annotated[list[LoadProducers], Field(min_length=1)]
    consumers: Annotated[list[LoadConsumers], EmptyList] = Field(default_factory=list)
    shape: OptionalText = Field(default=None, description="a Locust load shape, as in shapes.py:Steps")
    slo: Annotated[LoadSlo, EmptyMapping] = Field(default_factory=LoadSlo)
    check: bool = Field(default=True, description="read everything back and judge every record")
    seed: Annotated[int, Field(ge=0, le=2**63)] = 0
