"""Where the pages get their data. `compose` has the real one; tests have their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import date
    from zoneinfo import ZoneInfo

    from asgard.heimdall.alerts.model import AlertState
    from asgard.heimdall.picture import Picture
    from asgard.heimdall.report.day import Day
    from asgard.heimdall.settings import HeimdallSettings
    from asgard.heimdall.store.read import ClusterStore
    from asgard.journal.events import Event


class MonitoredCluster(Protocol):
    """A monitored cluster. Called by several threads at a time."""

    @property
    def settings(self) -> HeimdallSettings: ...

    @property
    def picture(self) -> Picture | None:
        """The last picture; None before the first."""

    @property
    def problem(self) -> str:
        """Why the last look failed; empty if it did not."""

    def history(self) -> ClusterStore:
        """The store of this cluster; `picture` is there."""

    def events(self, since: float) -> list[Event]:
        """The journal's events since then, oldest first."""

    def raised(self) -> Sequence[AlertState]:
        """The alerts that are raised."""

    def day(self, day: date, tz: ZoneInfo) -> Day:
        """The daily report's day; may take seconds."""
