"""An audit's losses as alerts while it runs: the rule `audit-loss`, evaluated after each commit of the audit.

`heimdall alerts check` and `heimdall serve` evaluate the same rule with the same store of alerts, so each alert is raised once,
whichever sees the loss first. The event `heimdall.alert.raised` has `topic` (where the records are missing), `from` and `until`
(seconds since 1970, UTC), `lost` and `audit`; a recipe triggered by it brings back what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asgard.heimdall.alerts.model import Seen
from asgard.heimdall.audit import missing

if TYPE_CHECKING:
    from asgard.core.database import Database
    from asgard.heimdall.audit.missing import MissingRecords
    from asgard.heimdall.settings import HeimdallSettings


@dataclass
class Alerts:
    """Updates the alerts about one cluster's audits. A killed auditor's successor raises and clears what is due."""

    settings: HeimdallSettings
    audits: Database
    alerts: Database
    journal: Database
    cluster_id: str
    cluster: str
    _seen: list[MissingRecords] | None = field(default=None, init=False)
    _waits: bool = field(default=False, init=False)

    def update(self) -> None:
        """Call it after the audit has committed."""
        from asgard.heimdall.alerts import deliver, sight, store
        from asgard.journal import events

        now, lost = time.time(), missing.of_cluster(self.audits, self.cluster_id)
        if lost == self._seen and not self._waits:
            return
        given = self.settings
        happened = events.read(self.journal, events.EventFilter(since=now - sight.RECENT_S))
        drill = sight.drill(happened, self.cluster_id)
        seen = Seen(now, self.cluster_id, self.cluster, losses=tuple(lost), drill=drill)
        done = store.check(self.alerts, given, seen, only="audit-loss")
        deliver.deliver(self.alerts, self.cluster_id, given.receivers, given.mail, self.journal)
        self._seen = lost
        self._waits = any(s.phase == "pending" or s.well_since is not None for s in done.states.values())


@contextmanager
def alerting(
    settings: HeimdallSettings, audits: Database, journal: Database, cluster_id: str, cluster: str
) -> Iterator[Alerts]:
    """The alerts of the audits in this database, with the store of alerts open."""
    from asgard.heimdall.alerts import store
    from asgard.heimdall.alerts.tables import open_alerts

    with open_alerts() as alerts:
        store.prune(alerts, time.time())
        yield Alerts(settings, audits, alerts, journal, cluster_id, cluster)
