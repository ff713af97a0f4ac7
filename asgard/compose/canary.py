"""The canary with its dependencies: Loki's check as its witness, the journal for its news, the change lease for placing."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, closing

from asgard.core import events, paths
from asgard.heimdall.canary import record
from asgard.heimdall.canary import run as canary
from asgard.heimdall.canary.judge import News
from asgard.heimdall.canary.run import CanaryResult, CanarySettings
from asgard.journal import events as journal_events
from asgard.journal import leases
from asgard.journal.store.database import Database
from asgard.kafka.model import LossVerdict
from asgard.kafka.ports import ControlPlane
from asgard.kafka.target import Target


def run(
    chosen: Target,
    control: ControlPlane,
    journal: Database,
    settings: CanarySettings,
    *,
    stop: threading.Event,
) -> CanaryResult:
    """Run the canary on a cluster. Raises Busy if one already runs there (in this journal), and what its start raises."""
    from asgard.loki.check.witness import Witness

    cluster_id = control.cluster().cluster_id
    lost = 0

    def tell(news: News) -> None:
        record.record(journal, cluster_id, news)
        (events.warn if news.bad else events.note)(f"broker {news.broker}: {news.state}: {news.sentence}")

    def proved(verdict: LossVerdict) -> None:
        nonlocal lost
        if verdict.lost > lost:
            data = {
                "cluster_id": cluster_id,
                "lost": verdict.lost,
                "acknowledged": verdict.acknowledged,
                "sentence": verdict.sentence,
            }
            journal_events.record(journal, "heimdall.record.lost", settings.topic, data)
            events.warn(verdict.sentence)
        lost = verdict.lost

    def change() -> AbstractContextManager[object]:
        name = leases.cluster_change(cluster_id)
        return leases.hold(journal, name, priority=leases.Priority.BALANCE, doing="heimdall canary")

    own = f"cluster/{cluster_id}/canary/{settings.topic}"
    with leases.hold(journal, own, priority=leases.Priority.BALANCE, doing="heimdall canary"):
        directory = paths.private_dir(paths.home() / "canary" / cluster_id / settings.topic)
        with closing(Witness(directory, chosen.connection, control)) as witness:
            return canary.run(
                control,
                chosen.connection,
                witness,
                settings,
                change=change,
                tell=tell,
                proved=proved,
                stop=stop,
                before=record.failing(journal, cluster_id),
            )
