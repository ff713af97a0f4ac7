"""A stack file (`asgard.stack/v1`): a cluster and its contents, as wanted.

The shape only; Odin checks what one part requires of another (replication and brokers, users and topics, configs and
versions).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from asgard.core.schema.aws import AwsSection
from asgard.core.schema.fields import (
    Configs,
    EmptyList,
    EmptyMapping,
    Given,
    Model,
    OptionalByteRate,
    OptionalPercentage,
    OptionalRate,
    OptionalRetention,
    OptionalText,
    Size,
    Text,
    Texts,
)
from asgard.core.schema.gate import GateSection
from asgard.core.schema.limits import LimitsSection

TargetName = Literal["local", "external", "aws-ec2", "aws-msk"]
"""Where a cluster runs. A target may have a section of its own in the file."""
Count = Annotated[int | None, Given, Field(ge=1)]


class KafkaSection(Model):
    """The cluster itself. On an external cluster only `version` and `config` (dynamic ones) apply."""

    version: OptionalText = Field(default=None, description="Kafka's version, as in 4.3.1")
    brokers: Annotated[int | None, Given, Field(ge=1, le=64)] = Field(
        default=None, description="how many nodes; 1 by default"
    )
    controllers: Annotated[int | None, Given, Field(ge=1, le=63)] = Field(
        default=None,
        description="how many of them are controllers too: odd; by default 3, or the largest odd number of brokers below",
    )
    racks: Annotated[int | None, Given, Field(ge=1, le=64)] = Field(
        default=None, description="how many racks the brokers are spread over; none by default"
    )
    heap: Annotated[Size | None, Given] = Field(
        default=None,
        description="Java heap of each node; 256MiB by default; aws-ec2: half of the memory of a broker's instance, 6GiB at most",
    )
    log_dirs: Annotated[int | None, Given, Field(ge=1, le=16)] = Field(
        default=None, description="log directories of each node; 1 by default"
    )
    config: Configs = Field(default_factory=dict, description="broker configs by Kafka's names")
    min_insync_replicas: Count = Field(default=None, description="cluster-wide default of min.insync.replicas")


class ClusterSection(Model):
    """How to reach an external cluster: by bootstrap servers, or by the name of a context."""

    bootstrap_servers: OptionalText = Field(default=None, description="HOST:PORT, with commas between")
    client_properties: OptionalText = Field(default=None, description="path of a Kafka client properties file")
    cluster_id: OptionalText = Field(default=None, description="refuse a cluster that answers with another id")
    context: OptionalText = Field(default=None, description="a context made with `asgard context add`")


class SecuritySection(Model):
    """Who may do what."""

    sasl: Literal["scram-sha-512", "scram-sha-256", "none"] = Field(
        default="scram-sha-512", description="how clients log in; the mechanism of the credentials made for `users`"
    )
    tls: bool | Literal["optional"] = Field(
        default=False,
        description="encrypt every listener of a local cluster; optional: leave those without TLS open beside them",
    )
    authorizer: Annotated[bool | None, Given] = Field(
        default=None, description="enforce ACLs; true by default with SASL"
    )


class EngineSection(Model):
    """The Pulumi CLI makes the stack, with its state in a backend that a team shares."""

    backend: OptionalText = Field(
        default=None,
        description="a directory, s3://BUCKET/PREFIX?region=REGION, or https://api.pulumi.com/ORGANIZATION; "
        "below ASGARD_HOME by default",
    )
    secrets: Text = Field(
        default="passphrase",
        description="what secrets in the backend are encrypted with: passphrase, or awskms://KEY?region=REGION",
    )


class TopicEntry(Model):
    """A topic."""

    name: Text
    partitions: int = Field(ge=1, le=100_000)
    replication: Annotated[int | None, Given, Field(ge=1, le=64)] = Field(
        default=None,
        description="replicas of each partition; by default 3, or the number of brokers if that is less",
    )
    retention: OptionalRetention = Field(default=None, description="how long records are kept: 7d, or forever")
    owner: OptionalText = Field(default=None, description="the team that owns it")
    protect: bool = Field(default=False, description="never delete it")
    config: Configs = Field(default_factory=dict, description="topic configs by Kafka's names")


class QuotaFields(Model):
    """Client quotas; what is left out is not limited."""

    produce: OptionalByteRate = Field(default=None, description="producer_byte_rate, a broker")
    consume: OptionalByteRate = Field(default=None, description="consumer_byte_rate, a broker")
    request_percentage: OptionalPercentage = Field(default=None, description="request_percentage")
    controller_mutations: OptionalRate = Field(
        default=None, description="controller_mutation_rate: partitions made or deleted"
    )


class StreamsEntry(Model):
    """A Kafka Streams application."""

    application: Text = Field(
        description="its application.id; internal topics, group and transactional ids begin with it"
    )
    read: Texts = Field(default_factory=list, description="topics that it reads")
    write: Texts = Field(default_factory=list, description="topics that it writes")


class ConnectEntry(Model):
    """Kafka Connect workers; a standalone one has neither a group nor topics of its own."""

    group: OptionalText = Field(default=None, description="group.id of the workers")
    offsets: OptionalText = Field(default=None, description="offset.storage.topic")
    configs: OptionalText = Field(default=None, description="config.storage.topic")
    status: OptionalText = Field(default=None, description="status.storage.topic")
    read: Texts = Field(default_factory=list, description="topics that sink connectors read")
    write: Texts = Field(default_factory=list, description="topics that source connectors write")


class UserEntry(Model):
    """A user, what it may do, and how much."""

    name: Text
    owner: OptionalText = None
    produce: Texts = Field(default_factory=list, description="topics to write; a trailing - . _ or * makes a prefix")
    consume: Texts = Field(default_factory=list, description="topics to read; a trailing - . _ or * makes a prefix")
    groups: Texts = Field(default_factory=list, description="consumer groups; a trailing - . _ or * makes a prefix")
    mechanisms: Annotated[list[Literal["scram-sha-512", "scram-sha-256"]], EmptyList] = Field(
        default_factory=list, description="of its credentials; the stack's own, security.sasl, by default"
    )
    tls: bool = Field(default=False, description="log in by certificate: no password is made")
    transactional: Texts = Field(
        default_factory=list, description="transactional ids; a trailing - . _ or * makes a prefix"
    )
    idempotent: bool = Field(default=False, description="idempotent producers of clients older than 2.8")
    streams: Annotated[list[StreamsEntry], EmptyList] = Field(
        default_factory=list, description="Kafka Streams applications"
    )
    connect: Annotated[ConnectEntry | None, Given] = Field(default=None, description="Kafka Connect workers")
    admin: Annotated[list[Literal["describe", "create", "alter", "delete", "cluster"]], EmptyList] = Field(
        default_factory=list, description="for tools: what they may do to all topics, groups, the cluster"
    )
    quota: Annotated[QuotaFields, EmptyMapping] = Field(default_factory=QuotaFields)


class AclEntry(Model):
    """One ACL, for what a user's fields and roles do not say."""

    principal: Text = Field(description="as in User:orders-api")
    resource: Literal["topic", "group", "cluster", "transactional_id", "delegation_token", "user"]
    name: OptionalText = Field(default=None, description="of the resource; `*` is all of them")
    pattern: Literal["literal", "prefixed"] = "literal"
    operation: Literal[
        "all",
        "read",
        "write",
        "create",
        "delete",
        "alter",
        "describe",
        "cluster_action",
        "describe_configs",
        "alter_configs",
        "idempotent_write",
        "create_tokens",
        "describe_tokens",
        "two_phase_commit",
    ]
    permission: Literal["allow", "deny"] = "allow"
    host: Text = "*"


class QuotaEntry(QuotaFields):
    """Quotas of a (user, client id) pair, of one of the two, of an IP address, or of a default entity (`<default>`)."""

    user: OptionalText = Field(default=None, description="a user, or <default>")
    client_id: OptionalText = Field(default=None, description="a client id, or <default>")
    ip: OptionalText = Field(default=None, description="an IP address of clients, or <default>; alone")
    connections: OptionalRate = Field(
        default=None, description="connection_creation_rate: new connections from an `ip`"
    )


class StackFile(Model):
    """A stack file."""

    format: Literal["asgard.stack/v1"] = "asgard.stack/v1"
    stack: Text = Field(description="the stack's name; also that of its context")
    target: TargetName
    kafka: Annotated[KafkaSection, EmptyMapping] = Field(default_factory=KafkaSection)
    cluster: Annotated[ClusterSection | None, Given] = Field(default=None, description="an external cluster")
    aws: Annotated[AwsSection | None, Given] = Field(default=None, description="a cluster on AWS")
    engine: Annotated[EngineSection | None, Given] = Field(
        default=None, description="where the Pulumi CLI keeps the stack's state"
    )
    security: Annotated[SecuritySection, EmptyMapping] = Field(default_factory=SecuritySection)
    topics: Annotated[list[TopicEntry], EmptyList] = Field(default_factory=list)
    external_topics: Texts = Field(
        default_factory=list, description="topics that users here name and another stack owns"
    )
    users: Annotated[list[UserEntry], EmptyList] = Field(default_factory=list)
    acls: Annotated[list[AclEntry], EmptyList] = Field(default_factory=list)
    quotas: Annotated[list[QuotaEntry], EmptyList] = Field(default_factory=list)
    limits: Annotated[LimitsSection, EmptyMapping] = Field(default_factory=LimitsSection)
    gate: Annotated[GateSection | None, Given] = Field(
        default=None, description="the load that must pass for `up` to succeed"
    )


class StackPart(Model):
    """The managed file beside a stack file: what teams asked for. Its entries are read with those of the stack file."""

    format: Literal["asgard.stack-part/v1"] = "asgard.stack-part/v1"
    stack: Text = Field(description="the stack that it belongs to")
    topics: Annotated[list[Any], EmptyList] = Field(default_factory=list)
    users: Annotated[list[Any], EmptyList] = Field(default_factory=list)
    acls: Annotated[list[Any], EmptyList] = Field(default_factory=list)
