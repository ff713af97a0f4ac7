"""What a running portal works with: Bifrost, reloaded when its files change, and the work that only `compose` can do."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, cast

from flask import current_app

from asgard.bifrost import read
from asgard.bifrost.ask import Ask
from asgard.bifrost.catalog import Edge
from asgard.bifrost.desired import GrantRow
from asgard.bifrost.gate import Bifrost
from asgard.bifrost.teams import Actor
from asgard.bifrost.web.streams import Streams
from asgard.core import events
from asgard.core.errors import InvalidFile

EXTENSION = "asgard-bifrost"


@dataclass(frozen=True)
class RequestPreview:
    """Odin's preview of a request: its lines, or why there is none."""

    lines: tuple[str, ...] = ()
    impossible: str | None = None


@dataclass(frozen=True)
class Traffic:
    """What the cluster and Heimdall's store report about a topic: records and bytes it holds, the lag of each group, how many records came in
    the last 24 hours, when the hour of the last one began, where data may flow, what a month of it costs. `problem`: it did not answer.
    """

    records: int | None = None
    size_bytes: int | None = None
    lag: dict[str, int] = field(default_factory=dict)
    arrived: int | None = None
    last_hour: float | None = None
    lineage: tuple[Edge, ...] = ()
    cost_per_month: float = 0.0
    problem: str | None = None


@dataclass(frozen=True)
class Handed:
    """Credentials at the moment of their hand-over, the only time they are seen."""

    principal: str
    properties: str = field(repr=False)


class PortalBackend(Protocol):
    """The work that needs the cluster, the stack file or the queue."""

    def sync(self, gate: Bifrost, environment: str | None) -> None:
        """Take over changes in the stack file."""

    def change(self, gate: Bifrost, who: Actor, ask: Ask) -> RequestPreview:
        """Odin's preview."""

    def carry_out(self) -> None:
        """Let the queue run soon; returns at once."""

    def apply(self, gate: Bifrost, who: Actor, environment: str | None) -> tuple[int, int]:
        """Run the queue now; returns how many requests are ready, and failed."""

    def adopt(self, gate: Bifrost, who: Actor, environment: str | None) -> list[GrantRow]:
        """Take over the ACLs of the stack's own users."""

    def hand_over(
        self, gate: Bifrost, who: Actor, environment: str | None, user: str, key: str | None
    ) -> AbstractContextManager[Handed]:
        """Credentials of a user, once; encrypted if there is a public key."""

    def rotate(self, gate: Bifrost, who: Actor, environment: str | None, user: str) -> tuple[str, float]:
        """Create new credentials beside the old ones; returns the new principal, and until when the old one works."""

    def sample(self, gate: Bifrost, who: Actor, topic: str, environment: str) -> Any:
        """A few records of a topic: what `models.SampleAnswer` has."""

    def traffic(self, gate: Bifrost, who: Actor, topic: str, environment: str) -> Traffic:
        """What the cluster reports about a topic."""


@dataclass(frozen=True)
class Proxy:
    """A reverse proxy that logs people in: its addresses, and the header in which it names the person."""

    addresses: tuple[str, ...]
    header: str


class PortalSite:
    """The portal's Bifrost. Safe to use from several threads."""

    def __init__(self, gate: Bifrost, work: PortalBackend, *, proxy: Proxy | None = None, oidc: bool = False) -> None:
        self.work = work
        self.proxy = proxy
        self.oidc = oidc
        self.streams = Streams()
        self._gate = gate
        self._stamp = _stamp(gate.directory.file)
        self._lock = threading.Lock()

    @property
    def gate(self) -> Bifrost:
        """Bifrost as its files are now. Files with errors change nothing; the portal's log reports them."""
        stamp = _stamp(self._gate.directory.file)
        if stamp != self._stamp:
            with self._lock:
                if stamp != self._stamp:
                    self._stamp = stamp
                    self._reload()
        return self._gate

    def _reload(self) -> None:
        try:
            fresh = replace(self._gate, directory=read.directory(self._gate.directory.file))
            _ = fresh.policy
        except InvalidFile as error:
            events.warn(f"the portal goes on with what it read before: {error.what}")
            return
        self._gate = fresh


def _stamp(file: Path) -> tuple[tuple[str, int, int], ...]:
    """The stamps of bifrost.yaml and the YAML files beside and below it, where its policy and teams are."""
    found = []
    for path in sorted([*file.parent.glob("*.yaml"), *file.parent.glob("*/*.yaml")]):
        try:
            stat = path.stat()
        except OSError:
            continue
        found.append((str(path), stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def site() -> PortalSite:
    """The site of the application that serves this request."""
    return cast(PortalSite, current_app.extensions[EXTENSION])


def plain(value: Any) -> str | None:
    """A field of a form or of a query: without spaces around it, and None if it is empty."""
    text = str(value).strip() if value is not None else ""
    return text or None
