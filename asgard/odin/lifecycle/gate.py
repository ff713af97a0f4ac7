"""The gate: the load that a stack's cluster must handle before the stack counts as provisioned.

It is due when the cluster or its topics change, and at every `up` until it is passed. The last result is in the state
under `gate`; it is removed before anything changes, so a killed run leaves the gate due. The load runner is passed in:
this service does not import one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from hashlib import blake2b
from typing import Any

from asgard.core.errors import Unreachable
from asgard.kafka.connection import Connection
from asgard.kafka.model import GateVerdict
from asgard.kafka.ports import LoadGate
from asgard.odin.engine.state import State
from asgard.odin.engine.steps import CHANGES, Result
from asgard.odin.lifecycle.session import Session
from asgard.odin.resources.kinds import BROKER, CLUSTER, CONFIG, TOPIC
from asgard.odin.spec.model import StackSpec

Gatekeeper = Callable[[Connection], LoadGate]
"""Gives the gate of a cluster."""


def due(spec: StackSpec, state: State) -> bool:
    """Whether this stack's gate is still due, for the cluster and topics as now declared."""
    last = state.meta.get("gate") or {}
    return spec.gate is not None and not (last.get("passed") and last.get("key") == _key(spec))


def reopen(planned: Result, state: State) -> bool:
    """Forget that the gate was passed if the cluster or its topics are about to change; whether there was anything to
    forget."""
    touches = any(s.op in CHANGES and s.type in (BROKER, CLUSTER, CONFIG, TOPIC) for s in planned.steps)
    return touches and state.meta.pop("gate", None) is not None


def run(session: Session, spec: StackSpec, gatekeeper: Gatekeeper) -> GateVerdict:
    """Run the load and record the result, in the state and in the journal."""
    from asgard.journal import events

    assert spec.gate is not None
    connection = session.connection(session.store.load())
    if connection is None:
        raise Unreachable(f"stack {spec.name} has no cluster to put a load on", "`asgard odin up` creates it.")
    verdict = gatekeeper(connection).run(spec.gate.load, spec.gate.goals)
    state = session.store.load()
    session.writes.check()
    state.meta["gate"] = {
        "key": _key(spec),
        "passed": verdict.passed,
        "reason": verdict.reason,
        "report": verdict.report,
    }
    session.store.save(state)
    kind = "odin.stack.provisioned" if verdict.passed else "odin.gate.failed"
    events.record(
        session.journal, kind, spec.name, {"cluster_id": session.cluster_id(state), "gate": figures_of(verdict)}
    )
    return verdict


def skip(session: Session, spec: StackSpec) -> None:
    """Record in the journal that the gate was due and did not run. It stays due."""
    from asgard.journal import events

    events.record(session.journal, "odin.gate.skipped", spec.name, {})


def figures_of(verdict: GateVerdict) -> dict[str, Any]:
    """A verdict for programs."""
    return {
        "passed": verdict.passed,
        "reason": verdict.reason,
        "figures": [{"goal": g, "wanted": w, "got": got, "met": met} for g, w, got, met in verdict.figures],
        "rate_per_s": verdict.rate_per_s,
        "p50_s": verdict.p50_s,
        "p99_s": verdict.p99_s,
        "warm_up_s": verdict.warm_up_s,
        "sent": verdict.sent,
        "acknowledged": verdict.acknowledged,
        "report": verdict.report,
    }


def _key(spec: StackSpec) -> str:
    parts = [spec.kafka, spec.security, *spec.topics, spec.gate]
    text = json.dumps([None if part is None else asdict(part) for part in parts], sort_keys=True)
    return blake2b(text.encode(), digest_size=16).hexdigest()
