"""How a stack's resources changed since they were recorded: the drift, and the state as it would be after a refresh.

Works on the records of the state and on one look at the cluster. No Pulumi, no writes, and no secret is decrypted: what
a cluster does not reveal (a password) is carried over unchanged.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from asgard.core.errors import Unreachable
from asgard.odin.engine.graph import Record
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.state import State, now
from asgard.odin.program import acl_name
from asgard.odin.resources import identity
from asgard.odin.resources.kinds import ACL, BROKER, KINDS, TOPIC, USER
from asgard.odin.resources.observe import Differences, Observed, difference, observe
from asgard.odin.spec.acls import useless

What = Literal["gone", "changed", "stopped", "extra"]


@dataclass(frozen=True)
class Drift:
    """One difference from the record. `extra` is an ACL of a user of this stack that the stack did not create.

    `words` describes it if the resource is not one of Asgard's own.
    `partitions`: those of a topic with another replication factor, if only some of them have it.
    """

    what: What
    type: str
    name: str
    urn: str
    differences: Differences = field(default_factory=dict)
    words: str = ""
    partitions: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.words:
            return self.words
        kind = self.type.rpartition(":")[2].lower()
        match self.what:
            case "gone":
                return f"{kind} {self.name} is gone"
            case "stopped":
                return f"{kind} {self.name} is not running"
            case "extra":
                return f"{kind} {self.name} was added"
        changes = ", ".join(
            f"{path} is {new}, was {old}{self._of() if path == 'replication' else ''}"
            for path, (old, new) in self.differences.items()
        )
        return f"{kind} {self.name}: {changes}"

    def _of(self) -> str:
        if not self.partitions:
            return ""
        shown = ", ".join(map(str, self.partitions[:5]))
        more = f" and {len(self.partitions) - 5} more" if len(self.partitions) > 5 else ""
        return f" (partition {shown}{more})" if len(self.partitions) == 1 else f" (partitions {shown}{more})"


@dataclass(frozen=True)
class DriftReport:
    """What was seen. `unseen` says why the cluster itself could not be asked; its resources then count as recorded."""

    drifts: tuple[Drift, ...]
    state: State
    unseen: str | None = None


def look(state: State, observed: Observed, stack: StackRef, others: Collection[str] = ()) -> DriftReport:
    """Compare the state with what exists. `others` are names of ACLs that other stacks own.

    Raises Unreachable if the cluster does not answer although none of its nodes is known to be down.
    """
    drifts: list[Drift] = []
    live = dict(state.live)
    ours = [record for record in state.live.values() if record["type"] in KINDS]
    for record in ours:
        if record["type"].startswith("asgard:local:"):
            _compare(record, observed, live, drifts)
    unseen = None
    try:
        for record in ours:
            if not record["type"].startswith("asgard:local:"):
                _compare(record, observed, live, drifts)
        _extra_acls(ours, observed, stack, set(others), live, drifts)
    except Unreachable as error:
        if not any(drift.what == "stopped" for drift in drifts):
            raise
        unseen = error.what
    return DriftReport(tuple(drifts), replace(state, live=live), unseen)


def _compare(record: Record, observed: Observed, live: dict[str, Record], drifts: list[Drift]) -> None:
    token, recorded = record["type"], record.get("outputs") or {}
    name = record["urn"].split("::", 3)[3]
    current = observe(token, recorded, observed)
    if current is None:
        drifts.append(Drift("gone", token, name, record["urn"]))
        del live[record["urn"]]
        return
    found = difference(token, recorded, current)
    if not found:
        return
    stopped = token == BROKER and set(found) == {"running"}
    partitions = _of_another_factor(recorded, observed) if token == TOPIC and "replication" in found else ()
    drifts.append(Drift("stopped" if stopped else "changed", token, name, record["urn"], found, partitions=partitions))
    inputs = {key: current.get(key, value) for key, value in (record.get("inputs") or {}).items()}
    live[record["urn"]] = {**record, "inputs": inputs, "outputs": current, "modified": now()}


def _of_another_factor(recorded: dict[str, Any], observed: Observed) -> tuple[int, ...]:
    """The partitions, if only some of the topic's have another replication factor."""
    topic = observed.topics()[recorded["name"]]
    unlike = topic.unlike(recorded["replication"])
    return tuple(p.partition for p in unlike) if len(unlike) < len(topic.partitions) else ()


def _extra_acls(
    ours: list[Record],
    observed: Observed,
    stack: StackRef,
    others: set[str],
    live: dict[str, Record],
    drifts: list[Drift],
) -> None:
    """A user created by this stack has exactly the access that this stack gives it: anything beyond it is drift."""
    users = {f"User:{record['outputs']['name']}": record for record in ours if record["type"] == USER}
    if not users:
        return
    known = {identity.acl_of(record["outputs"]) for record in ours if record["type"] == ACL}
    for acl in sorted(observed.acls() - known):
        name = acl_name(acl)
        # A useless ACL can't be expressed in a stack file: an import leaves it on the cluster.
        if acl.principal not in users or name in others or useless(acl):
            continue
        urn = stack.child(stack.urn, ACL, name)
        values: dict[str, Any] = dict(identity.acl_values(acl))
        beside = users[acl.principal]
        live[urn] = {
            "urn": urn,
            "custom": True,
            "id": name,
            "type": ACL,
            "inputs": values,
            "outputs": dict(values),
            "parent": stack.urn,
            "provider": beside["provider"],
            "created": now(),
            "modified": now(),
        }
        drifts.append(Drift("extra", ACL, name, urn))
