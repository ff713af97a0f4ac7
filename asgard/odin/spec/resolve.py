"""Resolves the values of a stack file: durations, sizes and short names to bytes, milliseconds and Kafka's own
names."""

from __future__ import annotations

from pathlib import Path

from asgard.core.errors import Problem
from asgard.core.schema.gate import GateSection
from asgard.core.schema.stack import ConnectEntry, EngineSection, QuotaEntry, QuotaFields, StackFile
from asgard.kafka.model import Acl, GateGoals, GateLoad, QuotaEntity, QuotaValues
from asgard.machines import targets as machines
from asgard.odin.resources import configs
from asgard.odin.spec import targets
from asgard.odin.spec.acls import CLUSTER_RESOURCE
from asgard.odin.spec.check_engine import backend_url
from asgard.odin.spec.model import (
    SCRAM,
    ConnectSpec,
    EngineSpec,
    GateSpec,
    LimitsSpec,
    QuotaSpec,
    SecuritySpec,
    StackSpec,
    StreamsSpec,
    Tls,
    TopicSpec,
    UserSpec,
)

DEFAULT_ENTITY = "<default>"


def resolve(file: StackFile, folder: Path, warnings: tuple[Problem, ...] = ()) -> StackSpec:
    """A stack file without problems as a spec; relative paths start in `folder`."""
    rules = targets.of(file.target)
    kafka = rules.kafka(file)
    sasl = file.security.sasl
    return StackSpec(
        name=file.stack,
        target=file.target,
        kafka=kafka,
        security=SecuritySpec(sasl, authorizer_of(file), tls_of(file)),
        topics=tuple(
            TopicSpec(
                t.name,
                t.partitions,
                t.replication or min(3, kafka.brokers),
                configs.canonical_all("topic", t.config)
                | ({} if t.retention is None else {"retention.ms": str(t.retention)}),
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
                u.tls,
                tuple(u.transactional),
                u.idempotent,
                tuple(StreamsSpec(s.application, tuple(s.read), tuple(s.write)) for s in u.streams),
                None if u.connect is None else _connect(u.connect),
                tuple(u.admin),
            )
            for u in file.users
        ),
        acls=explicit_acls(file),
        quotas=tuple(QuotaSpec(quota_entity(q.user, q.client_id, q.ip), quota_values(q)) for q in file.quotas),
        limits=LimitsSpec(None if file.limits.throttle is None else int(file.limits.throttle)),
        place=rules.place(file, folder),
        engine=None if file.engine is None else _engine(file.engine, folder),
        gate=None if file.gate is None else _gate(file.gate),
        warnings=warnings,
    )


def authorizer_of(file: StackFile) -> bool:
    """Whether ACLs apply: as the file says; by default if there is SASL, and on clusters that exist already."""
    given = file.security.authorizer
    return (file.security.sasl != "none" or not makes_brokers(file)) if given is None else given


def makes_brokers(file: StackFile) -> bool:
    """Whether the stack creates its own brokers."""
    return machines.of(file.target).makes_brokers


def tls_of(file: StackFile) -> Tls:
    """Whether a local cluster's listeners are encrypted."""
    given = file.security.tls
    return "optional" if given == "optional" else "on" if given else "off"


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


def _connect(workers: ConnectEntry) -> ConnectSpec:
    topics = (workers.offsets, workers.configs, workers.status)
    return ConnectSpec(workers.group, *topics, tuple(workers.read), tuple(workers.write))


def quota_entity(user: str | None, client_id: str | None, ip: str | None = None) -> QuotaEntity:
    """An entity as the file names it; `<default>` is Kafka's default entity."""
    return QuotaEntity(*("" if name == DEFAULT_ENTITY else name for name in (user, client_id, ip)))


def quota_values(quota: QuotaFields) -> QuotaValues:
    """Quotas in Kafka's names."""
    named = {
        "producer_byte_rate": quota.produce,
        "consumer_byte_rate": quota.consume,
        "request_percentage": quota.request_percentage,
        "controller_mutation_rate": quota.controller_mutations,
        "connection_creation_rate": quota.connections if isinstance(quota, QuotaEntry) else None,
    }
    return {name: value for name, value in named.items() if value is not None}


def _engine(engine: EngineSection, folder: Path) -> EngineSpec:
    return EngineSpec(None if engine.backend is None else backend_url(engine.backend, folder), engine.secrets)


def _gate(gate: GateSection) -> GateSpec:
    load, slo = gate.load, gate.slo
    return GateSpec(
        GateLoad(load.topic, load.rate, load.size, load.duration, load.in_place),
        GateGoals(slo.p50, slo.p99, slo.p999, slo.errors, slo.rate, slo.lost, slo.duplicates),
    )
