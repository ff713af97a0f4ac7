"""The data behind Heimdall's pages: a watch on a cluster, its store, the journal, and days already counted."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from asgard.compose import heimdall
from asgard.compose.heimdall import ClusterWatch

if TYPE_CHECKING:
    from asgard.heimdall.alerts.model import AlertState
    from asgard.heimdall.picture import Picture
    from asgard.heimdall.report.day import Day
    from asgard.heimdall.settings import HeimdallSettings
    from asgard.heimdall.store.read import ClusterStore
    from asgard.journal.events import Event

FRESH_S = 300.0
"""For this long a counted day is shown again; one counted well after its end stays."""
SETTLED_S = 6 * 3600.0
DAYS = 40


class WatchSource:
    """A `heimdall.web.source.MonitoredCluster`, from a watch."""

    def __init__(self, watch: ClusterWatch) -> None:
        self._watch = watch
        self._days: dict[tuple[date, str], Day] = {}
        self._counting = threading.Lock()

    @property
    def settings(self) -> HeimdallSettings:
        return self._watch.settings

    @property
    def picture(self) -> Picture | None:
        return self._watch.picture

    @property
    def problem(self) -> str:
        return self._watch.problem

    def history(self) -> ClusterStore:
        """The store of the cluster."""
        from asgard.heimdall.store.read import ClusterStore

        return ClusterStore(self._watch.store, self._cluster_id())

    def events(self, since: float) -> list[Event]:
        """The journal's events."""
        from asgard.journal import events

        return events.read(self._watch.journal, events.EventFilter(since=since))

    def raised(self) -> Sequence[AlertState]:
        """The raised alerts."""
        from asgard.heimdall.alerts import store

        return store.raised(self._watch.alerts, self._cluster_id())

    def day(self, day: date, tz: ZoneInfo) -> Day:
        """A day, counted again if it may have changed; one at a time, since it puts load on the cluster."""
        with self._counting:
            found = self._days.get((day, tz.key))
            now = self._watch.journal.host_clock()
            if found is not None and (found.made_at > found.end + SETTLED_S or now - found.made_at < FRESH_S):
                return found
            made = heimdall.daily(self._watch.target, day, tz, self.settings)
            while len(self._days) >= DAYS:
                self._days.pop(next(iter(self._days)))
            self._days[day, tz.key] = made
            return made

    def _cluster_id(self) -> str:
        picture = self._watch.picture
        assert picture is not None, "pages ask for history after the first sample"
        return picture.cluster_id
