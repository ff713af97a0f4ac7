"""A stack file as plain data: read, checked as a whole, and resolved into bytes, milliseconds and Kafka's own names.

`load` is the one entrance. Nothing here talks to a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from asgard.core.errors import InvalidFile, Problem
from asgard.kafka.model import Acl, GateGoals, GateLoad, QuotaEntity, QuotaValues, ScramMechanism
from asgard.odin import access

if TYPE_CHECKING:
    from asgard.core.schema.gate import GateSection
    from asgard.core.schema.stack import QuotaFields, StackFile

Target = Literal["local", "external"]
Sasl = Literal["scram-sha-512", "scram-sha-256", "none"]

DEFAULT_FILE = "asgard.yaml"
DEFAULT_HEAP_BYTES = 256 * 1024 * 1024
DEFAULT_ENTITY = "<default>"
CLUSTER_RESOURCE = "kafka-cluster"


SCRAM: dict[str, ScramMechanism] = {"scram-sha-512": "SCRAM-SHA-512", "scram-sha-256": "SCRAM-SHA-256"}
"""Kafka's names of the mechanisms."""


@dataclass(frozen=True)
class KafkaSpec:
    """The cluster. `static_config` goes into server.properties, `dynamic_config` to the cluster-wide default (broker `""`).

    On an external cluster only `dynamic_config` and, where it was given, `version` say anything; `brokers` is 0 there.
    `racks` 0: no rack is set. `min_insync_replicas` None: Kafka's default is left alone.
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
    """`sasl` names the mechanism of users' credentials; `none`: no credentials are made. `authorizer`: ACLs are written."""

    sasl: Sasl
    authorizer: bool

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
class UserSpec:
    """A user; names of `produce`, `consume`, `groups` as `asgard.odin.access` reads them; `quota` in Kafka's names.

    `mechanisms` empty: the stack's own.
    """

    name: str
    owner: str | None = None
    produce: tuple[str, ...] = ()
    consume: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    quota: QuotaValues = field(default_factory=dict)
    mechanisms: tuple[ScramMechanism, ...] = ()


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
    """The load that the cluster must stand, and what must come of it."""

    load: GateLoad
    goals: GateGoals


@dataclass(frozen=True)
class StackSpec:
    """A whole stack. `warnings` are worth saying, but nothing is wrong."""

    name: str
    target: Target
    kafka: KafkaSpec
    security: SecuritySpec
    topics: tuple[TopicSpec, ...] = ()
    external_topics: tuple[str, ...] = ()
    users: tuple[UserSpec, ...] = ()
    acls: tuple[Acl, ...] = ()
    quotas: tuple[QuotaSpec, ...] = ()
    limits: LimitsSpec = LimitsSpec()
    external: ExternalSpec | None = None
    gate: GateSpec | None = None
    warnings: tuple[Problem, ...] = field(default=(), compare=False)

    def acls_of(self, user: UserSpec) -> tuple[Acl, ...]:
        """What a user's `produce`, `consume` and `groups` allow; nothing where no authorizer would look at it."""
        if not self.security.authorizer:
            return ()
        return access.acls_of(user.name, {"produce": user.produce, "consume": user.consume, "groups": user.groups})

    def mechanisms_of(self, user: UserSpec) -> tuple[ScramMechanism, ...]:
        """Those of a user's credentials; none where the stack makes no credentials."""
        if self.security.mechanism is None:
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


def load(path: Path | str = DEFAULT_FILE, sets: Iterable[str] = ()) -> StackSpec:
    """Read, check and resolve a stack file; `sets` are `--set` assignments.

    Raises InvalidFile with every problem at once, and WrongUsage where the file can't be read or a `--set` leads nowhere.
    """
    from asgard.core import yaml
    from asgard.core.schema.stack import StackFile
    from asgard.core.schema.validate import check
    from asgard.odin.check import review

    document = yaml.read(path)
    for assignment in sets:
        document.set(assignment)
    checked = check(document, StackFile, _stand_ins(document.root))
    if checked.value is None:
        raise InvalidFile(checked.problems)
    problems, warnings = review(document, checked)
    if problems:
        raise InvalidFile(problems)
    return resolve(checked.value, Path(path).absolute().parent, tuple(warnings))


def _stand_ins(root: Any) -> dict[str, Any]:
    """Sound values for keys that much else is measured by."""
    target = "external" if isinstance(root, dict) and "cluster" in root else "local"
    return {"stack": "stack", "target": target, "brokers": 64, "partitions": 1}


def json_schema() -> dict[str, object]:
    """The JSON Schema of stack files, for editors."""
    from asgard.core.schema.stack import StackFile

    schema = StackFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Asgard stack file", **schema}


def default_controllers(brokers: int) -> int:
    """The largest odd number up to 3 that the brokers allow."""
    return 3 if brokers >= 3 else 1


def resolve(file: StackFile, folder: Path, warnings: tuple[Problem, ...] = ()) -> StackSpec:
    """A stack file without problems as a spec; relative paths start in `folder`."""
    kafka, local = _kafka(file), file.target == "local"
    sasl = file.security.sasl
    return StackSpec(
        name=file.stack,
        target=file.target,
        kafka=kafka,
        security=SecuritySpec(sasl, authorizer_of(file)),
        topics=tuple(
            TopicSpec(
                t.name,
                t.partitions,
                t.replication or min(3, kafka.brokers),
                t.config if t.retention is None else {**t.config, "retention.ms": str(t.retention)},
                t.owner,
                t.protect,
            )
            for t in file.topics
        ),
        external_topics=tuple(file.external_topics),
        users=tuple(
            UserSpec(
                u.name,
                u.owner,
                tuple(u.produce),
                tuple(u.consume),
                tuple(u.groups),
                quota_values(u.quota),
                tuple(SCRAM[mechanism] for mechanism in u.mechanisms),
            )
            for u in file.users
        ),
        acls=explicit_acls(file),
        quotas=tuple(QuotaSpec(quota_entity(q.user, q.client_id), quota_values(q)) for q in file.quotas),
        limits=LimitsSpec(None if file.limits.throttle is None else int(file.limits.throttle)),
        external=None if local else _external(file, folder),
        gate=None if file.gate is None else _gate(file.gate),
        warnings=warnings,
    )


def authorizer_of(file: StackFile) -> bool:
    """Whether ACLs count: as the file says; by default where there is SASL, and on external clusters."""
    given = file.security.authorizer
    return (file.security.sasl != "none" or file.target == "external") if given is None else given


def explicit_acls(file: StackFile) -> tuple[Acl, ...]:
    """The ACLs under `acls:`, in Kafka's names."""
    return tuple(
        Acl(
            a.resource.upper(),
            a.name if a.name is not None else CLUSTER_RESOURCE,
            a.pattern.upper(),
            a.principal,
            a.operation.upper(),
            a.permission.upper(),
            a.host,
        )
        for a in file.acls
    )


def quota_entity(user: str | None, client_id: str | None) -> QuotaEntity:
    """An entity as the file names it; `<default>` is Kafka's default entity."""
    return QuotaEntity(*("" if name == DEFAULT_ENTITY else name for name in (user, client_id)))


def quota_values(quota: QuotaFields) -> QuotaValues:
    """Quotas in Kafka's names."""
    named = {
        "producer_byte_rate": quota.produce,
        "consumer_byte_rate": quota.consume,
        "request_percentage": quota.request_percentage,
        "controller_mutation_rate": quota.controller_mutations,
    }
    return {name: value for name, value in named.items() if value is not None}


def _kafka(file: StackFile) -> KafkaSpec:
    from asgard.odin import configs

    k = file.kafka
    if file.target == "external":
        return KafkaSpec(k.version, 0, 0, 0, 0, {}, k.config, None)
    version, brokers = k.version or configs.DEFAULT_VERSION, k.brokers or 1
    static, dynamic = configs.split(k.config, version)
    return KafkaSpec(
        version=version,
        brokers=brokers,
        controllers=k.controllers or default_controllers(brokers),
        racks=k.racks or 0,
        heap_bytes=k.heap or DEFAULT_HEAP_BYTES,
        static_config=static,
        dynamic_config=dynamic,
        min_insync_replicas=k.min_insync_replicas,
        log_dirs=k.log_dirs or 1,
    )


def _external(file: StackFile, folder: Path) -> ExternalSpec:
    assert file.cluster is not None
    c = file.cluster
    properties = None if c.client_properties is None else str(folder / Path(c.client_properties).expanduser())
    return ExternalSpec(c.bootstrap_servers, properties, c.cluster_id, c.context)


def _gate(gate: GateSection) -> GateSpec:
    load, slo = gate.load, gate.slo
    return GateSpec(
        GateLoad(load.topic, load.rate, load.size, load.duration, load.in_place),
        GateGoals(slo.p50, slo.p99, slo.p999, slo.errors, slo.rate, slo.lost, slo.duplicates),
    )
