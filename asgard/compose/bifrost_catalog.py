"""The catalogue's live part: what the cluster and Heimdall's store know about topics, which topics are unused, and assigning owners to
existing ACLs.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from asgard.bifrost import catalog, notices
from asgard.bifrost import grants as given
from asgard.bifrost.authorise import What, authorise
from asgard.bifrost.catalog import Edge, Entry, entry_of
from asgard.bifrost.desired import GrantRow, Undo
from asgard.bifrost.estimate import cost
from asgard.bifrost.gate import Bifrost, demand
from asgard.bifrost.store import rows
from asgard.bifrost.store.requests import new_id
from asgard.bifrost.teams import Actor, Environment
from asgard.compose import bifrost_measured, bifrost_stack
from asgard.compose.bifrost_measured import Measured

Source = Literal["heimdall", "looks"]

if TYPE_CHECKING:
    from asgard.kafka.ports import ControlPlane


@dataclass(frozen=True)
class Live:
    """A topic as the cluster has it now: its records and bytes, the lag of each group that reads it, and its lineage.

    `measured` comes from Heimdall's store; `cost_per_month` is an estimate at the prices of bifrost.yaml.
    """

    entry: Entry
    records: int | None = None
    size_bytes: int | None = None
    lag: dict[str, int] | None = None
    measured: Measured | None = None
    lineage: tuple[Edge, ...] = ()
    cost_per_month: float = 0.0


@contextlib.contextmanager
def _control(environment: Environment) -> Iterator[ControlPlane]:
    from asgard.odin.lifecycle import session

    spec = bifrost_stack.stack_spec(environment)
    with session.reading(spec.name, spec) as opened:
        yield opened.control(opened.store.load())


def topic(gate: Bifrost, who: Actor, name: str, environment: str | None = None) -> Live:
    """One topic, with what the cluster knows about it, for those allowed to see who uses it."""
    where = gate.environment(environment)
    entry = catalog.topic(gate, who, name, where.name)
    if entry.consumers is None:
        return Live(entry)
    with _control(where) as control:
        known = control.topics([name]).get(name)
        if known is None:
            return Live(entry)
        partitions = [(name, p.partition) for p in known.partitions]
        offsets = control.offsets(partitions)
        brokers = [b.id for b in control.cluster().brokers if b.state == "up"]
        sizes = control.replica_sizes(brokers)
        groups = control.group_offsets()
        measured = bifrost_measured.measured(control.cluster().cluster_id, gate.store.time()).get(name)
    lag = {}
    for group, committed in groups.items():
        behind = [offsets[p].end - at for p, at in committed.items() if p in offsets]
        if behind:
            lag[group] = sum(max(0, b) for b in behind)
    leaders = {(p.leader, name, p.partition) for p in known.partitions}
    size = sum(bytes_ for key, bytes_ in sizes.items() if key in leaders)
    records = sum(o.records for o in offsets.values())
    return Live(entry, records, size, lag, measured, _lineage(gate, who, entry), _cost(gate, entry))


def _lineage(gate: Bifrost, who: Actor, entry: Entry) -> tuple[Edge, ...]:
    """Only what this person may see: grants of their teams and on their teams' topics."""
    held = [g for environment, g in given.grants(gate, who) if environment == entry.environment]
    return catalog.lineage(held, entry.name)


def _cost(gate: Bifrost, entry: Entry) -> float:
    with gate.store.read() as connection:
        found = rows.topics(connection, entry.environment, names=[entry.name])
    return round(cost(found[0][1].usage(), gate.directory.costs), 2) if found else 0.0


def overview(gate: Bifrost, who: Actor, search: str = "") -> list[tuple[Entry, Measured | None]]:
    """The catalogue with Heimdall's data for each topic, if this person may see who uses it; no cluster is queried."""
    found = catalog.catalog(gate, who, search)
    now = gate.store.time()
    seen = {}
    for environment in {entry.environment for entry in found}:
        with gate.store.read() as connection:
            cluster = rows.value(connection, f"cluster:{environment}")
        seen[environment] = bifrost_measured.measured(cluster, now)
    return [
        (e, seen[e.environment].get(e.name) if authorise(who, "topic.view", What(e.team)).allowed else None)
        for e in found
    ]


@dataclass(frozen=True)
class Unused:
    """A topic that got no record for this many days, and whether a group reads it.

    `since` is when its last record came, as far as `source` knows: Heimdall's hours, or when it was first seen at this offset.
    """

    entry: Entry
    since: float
    groups: tuple[str, ...]
    source: Source = "looks"


def unused(
    gate: Bifrost, who: Actor, days: float, environment: str | None = None, *, ask_owners: bool = False
) -> list[Unused]:
    """Topics without traffic for this long, according to Heimdall's hours and earlier looks. `ask_owners` asks their owners."""
    where = gate.environment(environment)
    demand(who, "catalog.view", What(), "catalogue")
    with _control(where) as control:
        topics = control.topics()
        partitions = [(t.name, p.partition) for t in topics.values() if not t.internal for p in t.partitions]
        ends = control.offsets(partitions)
        groups = control.group_offsets()
        cluster = control.cluster().cluster_id
    totals: dict[str, int] = {}
    for (name, _), offsets in ends.items():
        totals[name] = totals.get(name, 0) + offsets.end
    readers: dict[str, set[str]] = {}
    for group, committed in groups.items():
        for name, _ in committed:
            readers.setdefault(name, set()).add(group)
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        before = json.loads(rows.value(connection, f"writes:{where.name}") or "{}")
        seen = {n: before[n] if n in before and before[n][0] == t else [t, now] for n, t in totals.items()}
        rows.set_value(connection, f"writes:{where.name}", json.dumps(seen))
        quiet = bifrost_measured.quiet_since(cluster, now, days)
        found = []
        for _, row in rows.topics(connection, where.name):
            if row.name not in seen:
                continue
            since = seen[row.name][1] if quiet is None else quiet.get(row.name, quiet[""])
            source: Source = "looks" if quiet is None else "heimdall"
            if now - since < days * 86400:
                continue
            if not authorise(who, "topic.view", What(row.team)).allowed:
                continue
            entry = entry_of(where.name, row)
            found.append(Unused(entry, since, tuple(sorted(readers.get(row.name, ()))), source))
            if ask_owners and row.team:
                text = (
                    f"topic {row.name} ({where.name}) got no record for {days:g} days. Is it still needed? "
                    f"If not: asgard bifrost request delete {row.name}"
                )
                message = notices.TeamMessage(row.team, "unused", f"{row.name}:{since:.0f}", text)
                notices.tell(connection, gate.directory, message, now)
    return found


def adopt(gate: Bifrost, who: Actor, environment: str | None = None) -> list[GrantRow]:
    """Add the ACLs of the stack's own users, as in the stack file, to the catalogue of grants, each with its team as owner.

    They stay in the stack file: adopting shows who reads and writes what, and changes nothing on the cluster.
    """
    demand(who, "adopt.run", What(), "the grants of the cluster")
    where = gate.environment(environment)
    bifrost_stack.sync(gate, where)
    spec = bifrost_stack.stack_spec(where, part="")
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        desired = rows.load(connection, where.name)
        changed: list[Undo] = []
        for user in spec.users:
            row = desired.users.get(user.name)
            for field, name in bifrost_stack.access_of(user):
                if (user.name, field, name) in desired.grants:
                    continue
                team = row.team if row else None
                known = desired.topics.get(name)
                owner = team if field == "groups" else known.team if known else gate.directory.owner_of(name)
                grant = GrantRow(
                    user.name, field, name, new_id("g"), team, owner, None, None, "", "adopted", now, state="active",
                    seen_at=now,
                )  # fmt: skip
                changed.append(desired.put("grant", grant.key, grant))
        rows.save(connection, where.name, desired, changed, now)
        return [desired.grants[key] for _, key, _ in changed]  # type: ignore[index]
