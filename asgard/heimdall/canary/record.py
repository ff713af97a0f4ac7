"""What the canary reports of brokers in the journal, and what it last reported: an event is written only if a state changes."""

from __future__ import annotations

from asgard.heimdall.canary.judge import CanaryState, News
from asgard.journal import events
from asgard.journal.events import Event, EventFilter
from asgard.journal.store.database import Database

FAILED, RECOVERED = "heimdall.canary.failed", "heimdall.canary.recovered"


def record(journal: Database, cluster_id: str, news: News) -> Event:
    """Write that a broker's state changed."""
    data = {
        "cluster_id": cluster_id,
        "broker": news.broker,
        "state": news.state,
        "before": news.before,
        "because": news.sentence,
    }
    kind = FAILED if news.bad else RECOVERED
    return events.record(journal, kind, f"broker {news.broker}", data, correlation=_correlation(cluster_id))


def last(journal: Database, cluster_id: str) -> list[Event]:
    """The last event of each broker of the cluster, however old; oldest first."""
    return events.newest(journal, EventFilter(kind="heimdall.canary.*", correlation=_correlation(cluster_id)))


def failing(journal: Database, cluster_id: str) -> dict[int, CanaryState]:
    """The brokers that did not serve clients when the canary last reported them."""
    found = (event.data for event in last(journal, cluster_id) if event.kind == FAILED)
    return {int(data["broker"]): CanaryState(data["state"]) for data in found}


def _correlation(cluster_id: str) -> str:
    """Brokers of several clusters have the same ids."""
    return f"canary/{cluster_id}"
