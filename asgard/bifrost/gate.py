"""An open Bifrost: teams, policy and store together. Every function of the service takes it, with an explicit actor."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgard.bifrost import identity, read
from asgard.bifrost.authorise import Action, What, authorise
from asgard.bifrost.teams import Actor, Environment, TeamDirectory
from asgard.core import paths
from asgard.core.database import Database
from asgard.core.errors import Refused, WrongUsage

if TYPE_CHECKING:
    from asgard.bifrost.ask import Ask
    from asgard.bifrost.policy.rules import Policy

FILE_VARIABLE = "ASGARD_BIFROST"


class NotFound(WrongUsage):
    """It does not exist, or this person may not know that it does: the two can't be told apart."""


class Denied(Refused):
    """This person may not do that."""


@dataclass(frozen=True)
class Bifrost:
    """An open Bifrost. Safe to use from several threads.

    `losses` says which records a request would delete; a caller that can reach the cluster provides it. Without it no request may delete any.
    """

    directory: TeamDirectory
    store: Database
    losses: Callable[[Bifrost, Actor, Ask], list[dict[str, Any]]] | None = field(
        default=None, repr=False, compare=False
    )

    @cached_property
    def policy(self) -> Policy:
        """The policy; read once, on first use."""
        from asgard.bifrost.policy.read import policy as read_policy

        return read_policy(self.directory.policy, self.directory)

    def environment(self, name: str | None) -> Environment:
        """The environment of that name, the first one for None. Raises WrongUsage."""
        if not name:
            return self.directory.environments[0]
        found = self.directory.environment(name)
        if found is None:
            known = ", ".join(e.name for e in self.directory.environments)
            raise WrongUsage(f"there is no environment {name!r} (environments: {known})")
        return found


def find_file(named: Path | None) -> Path:
    """Where `bifrost.yaml` is: as named, ASGARD_BIFROST, here, or in ASGARD_HOME/bifrost. Raises WrongUsage if there is none."""
    if named is not None:
        return named
    if os.environ.get(FILE_VARIABLE):
        return Path(os.environ[FILE_VARIABLE])
    here, home = Path("bifrost.yaml"), paths.home() / "bifrost" / "bifrost.yaml"
    # Through sudo the caller chooses the directory, and so the file that this name leads to.
    places = (home,) if identity.caller().delegated else (here, home)
    for path in places:
        if path.is_file():
            return path
    raise WrongUsage(
        f"there is no {' and no '.join(map(str, places))}",
        "`asgard bifrost init` writes one; --config FILE or ASGARD_BIFROST names another.",
    )


@contextmanager
def opened(file: Path | None = None, *, check: bool = True) -> Iterator[Bifrost]:
    """Open teams, policy and store. `check`: refuse files that others may have written."""
    from asgard.bifrost.store.tables import open_store

    path = find_file(file).absolute()
    directory = read.directory(path)
    if check:
        identity.check_files(path, directory.policy)
    with open_store() as store:
        yield Bifrost(directory, store)


def demand(who: Actor, action: Action, what: What, subject: str) -> None:
    """Raise if a person may not do that: as if `subject` did not exist, if they may not know about it."""
    decision = authorise(who, action, what)
    if decision.allowed:
        return
    if decision.hidden:
        if not who.known:
            raise Denied(f"{who.name} is in no team", "Ask the data team to add you to yours.")
        raise NotFound(f"there is no {subject}")
    raise Denied(f"{who.name} may not do that with {subject}: {decision.because}")
