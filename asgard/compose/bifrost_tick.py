"""What happens automatically: `bifrost tick` from cron does all of it, every other command the part that must be on time.

Grants end, rotations end, undecided requests expire, approved ones are carried out, the cluster is checked (missing grants, reading
groups, remaining room), unused access is noticed and later withdrawn, teams are notified.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from asgard.bifrost import digest, grants, notices, service
from asgard.bifrost.desired import GrantRow
from asgard.bifrost.gate import Bifrost
from asgard.bifrost.store import queue, rows, tables
from asgard.bifrost.teams import Environment
from asgard.compose import bifrost_queue, bifrost_stack
from asgard.compose.bifrost_credentials import end_overlaps
from asgard.core import events
from asgard.core.errors import AsgardError, Busy

if TYPE_CHECKING:
    from asgard.kafka.model import Acl
    from asgard.kafka.ports import ControlPlane

_g = tables.grants.c
_REPLICAS_A_BROKER = 4000
"""The most a broker is assumed to hold, unless configured otherwise."""


@dataclass
class Ticked:
    """What a tick did."""

    ended: list[str] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    rotated: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    noticed: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    ready: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    reminded: int = 0
    digests: int = 0
    told: dict[str, int] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)


def on_time(gate: Bifrost) -> bool:
    """End what is over, at once and in Kafka too. Returns whether anything was. Every command calls this: cron may be late."""
    if not grants.anything_over(gate):
        return False
    grants.lapse(gate)
    for environment in gate.directory.environments:
        end_overlaps(gate, environment)
        if bifrost_queue.waiting(gate, environment):
            try:
                bifrost_queue.run_queue(gate, environment.name)
            except AsgardError as error:
                events.warn(f"expired access could not be withdrawn on the cluster yet: {error.what}")
    return True


def tick(gate: Bifrost) -> Ticked:
    """All of it. An error in one environment is reported and does not hold up the others."""
    done = Ticked()
    done.expired = [r.id for r in service.expire(gate)]
    done.ended = [f"{g.user} {g.field} {g.name}" for _, g in grants.lapse(gate)]
    done.reminded = grants.remind(gate)
    for environment in gate.directory.environments:
        try:
            bifrost_stack.sync(gate, environment)
            done.rotated += end_overlaps(gate, environment)
            done.missing += look(gate, environment)
            told, gone = grants.end_unused(gate, environment.name)
            done.noticed += [f"{g.user} {g.field} {g.name}" for g in told]
            done.withdrawn += [f"{g.user} {g.field} {g.name}" for g in gone]
            if bifrost_queue.waiting(gate, environment):
                applied = bifrost_queue.run_queue(gate, environment.name, wait_s=5.0)
                done.ready += [r.id for r in applied.ready]
                done.failed += [r.id for r in applied.failed]
        except Busy:
            pass  # another process is doing it
        except AsgardError as error:
            done.troubles.append(f"{environment.name}: {error.what}")
    bifrost_queue.publish_rest(gate)
    done.digests = digest.weekly(gate)
    done.told = notices.deliver(gate)
    return done


def look(gate: Bifrost, environment: Environment) -> list[str]:
    """Look at the cluster once: grants missing in Kafka (the next run restores them), what groups read, how much room is left."""
    from asgard.odin.lifecycle import session

    spec = bifrost_stack.stack_spec(environment)
    with session.reading(spec.name, spec) as opened:
        state = opened.store.load()
        if opened.connection(state) is None:
            return []
        control = opened.control(state)
        acls, committed = control.acls() if spec.security.authorizer else None, control.group_offsets()
        _measure(gate, environment, control)
        cluster_id = control.cluster().cluster_id
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        rows.set_value(connection, f"cluster:{environment.name}", cluster_id)
        desired = rows.load(connection, environment.name)
        missing = []
        for grant in desired.grants.values():
            user = desired.users.get(grant.user)
            principals = user.principals if user is not None and user.principals else (grant.user,)
            if (
                acls is not None
                and grant.state in ("active", "noticed")
                and not all(_acl(grant, p) in acls for p in principals)
            ):
                missing.append(f"{grant.user} {grant.field} {grant.name}")
                _set(connection, grant, state="missing")
            elif grant.state != "missing":
                _set(connection, grant, seen_at=now)
        _note_reads(connection, environment, list(desired.grants.values()), committed, now)
        if missing:
            queue.mark_dirty(connection, environment.name)
    for name in missing:
        events.warn(f"drift: {name} is missing on the cluster; creating it again")
    return missing


def _set(connection: sa.engine.Connection, grant: GrantRow, **values: Any) -> None:
    connection.execute(sa.update(tables.grants).where(_g.id == grant.id).values(**values))


def _acl(grant: GrantRow, principal: str) -> Acl:
    from asgard.odin.spec.acls import acls_of

    return acls_of(principal, {grant.field: [grant.name]})[0]


def _note_reads(
    connection: sa.engine.Connection,
    environment: Environment,
    known: list[GrantRow],
    committed: Mapping[str, Mapping[tuple[str, int], int]],
    now: float,
) -> None:
    """A read grant counts as used if a group of the same user committed other offsets of the topic than at the last look."""
    name = f"reads:{environment.name}"
    known_before = rows.value(connection, name)
    before: dict[str, int] = json.loads(known_before or "{}")
    sums: dict[str, int] = {}
    for group, offsets in committed.items():
        for (topic, _), offset in offsets.items():
            sums[f"{group}\n{topic}"] = sums.get(f"{group}\n{topic}", 0) + max(0, offset)
    # The first look finds offsets that may be years old: they don't prove a read.
    moved = [key.split("\n") for key, total in sums.items() if known_before is not None and total != before.get(key)]
    groups: dict[str, list[str]] = {}
    for grant in known:
        if grant.field == "groups":
            groups.setdefault(grant.user, []).append(grant.name)
    for grant in known:
        if grant.field == "consume" and any(
            _covers(grant.name, topic) and any(_covers(g, group) for g in groups.get(grant.user, ()))
            for group, topic in moved
        ):
            _set(connection, grant, used_at=now)
    rows.set_value(connection, name, json.dumps(sums))
    if rows.value(connection, f"reads-since:{environment.name}") is None:
        rows.set_value(connection, f"reads-since:{environment.name}", str(now))


def _covers(name: str, other: str) -> bool:
    return name == other or (name[-1:] in ".-_*" and other.startswith(name.removesuffix("*")))


def _measure(gate: Bifrost, environment: Environment, control: ControlPlane) -> None:
    """How much room the cluster has, for rules about head-room."""
    from asgard.cluster import look as cluster

    snapshot = cluster.take(control)
    up = [b for b in snapshot.brokers if b.state == "up"]
    held: dict[int, int] = {}
    for partition in snapshot.partitions:
        for replica in partition.replicas:
            held[replica] = held.get(replica, 0) + 1
    free, capacity = [], 0
    for broker in up:
        for log_dir in broker.log_dirs:
            if log_dir.capacity_bytes and log_dir.used_bytes is not None:
                free.append(1 - log_dir.used_bytes / log_dir.capacity_bytes)
                capacity += log_dir.capacity_bytes
    with gate.store.write() as connection:
        before = service.headroom_of(gate, connection, environment.name)
        now = replace(
            before,
            brokers=len(up),
            disk_free=min(free) if free else None,
            capacity_bytes=capacity or None,
            replicas_left=max(0, _REPLICAS_A_BROKER - max(held.values(), default=0)),
            default_replication=min(3, len(up)) if before.brokers is None else before.default_replication,
        )
        rows.set_value(connection, f"headroom:{environment.name}", json.dumps(asdict(now)))
