"""A stack as plain data, in bytes, milliseconds and Kafka's own names: a stack file once it is read and resolved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from asgard.core.errors import Problem
from asgard.kafka.model import Acl, GateGoals, GateLoad, QuotaEntity, QuotaValues, ScramMechanism
from asgard.machines import targets
from asgard.odin.spec import acls as access

if TYPE_CHECKING:
    from asgard.core.schema.stack import TargetName
    from asgard.odin.spec.aws import AwsSettings

Tls = Literal["off", "optional", "on"]
Sasl = Literal["scram-sha-512", "scram-sha-256", "none"]

SCRAM: dict[str, ScramMechanism] = {"scram-sha-512": "SCRAM-SHA-512", "scram-sha-256": "SCRAM-SHA-256"}
"""Kafka's names of the mechanisms."""


@dataclass(frozen=True)
class KafkaSpec:
    """The cluster. `static_config` goes into server.properties, `dynamic_config` to the cluster-wide default (broker `""`).

    On an external cluster only `dynamic_config` and, if given, `version` are used; `brokers` is 0 there. `racks` 0: no
    rack is set. `heap_bytes` 0: chosen on the instance by its memory. `min_insync_replicas` None: Kafka's default is
    left alone.
    """

    version: str | None
    brokers: int
    controllers: int
    racks: int
    heap_bytes: int
    static_config: dict[str, str]
    dynamic_config: dict[str, str]
    min_insync_replicas: int | None
    log_dirs: int = 1


@dataclass(frozen=True)
class SecuritySpec:
    """`sasl` names the mechanism of users' credentials; `none`: no credentials are made. `authorizer`: ACLs are written.
    `tls` of a local cluster; `optional`: the listeners without it stay open."""

    sasl: Sasl
    authorizer: bool
    tls: Tls = "off"

    @property
    def mechanism(self) -> ScramMechanism | None:
        """Kafka's name of the SCRAM mechanism; None without SASL."""
        return SCRAM.get(self.sasl)


@dataclass(frozen=True)
class ExternalSpec:
    """How to reach an external cluster: either bootstrap servers or a context. Paths are absolute."""

    bootstrap_servers: str | None = None
    client_properties: str | None = None
    cluster_id: str | None = None
    context: str | None = None


Place: TypeAlias = "ExternalSpec | AwsSettings | None"
"""What the section of the stack's target says; None if it has none."""


@dataclass(frozen=True)
class TopicSpec:
    """A topic; `config` holds what the file sets, as Kafka's strings."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str] = field(default_factory=dict)
    owner: str | None = None
    protect: bool = False


@dataclass(frozen=True)
class StreamsSpec:
    """A streams application: its id, and the topics that it reads and writes beside its own."""

    application: str
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConnectSpec:
    """Connect workers. A standalone one has neither a group nor topics of its own."""

    group: str | None = None
    offsets: str | None = None
    configs: str | None = None
    status: str | None = None
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


@dataclass(frozen=True)
class UserSpec:
    """A user; names as `asgard.odin.spec.acls` reads them; `quota` in Kafka's names. `tls`: it logs in by certificate.

    `mechanisms` empty: the stack's own.
    """

    name: str
    owner: str | None = None
    produce: tuple[str, ...] = ()
    consume: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    quota: QuotaValues = field(default_factory=dict)
    mechanisms: tuple[ScramMechanism, ...] = ()
    tls: bool = False
    transactional: tuple[str, ...] = ()
    idempotent: bool = False
    streams: tuple[StreamsSpec, ...] = ()
    connect: ConnectSpec | None = None
    admin: tuple[str, ...] = ()


@dataclass(frozen=True)
class QuotaSpec:
    """Quotas of an entity that is not simply a user of the file."""

    entity: QuotaEntity
    values: QuotaValues


@dataclass(frozen=True)
class LimitsSpec:
    """Bytes per second that a move of data may take on each broker; None: no throttle."""

    throttle_bytes_per_s: int | None = None


@dataclass(frozen=True)
class GateSpec:
    """The load that the cluster must handle, and the required results."""

    load: GateLoad
    goals: GateGoals


@dataclass(frozen=True)
class EngineSpec:
    """The Pulumi CLI creates the stack. `backend` is a URL (file, s3, https); None: a private place on this machine.
    `secrets` is Pulumi's name of a secrets provider."""

    backend: str | None = None
    secrets: str = "passphrase"


@dataclass(frozen=True)
class StackSpec:
    """A whole stack. `warnings` are worth reporting, but are not problems."""

    name: str
    target: TargetName
    kafka: KafkaSpec
    security: SecuritySpec
    topics: tuple[TopicSpec, ...] = ()
    external_topics: tuple[str, ...] = ()
    users: tuple[UserSpec, ...] = ()
    acls: tuple[Acl, ...] = ()
    quotas: tuple[QuotaSpec, ...] = ()
    limits: LimitsSpec = LimitsSpec()
    place: Place = None
    engine: EngineSpec | None = None
    gate: GateSpec | None = None
    warnings: tuple[Problem, ...] = field(default=(), compare=False)

    @property
    def external(self) -> ExternalSpec | None:
        """How to reach a cluster that exists already; None if the stack creates its own."""
        return self.place if isinstance(self.place, ExternalSpec) else None

    def acls_of(self, user: UserSpec) -> tuple[Acl, ...]:
        """What a user's fields and roles allow; nothing if no authorizer would check it."""
        if not self.security.authorizer:
            return ()
        return access.acls_of(user.name, access.grants_of(user))

    def mechanisms_of(self, user: UserSpec) -> tuple[ScramMechanism, ...]:
        """The mechanisms of a user's credentials; none if the stack creates no credentials through Kafka."""
        if self.security.mechanism is None or user.tls or not targets.of(self.target).logins_in_kafka:
            return ()
        return user.mechanisms or (self.security.mechanism,)

    def all_acls(self) -> tuple[Acl, ...]:
        """Every ACL of the stack, once: of users and explicit ones."""
        found = dict.fromkeys(acl for user in self.users for acl in self.acls_of(user))
        return tuple(found | dict.fromkeys(self.acls))

    def all_quotas(self) -> tuple[QuotaSpec, ...]:
        """Every quota of the stack: of users and explicit ones."""
        of_users = tuple(QuotaSpec(QuotaEntity(user=u.name), u.quota) for u in self.users if u.quota)
        return of_users + self.quotas
