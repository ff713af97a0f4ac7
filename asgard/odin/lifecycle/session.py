"""A command's hold on one stack: its state, the journal, the cluster as it is, and the leases while it changes something."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgard.core import contexts, paths
from asgard.core.contexts import Context
from asgard.core.errors import AsgardError, Unreachable, WrongUsage
from asgard.kafka import target
from asgard.kafka.connection import Connection, read_properties
from asgard.kafka.ports import ControlPlane
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.state import State, StateStore
from asgard.odin.engine.steps import PROVIDER_PREFIX, STACK_TYPE
from asgard.odin.lifecycle import shared
from asgard.odin.program import PROJECT, PROVIDER
from asgard.odin.provider.writes import Writes
from asgard.odin.resources import local
from asgard.odin.resources.kinds import ALLOCATION, CLUSTER, READY, TOPIC
from asgard.odin.resources.observe import Observed
from asgard.odin.spec.model import ExternalSpec, StackSpec

if TYPE_CHECKING:
    from asgard.journal.leases import Lease
    from asgard.journal.operations import Leftovers
    from asgard.journal.store.database import Database


@dataclass
class Session:
    """What the verbs work with. `external` is the cluster of a stack whose target is external, `context` its context.
    `_answered` is the id that the cluster answered with, if the state has none. `holds` is the id of the cluster whose
    lease is held."""

    name: str
    store: StateStore
    writes: Writes
    external: Connection | None = None
    context: Context | None = None
    holds: str | None = None
    _control: ControlPlane | None = None
    _answered: str | None = None

    @property
    def journal(self) -> Database:
        """The journal of this ASGARD_HOME."""
        return self.writes.journal

    @property
    def ref(self) -> StackRef:
        """The stack as Pulumi knows it."""
        return StackRef(PROJECT, self.name)

    def connection(self, state: State) -> Connection | None:
        """The address of the stack's cluster; None if there is none yet."""
        return self.external or local_connection(self.name, state)

    def control(self, state: State) -> ControlPlane:
        """The stack's cluster. Raises Unreachable if there is none."""
        if self._control is None:
            connection = self.connection(state)
            if connection is None:
                raise Unreachable(f"stack {self.name} has no cluster yet", "`asgard odin up` creates it.")
            control = self.writes.connect(connection)
            try:
                if self.external is not None or _recorded_id(state) is None:
                    self._answered = control.cluster().cluster_id
                    if self.context is not None:
                        contexts.check_cluster_id(self.context, self._answered)
            except AsgardError:
                control.close()
                raise
            self._control = control
        return self._control

    def observed(self, state: State) -> Observed:
        """One look at everything the state names, in the cluster and among the processes of its nodes."""
        topics = {record["outputs"]["name"] for record in state.live.values() if record["type"] == TOPIC}
        from asgard.cluster import kept

        def held_for_now() -> dict[str, kept.Kept]:
            found = kept.found(self.journal, self.control(state).cluster().cluster_id)
            return {topic: one for topic, (_, one) in found.items()}

        return Observed(lambda: self.control(state), local.running, topics, kept=held_for_now)

    def cluster_id(self, state: State) -> str | None:
        """The id of the stack's cluster: from the state, or from the cluster itself if Asgard did not choose it, as on
        MSK. An MSK cluster that does not answer (a `destroy` may have deleted it) has the id in the stack's context.

        Raises Unreachable if an external cluster does not answer.
        """
        if (known := _recorded_id(state)) is not None:
            return known
        on_msk = bool(plain_outputs(state, ALLOCATION))
        if self._answered is None and (self.external is not None or on_msk):
            try:
                self.control(state)
            except Unreachable:
                if not on_msk:
                    raise
                own = contexts.load().by_name.get(self.name)
                return own.cluster_id if own is not None and own.stack == self.name else None
        return self._answered

    def report(self, leftovers: Leftovers, state: State) -> None:
        """Report what dead runs left in this stack or its cluster."""
        leftovers.report(self.journal, under=_under(self.name, self.cluster_id(state)))

    def forget_connection(self) -> None:
        """Close the connection: the next look opens a new one."""
        if self._control is not None:
            self._control.close()
            self._control = None


def _recorded_id(state: State) -> str | None:
    """The id of a cluster that Asgard created. It creates none for an allocation without hosts: MSK has its own."""
    for record in state.live.values():
        outputs = record.get("outputs") or {}
        if record["type"] == CLUSTER or (record["type"] == ALLOCATION and outputs.get("hosts")):
            known: str | None = outputs.get("clusterId")
            return known
    return None


def directory(stack: str) -> Path:
    """Where a stack's state is stored."""
    return paths.stack_dir(stack)


def client_file(stack: str) -> Path:
    """The administrator's client properties of a local stack (0600)."""
    return directory(stack) / "client.properties"


def local_connection(stack: str, state: State) -> Connection | None:
    """The cluster of a local stack; None until a run has seen it ready.

    The nodes' own descriptions say how to reach them: a run may have been killed while it switched them to TLS.
    """
    servers = plain_outputs(state, READY).get("bootstrapServers") or plain_outputs(state, STACK_TYPE).get(
        "bootstrapServers"
    )
    if not servers:
        return None
    from asgard.machines.local.quorum import cluster_connection

    for directory in local.run_dirs(plain_outputs(state, READY).get("clusterId", "")).values():
        return cluster_connection(directory)
    return Connection(servers, read_properties(client_file(stack))) if client_file(stack).exists() else None


def recorded_external(stack: str, state: State) -> Connection | None:
    """The cluster of an external stack whose file is not available, from its state; None for a local stack."""
    if plain_outputs(state, CLUSTER):
        return None
    for urn, record in state.live.items():
        if record["type"] == f"{PROVIDER_PREFIX}asgard" and urn.endswith(f"::{PROVIDER}"):
            inputs = record.get("inputs") or {}
            servers, properties = inputs.get("bootstrapServers"), inputs.get("clientProperties")
            if isinstance(servers, str):
                return Connection(servers, _opened(stack, state, urn, properties) if properties else {})
    return None


def _opened(stack: str, state: State, urn: str, secret: Any) -> dict[str, str]:
    from asgard.odin.lifecycle.credentials import vault_of
    from asgard.odin.resources.values import reveal

    found: dict[str, str] = reveal(vault_of(stack, state).decode(urn, secret))
    return found


def external_context(name: str, external: ExternalSpec) -> Context | None:
    """The context that knows which cluster an external stack is on: the one its file names, or the stack's own."""
    if external.context is not None:
        return contexts.load().pick(external.context)
    own = contexts.load().by_name.get(name)
    return own if own is not None and own.stack == name else None


def external_connection(external: ExternalSpec) -> Connection:
    """The cluster that the stack file names, by its servers or by a context."""
    if external.context is not None:
        return target.of_context(contexts.load().pick(external.context)).connection
    if external.bootstrap_servers is None:
        raise WrongUsage("cluster: names neither bootstrap_servers nor a context")
    properties = read_properties(Path(external.client_properties)) if external.client_properties else {}
    return Connection(external.bootstrap_servers, properties)


@contextlib.contextmanager
def reading(name: str, spec: StackSpec | None = None) -> Iterator[Session]:
    """A session that changes nothing."""
    from asgard.journal.store.database import open_journal

    external, context = None, None
    store = StateStore(directory(name))
    if spec is None:
        external = recorded_external(name, store.load())
        context = contexts.load().by_name.get(name) if external is not None else None
    elif spec.external is not None:
        external, context = external_connection(spec.external), external_context(name, spec.external)
    with open_journal() as journal:
        session = Session(name, store, Writes(journal, f"stack {name}"), external, context)
        try:
            yield session
        finally:
            session.forget_connection()


@contextlib.contextmanager
def changing(
    name: str,
    spec: StackSpec | None = None,
    *,
    doing: str,
    leftovers: Leftovers,
) -> Iterator[Session]:
    """A session under the leases of the stack and of its cluster; leftovers of a dead run are settled first. A state that a
    team shares is brought up to date before that: on a machine that is new to the stack, only it knows the cluster.

    Raises Busy with the lease's holder, also while a drill breaks things in the cluster.
    """
    from asgard.journal import leases
    from asgard.journal.leases import Priority

    with reading(name, spec) as session, contextlib.ExitStack() as held:
        taken: list[Lease] = []

        def hold(lease: str) -> None:
            taken.append(held.enter_context(leases.hold(session.journal, lease, priority=Priority.CHANGE, doing=doing)))
            session.writes.leases.append(taken[-1])

        hold(leases.stack_change(name))
        session.store.guard = session.writes.check
        session.store = shared.pull(session.ref, session.store, spec, writing=True)
        cluster_id = session.cluster_id(session.store.load())
        if cluster_id is not None:
            hold(leases.cluster_change(cluster_id))
            session.holds = cluster_id
            leases.refuse_if_held(session.journal, leases.cluster_fault(cluster_id))
        leftovers.settle(session.journal, under=_under(name, cluster_id), held=taken)
        yield session


def _under(stack: str, cluster_id: str | None) -> list[str]:
    """The prefixes of the names of the leases that a stack's operations use."""
    return [f"stack/{stack}/"] + ([] if cluster_id is None else [f"cluster/{cluster_id}/"])


def exists(name: str) -> None:
    """Raise WrongUsage if no stack of that name was ever applied here."""
    if not StateStore(directory(name)).exists():
        known = sorted(p.name for p in (paths.home() / "stacks").glob("*") if StateStore(p).exists())
        raise WrongUsage(f"there is no stack {name!r} here (known: {', '.join(known) or 'none'})")


def plain_outputs(state: State, token: str) -> dict[str, Any]:
    """The outputs of the only resource of that type, secrets as they are in the state; empty if there is none."""
    return next((record.get("outputs") or {} for record in state.live.values() if record["type"] == token), {})
