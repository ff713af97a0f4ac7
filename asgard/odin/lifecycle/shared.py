"""Stacks whose state a team shares in a backend of Pulumi: this machine's copy is refreshed before it is read.

The stack file names the backend (`engine`); the copy remembers it, for commands that only have the stack's name.
"""

from __future__ import annotations

from asgard.odin.engine.backends import PASSPHRASE, Backend
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.state import State, StateStore
from asgard.odin.spec.model import StackSpec

REMEMBERED = "backend"


class Copied(StateStore):
    """A state that is held in memory, for commands that write none."""

    def __init__(self, store: StateStore, state: State) -> None:
        super().__init__(store.directory)
        self._state = state

    def load(self) -> State:
        """The state that was given."""
        return self._state


def backend_of(spec: StackSpec | None, state: State) -> Backend:
    """The backend that the stack file names; without a stack file, the one that the state is a copy of."""
    if spec is not None:
        return Backend() if spec.engine is None else Backend(spec.engine.backend, spec.engine.secrets)
    held = state.meta.get(REMEMBERED) or {}
    return Backend(held.get("url"), held.get("secrets", PASSPHRASE))


def pull(ref: StackRef, store: StateStore, spec: StackSpec | None, *, writing: bool) -> StateStore:
    """The store of a stack's state, brought up to date with a shared backend; in memory unless the command is
    `writing`. Raises Unreachable if the backend does not answer."""
    state = store.load()
    backend = backend_of(spec, state)
    if backend.url is None:
        return store
    from asgard.odin.engine.cli_engine import CliEngine
    from asgard.odin.lifecycle.passphrase import passphrase

    def phrase() -> str:
        return passphrase(ref.name, create=state.salt is None)

    found = CliEngine(ref, store, phrase, backend=backend).pull()
    if found is state:
        return store
    if not writing:
        return Copied(store, found)
    store.save(found)
    return store
