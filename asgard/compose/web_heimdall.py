"""Heimdall's pages in the portal: each environment's cluster is watched, and people see what Bifrost's authorisation allows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from flask import g

from asgard.bifrost import catalog
from asgard.bifrost.gate import Bifrost
from asgard.bifrost.teams import Environment
from asgard.bifrost.web import people
from asgard.bifrost.web.site import site
from asgard.compose import bifrost_stack, heimdall
from asgard.compose.heimdall_web import WatchSource
from asgard.core import contexts, events
from asgard.core.errors import AsgardError, Failed
from asgard.core.pages.parts import Link
from asgard.heimdall import settings as reading
from asgard.heimdall.owners import Owners, Ownership
from asgard.heimdall.web import pages
from asgard.heimdall.web.scope import Scope, Scoped
from asgard.kafka import target

if TYPE_CHECKING:
    from datetime import date
    from zoneinfo import ZoneInfo

    from flask import Blueprint

    from asgard.heimdall.alerts.model import AlertState
    from asgard.heimdall.picture import Picture
    from asgard.heimdall.report.day import Day
    from asgard.heimdall.settings import HeimdallSettings
    from asgard.heimdall.store.read import ClusterStore
    from asgard.journal.events import Event
    from asgard.kafka.target import Target

EVERY_S = 10.0
NOT_YET = "the cluster was not reached yet"
SETTINGS = "heimdall.yaml"


class Lookout:
    """Watches one environment's cluster on a thread, once it exists. A source of Heimdall's pages."""

    def __init__(self, gate: Bifrost, environment: Environment) -> None:
        self.environment = environment
        self.settings = settings_of(gate)
        self._site: WatchSource | None = None
        self._problem = NOT_YET
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def picture(self) -> Picture | None:
        return self._site.picture if self._site else None

    @property
    def problem(self) -> str:
        return self._site.problem if self._site else self._problem

    def history(self) -> ClusterStore:
        """The store; pages need it only once there is a picture."""
        return self._there().history()

    def events(self, since: float) -> list[Event]:
        """The journal's events."""
        return self._there().events(since)

    def raised(self) -> Sequence[AlertState]:
        """The raised alerts."""
        return self._there().raised()

    def day(self, day: date, tz: ZoneInfo) -> Day:
        """The daily report's day. Raises Failed while there is no cluster."""
        return self._there().day(day, tz)

    def start(self) -> None:
        """Start looking."""
        name = f"heimdall-{self.environment.name}"
        self._thread = threading.Thread(target=events.carried(self._run), name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current look."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _there(self) -> WatchSource:
        if self._site is None:
            raise Failed(self._problem)
        return self._site

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                with heimdall.watching(target_of(self.environment), self.settings) as watch:
                    self._site = WatchSource(watch)
                    heimdall.keep_looking(watch, EVERY_S, self._over)
            except AsgardError as error:
                if error.what != self._problem:
                    events.note(f"{self.environment.name}: {error.what}")
                self._problem = error.what
            finally:
                self._site = None
            self._over.wait(EVERY_S)


def target_of(environment: Environment) -> Target:
    """How to reach an environment's cluster: by the context of its stack, else as Odin does. Raises Failed if there is none yet."""
    from asgard.odin.lifecycle import session

    spec = bifrost_stack.stack_spec(environment)
    known = contexts.load().by_name.get(spec.name)
    if known is not None:
        return target.of_context(known)
    with session.reading(spec.name, spec) as opened:
        connection = opened.connection(opened.store.load())
    if connection is None:
        raise Failed(f"stack {spec.name} has no cluster yet")
    return target.Target(connection)


def settings_of(gate: Bifrost) -> HeimdallSettings:
    """Those of the heimdall.yaml beside bifrost.yaml, if any; Bifrost decides who owns what."""
    file = gate.directory.file.parent / SETTINGS
    found = reading.load(file) if file.is_file() else reading.HeimdallSettings()
    spaces = [Ownership(t.name, tuple(f"{p}*" for p in t.namespaces), tuple(f"{p}*" for p in t.namespaces)) for t in gate.directory.teams]  # fmt: skip
    return replace(found, owners=Owners(tuple(spaces)))


def beside(lookouts: Sequence[Lookout]) -> tuple[list[Blueprint], list[Link]]:
    """The pages of each lookout for the portal's application, and their navigation links."""
    made, links = [], []
    for lookout in lookouts:
        name = lookout.environment.name
        alone = len(lookouts) == 1
        prefix = "/heimdall" if alone else f"/heimdall/{name}"
        source = Scoped(lookout, lambda name=name: scope(name))  # type: ignore[misc]
        words = "Cluster" if alone else f"Cluster {name}"
        made.append(pages.blueprint(source, prefix, f"heimdall-{name}", beside=words))
        links.append(Link(words, f"{prefix}/"))
    return made, links


def scope(environment: str) -> Scope | None:
    """What the caller may see of a cluster; None: everything. Called once per request."""
    if "asgard_scope" not in g:
        person = people.caller()
        assert person is not None, "the door lets no one else in"
        seen = catalog.sight(site().gate, person.actor, environment)
        g.asgard_scope = None if seen is None else Scope(seen.topic, seen.group)
    return cast("Scope | None", g.asgard_scope)
