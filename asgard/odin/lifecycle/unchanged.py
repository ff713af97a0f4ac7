"""Which resources of a stack need no second look: declared as they were when last applied, and recorded as they were then.

When a stack of thousands of topics gets one more, the program leaves out the others and the engine keeps them.

A mark is a hash of the declaration and the resulting record. It is in the state's own data; a record that has changed
since, for whatever reason, no longer matches its mark. Resources with a secret have no mark, nor do those that others
depend on.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from hashlib import blake2b

from asgard.kafka.connection import Connection
from asgard.odin import program as programs
from asgard.odin.engine.graph import Record
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.state import State
from asgard.odin.lifecycle.drift import Drift
from asgard.odin.resources.kinds import ACL, QUOTA, TOPIC
from asgard.odin.spec.model import StackSpec

Named = tuple[str, str]
"""Type and name of a resource."""

_LEAVES = (TOPIC, ACL, QUOTA)


def marks(spec: StackSpec, external: Connection | None, ref: StackRef, state: State) -> dict[str, str]:
    """The mark of each resource by URN, as spec and state are now."""
    return {ref.child(ref.urn, *named): mark for named, mark in _marks(spec, external, ref, state)}


def untouched(
    spec: StackSpec, external: Connection | None, ref: StackRef, state: State, drifts: Collection[Drift]
) -> dict[Named, str]:
    """Resources that can be left out of the program, with their URNs. None if an earlier run is unfinished, or if
    something of the machine itself has drifted."""
    former = state.meta.get("marks")
    if not former or state.pending or state.retired or any(drift.type.startswith("asgard:local:") for drift in drifts):
        return {}
    drifted = {drift.urn for drift in drifts}
    found: dict[Named, str] = {}
    for named, mark in _marks(spec, external, ref, state):
        urn = ref.child(ref.urn, *named)
        if former.get(urn) == mark and urn not in drifted:
            found[named] = urn
    return found


def _marks(spec: StackSpec, external: Connection | None, ref: StackRef, state: State) -> Iterator[tuple[Named, str]]:
    rest = replace(spec, topics=(), users=(), acls=(), quotas=(), external_topics=())
    base = programs.fingerprint(rest, external).encode()
    for token, name, values, protect in programs.declared(spec, {}):
        if token not in _LEAVES:
            continue
        record: Record | None = state.live.get(ref.child(ref.urn, token, name))
        if record is None or record.get("pendingReplacement"):
            continue
        recorded = [record.get(key) for key in ("inputs", "outputs", "protect", "provider", "parent")]
        text = json.dumps([values, protect, recorded], sort_keys=True)
        yield (token, name), blake2b(text.encode(), digest_size=12, key=base[:64]).hexdigest()
