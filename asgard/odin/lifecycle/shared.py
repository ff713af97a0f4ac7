"""Stacks whose state a team shares in a backend of Pulumi: this machine's copy is refreshed before it is read.

The stack file names the backend (`engine`); the copy remembers it, for commands that only have the stack's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgard.odin.engine.backends import PASSPHRASE, Backend
from asgard.odin.engine.state import State, StateStore
from asgard.odin.spec.model import StackSpec

if TYPE_CHECKING:
    from asgard.odin.lifecycle.session import Session

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


def pull(session: Session, spec: StackSpec | None, *, writing: bool) -> None:
    """Bring the session's state up to date with a shared backend. Raises Unreachable if it does not answer."""
    state = session.store.load()
    backend = backend_of(spec, state)
    if backend.url is None:
        return
    from asgard.odin.engine.cli_engine import CliEngine
    from asgard.odin.lifecycle.passphrase import passphrase

    def phrase() -> str:
        return passphrase(session.name, create=state.salt is None)

    found = CliEngine(session.ref, session.store, phrase, backend=backend).pull()
    if found is state:
        return
    if writing:
        session.store.save(found)
    else:
        session.store = Copied(session.store, found)
