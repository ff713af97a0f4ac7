"""What others can see of a stack: claims in the journal, the context, the administrator's client file, events."""

from __future__ import annotations

import shutil

from asgard.core import contexts, paths
from asgard.core.contexts import Context
from asgard.core.errors import Refused
from asgard.kafka.connection import render_properties
from asgard.machines import targets as machines
from asgard.odin import program as programs
from asgard.odin import targets
from asgard.odin.engine.state import State
from asgard.odin.engine.steps import Result, Step
from asgard.odin.lifecycle import passphrase
from asgard.odin.lifecycle import unchanged as unchanged_resources
from asgard.odin.lifecycle.session import Session, client_file, directory, plain_outputs
from asgard.odin.resources.kinds import ACL, CLUSTER, CONFIG, KINDS, READY
from asgard.odin.spec.model import StackSpec

Thing = tuple[str, str]


def things(spec: StackSpec) -> list[Thing]:
    """What a stack owns in its cluster, as (kind, name). Each config key counts separately."""
    found: list[Thing] = []
    for token, name, values, _ in programs.declared(spec, {}):
        kind = _kind(token)
        if token == CONFIG:
            found += [(kind, key) for key in values["config"]]
        else:
            found.append((kind, name))
    return found


def _kind(token: str) -> str:
    return token.rpartition(":")[2].lower()


def claim_all(session: Session, spec: StackSpec) -> None:
    """Claim what the stack owns. Raises Refused with the owner if another stack has it; does nothing if the cluster is
    not created yet."""
    from asgard.journal import claims

    cluster_id = session.cluster_id(session.store.load())
    if cluster_id is not None:
        claims.claim(session.journal, cluster_id, spec.name, things(spec))


def check_owners(session: Session, spec: StackSpec, state: State) -> None:
    """Raise Refused with the owner if another stack has what this one wants, before the cluster itself is asked."""
    from asgard.journal import claims

    cluster_id = session.cluster_id(state)
    if cluster_id is not None:
        claims.check(session.journal, cluster_id, spec.name, things(spec))


def acls_of_others(session: Session, state: State) -> set[str]:
    """Names of ACLs that other stacks of this cluster own."""
    from asgard.journal import claims

    if not any(record["type"] == ACL for record in state.live.values()):
        return set()
    cluster_id = session.cluster_id(state)
    if cluster_id is None:
        return set()
    owners = claims.owners(session.journal, cluster_id)
    return {name for (kind, name), stack in owners.items() if kind == _kind(ACL) and stack != session.name}


def check_protection(session: Session, confirm: str | None) -> None:
    """Refuse to change a cluster that a protected context names, however this stack reaches it, unless its name is
    repeated."""
    if session.holds is not None:
        contexts.refuse_protected_cluster(session.holds, confirm)


def check_one_way(session: Session, sentences: list[str], confirm: str | None) -> None:
    """Refuse what can't be undone unless the stack is named; the name of a protected context of its cluster will do."""
    names = {session.name} | {context.name for context in contexts.protecting(session.holds or "")}
    if sentences and confirm not in names:
        raise Refused(f"{sentences[0]}; nothing was changed", f"To allow it: --confirm {session.name}")


def applied(session: Session, spec: StackSpec, result: Result) -> None:
    """After an `up`: context, client file, claims added and dropped, the fingerprint, the event."""
    from asgard.journal import claims, events

    state = session.store.load()
    _write_client_file(session, spec, result)
    cluster_id = session.cluster_id(state) if session.connection(state) is not None else None
    if cluster_id is not None:
        mine = things(spec)
        claims.claim(session.journal, cluster_id, spec.name, mine)
        owned = {thing for thing, stack in claims.owners(session.journal, cluster_id).items() if stack == spec.name}
        if result.ok:
            claims.release(session.journal, cluster_id, spec.name, owned.difference(mine))
    _put_context(session, spec, state, cluster_id)
    data = {"counts": result.counts, "errors": [f"{f.name}: {f.message}" for f in result.errors][:20]}
    if not result.ok:
        events.record(session.journal, "odin.stack.failed", spec.name, data | {"cluster_id": cluster_id})
    elif spec.gate is None:
        events.record(session.journal, "odin.stack.provisioned", spec.name, data | {"cluster_id": cluster_id})
    if result.ok:
        state.meta["certificate_users"] = [user.name for user in spec.users if user.tls]
        state.meta["fingerprint"] = programs.fingerprint(spec, session.external)
        state.meta["marks"] = unchanged_resources.marks(spec, session.external, session.ref, state)
        session.store.save(state)


def destroyed(session: Session, cluster_id: str | None, result: Result) -> None:
    """After a `destroy`: remove everything that names the stack, if all of it is gone."""
    from asgard.journal import events

    data = {"counts": result.counts, "errors": [f"{f.name}: {f.message}" for f in result.errors][:20]}
    kind = "odin.stack.destroyed" if result.ok else "odin.stack.failed"
    events.record(session.journal, kind, session.name, data)
    if not result.ok or any(record["type"] in KINDS for record in session.store.load().live.values()):
        return
    forget(session, cluster_id)


def forget(session: Session, cluster_id: str | None) -> None:
    """Remove everything that names the stack here: claims, its own context, state, passphrase."""
    from asgard.journal import claims

    if cluster_id is not None:
        claims.release(session.journal, cluster_id, session.name)
    context = contexts.load().by_name.get(session.name)
    if context is not None and context.stack == session.name:
        contexts.remove(session.name)
    if directory(session.name).exists():
        shutil.rmtree(directory(session.name))
    passphrase.forget(session.name)


def say_never_ready(session: Session, state: State) -> None:
    """Mark the nodes of a local cluster that an interrupted `up` never saw ready: their contents are not checked, and
    nothing waits for them. The next `up` that sees them ready removes the mark."""
    from asgard.odin.provider.local import going

    began = plain_outputs(state, CLUSTER)
    if not began or plain_outputs(state, READY):
        return
    going(paths.private_dir(directory(session.name) / "nodes")).touch()
    waiting = [urn for urn, (_, begun) in state.pending.items() if begun["type"] == READY]
    for urn in waiting:
        del state.pending[urn]
    if waiting:
        session.store.save(state)


def unchanged(state: State) -> Result:
    """The result of a run with nothing to do."""
    return Result(steps=[Step("same", urn) for urn in state.live])


def _write_client_file(session: Session, spec: StackSpec, result: Result) -> None:
    targets.of(spec.target).applied(spec)
    properties = result.secret_outputs.get("clientProperties")
    if machines.of(spec.target).makes_brokers and isinstance(properties, dict):
        paths.write_atomic(client_file(session.name), render_properties(properties))


def _put_context(session: Session, spec: StackSpec, state: State, cluster_id: str | None) -> None:
    """The stack's name is also a context, unless the stack file names another one."""
    connection = session.connection(state)
    if connection is None or (spec.external is not None and spec.external.context is not None):
        return
    properties = str(client_file(session.name)) if machines.of(spec.target).makes_brokers else None
    if spec.external is not None:
        properties = spec.external.client_properties
    before = contexts.load().by_name.get(spec.name)
    contexts.put(
        Context(
            spec.name,
            connection.bootstrap_servers,
            properties,
            cluster_id,
            stack=spec.name,
            protected=before.protected if before else False,
            heal=before.heal if before else False,
        )
    )
