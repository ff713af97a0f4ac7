"""Heimdall at work on a cluster: the daily report, and the watch behind pages, metrics and alerts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from asgard.core import events as news
from asgard.core.errors import AsgardError
from asgard.kafka.target import Target

if TYPE_CHECKING:
    from datetime import date

    from asgard.core.database import Database
    from asgard.heimdall.alerts.model import Evaluation
    from asgard.heimdall.audit.missing import MissingRecords
    from asgard.heimdall.picture import Picture
    from asgard.heimdall.report.day import Day
    from asgard.heimdall.settings import HeimdallSettings
    from asgard.journal.events import Event
    from asgard.kafka.ports import ControlPlane

PRUNE_EVERY = 60
"""Rounds between two prunings of the stores."""


def daily(target: Target, day: date, tz: ZoneInfo, settings: HeimdallSettings) -> Day:
    """The day of a cluster, for its report."""
    from asgard.heimdall.report.gather import gather
    from asgard.heimdall.store.read import ClusterStore
    from asgard.heimdall.store.tables import open_store
    from asgard.heimdall.volume.windows import midnight
    from asgard.journal.store.database import open_journal

    with closing(target.connect()) as control, open_store() as database, open_journal() as journal:
        store = ClusterStore(database, control.cluster().cluster_id)
        events = happened(journal, midnight(day, tz))
        return gather(control, store, events, cluster=target.name, day=day, tz=tz, settings=settings)


def happened(journal: Database, since: float, until: float | None = None) -> list[Event]:
    """The journal's events that may extend into a time range."""
    from asgard.heimdall.incidents import REACH_S
    from asgard.journal import events

    return events.read(journal, events.EventFilter(since=since - REACH_S, until=until))


@dataclass
class ClusterWatch:
    """A cluster under watch: each `look` takes a picture, keeps the sample, judges the alerts and sends what is due.

    Used by one thread at a time; others may read `picture`. `judges`: False for those that only look.
    """

    target: Target
    settings: HeimdallSettings
    control: ControlPlane
    store: Database
    alerts: Database
    journal: Database
    audits: Database | None = None
    picture: Picture | None = None
    problem: str = ""
    evaluation: Evaluation | None = None
    judges: bool = True

    def look(self) -> Picture:
        """One round. Raises Unreachable, NotAuthorised."""
        from asgard.heimdall import picture as pictures

        window = self.picture.window if self.picture is not None else None
        taken = pictures.take(
            self.control, self.store, cluster=self.target.name, thresholds=self.settings.thresholds, window=window
        )
        if self.judges:
            self.judge(taken)
        self.picture, self.problem = taken, ""
        return taken

    def judge(self, taken: Picture) -> Evaluation:
        """Evaluate the rules for this picture; changes go to the outbox, and are sent as far as possible."""
        from asgard.heimdall.alerts import sight
        from asgard.heimdall.alerts import store as alert_store
        from asgard.heimdall.canary import record
        from asgard.heimdall.store.read import ClusterStore
        from asgard.journal import events

        settings = self.settings
        seen = sight.seen(
            taken,
            settings.rules,
            store=ClusterStore(self.store, taken.cluster_id),
            alerts=self.alerts,
            events=lambda since: events.read(self.journal, events.EventFilter(since=since)),
            audit=lambda: self._losses(taken.cluster_id),
            canary=lambda: record.last(self.journal, taken.cluster_id),
        )
        self.evaluation = alert_store.check(self.alerts, settings, seen)
        for change in self.evaluation.transitions:
            tell = news.warn if change.what == "raised" else news.note
            tell(f"alert {change.what}: {change.state.text if change.what == 'raised' else change.state.subject}")
        self.send(taken.cluster_id)
        return self.evaluation

    def send(self, cluster_id: str) -> dict[str, int]:
        """Send what is due."""
        from asgard.heimdall.alerts import deliver

        return deliver.deliver(self.alerts, cluster_id, self.settings.receivers, self.settings.mail, self.journal)

    def prune(self) -> None:
        """Delete what the stores need not keep any longer."""
        from asgard.heimdall.alerts import store as alert_store
        from asgard.heimdall.store import writer

        writer.prune(self.store)
        alert_store.prune(self.alerts, time.time())

    def _losses(self, cluster_id: str) -> list[MissingRecords]:
        from asgard.heimdall.audit import missing

        if self.audits is None:
            self.audits = missing.opened()
        return [] if self.audits is None else missing.of_cluster(self.audits, cluster_id)


@contextmanager
def watching(target: Target, settings: HeimdallSettings, *, judges: bool = True) -> Iterator[ClusterWatch]:
    """A watch with all its resources open."""
    from asgard.heimdall.alerts.tables import open_alerts
    from asgard.heimdall.store.tables import open_store
    from asgard.journal.store.database import open_journal

    with (
        closing(target.connect()) as control,
        open_store() as store,
        open_alerts() as alerts,
        open_journal() as journal,
    ):
        watch = ClusterWatch(target, settings, control, store, alerts, journal, judges=judges)
        try:
            yield watch
        finally:
            if watch.audits is not None:
                watch.audits.close()


def keep_looking(watch: ClusterWatch, every_s: float, stop: threading.Event) -> None:
    """Look repeatedly until `stop` is set; if the cluster does not answer, show that as a problem and retry."""
    rounds = 0
    while not stop.is_set():
        began = time.monotonic()
        try:
            watch.look()
            if rounds % PRUNE_EVERY == 0:
                watch.prune()
        except AsgardError as error:
            if watch.problem != error.what:
                news.warn(error.what)
            watch.problem = error.what
        except Exception as error:  # a defect: pages must not pretend to be fresh
            watch.problem = f"nothing is looked at any more: {type(error).__name__}: {error}"
            raise
        rounds += 1
        stop.wait(max(every_s - (time.monotonic() - began), 0.1))
