"""An audit's losses as alerts in the journal. A recipe answers them and brings back what is missing.

One alert for each audit and topic: `heimdall.alert.raised` where closed windows of the last day lack records in the topic, again when more
are missing, and `heimdall.alert.cleared` once every one of them has come. Its data has `topic` (where the records are missing), `from` and
`until` (seconds since 1970, UTC), `lost`, `audit`, `rule`, `kind` (records-missing) and `cluster_id`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asgard.heimdall.audit.judge import Row
from asgard.heimdall.audit.plan import Plan

if TYPE_CHECKING:
    from asgard.heimdall.audit.store import Store
    from asgard.journal.store.database import Database

RULE, ALERT_KIND = "audit-loss", "records-missing"
RAISED, CLEARED = "heimdall.alert.raised", "heimdall.alert.cleared"
RECENT_S = 86400


@dataclass(frozen=True)
class Missing:
    """Records that a topic should have and has not, and the window that they belong to (seconds since 1970)."""

    topic: str
    from_s: float
    until_s: float
    lost: int

    def covers(self, other: Missing) -> bool:
        """Whether an alert about this says all that one about the other would."""
        return self.from_s <= other.from_s and self.until_s >= other.until_s and self.lost >= other.lost


def missing(plan: Plan, rows: Iterable[Row]) -> dict[str, Missing]:
    """What each topic lacks, by the closed windows of the tier before it. Where a tier has several topics, each may lack it."""
    tiers = {tier.name: number for number, tier in enumerate(plan.tiers)}
    found: dict[str, Missing] = {}
    for row in rows:
        if row.state != "closed" or not row.lost:
            continue
        for topic in plan.tiers[tiers[row.tier] + 1].topics:
            ends = row.start_s, row.start_s + plan.window_s + plan.lateness_s
            known = found.get(topic, Missing(topic, *ends, 0))
            found[topic] = Missing(
                topic, min(known.from_s, ends[0]), max(known.until_s, ends[1]), known.lost + row.lost
            )
    return found


def changes(before: Mapping[str, Missing], now: Mapping[str, Missing]) -> tuple[Sequence[Missing], Sequence[Missing]]:
    """Which alerts are to be raised and which cleared. Pure."""
    raised = [one for topic, one in now.items() if topic not in before or not before[topic].covers(one)]
    return raised, [one for topic, one in before.items() if topic not in now]


@dataclass
class Alerts:
    """Keeps the alerts of one audit as its store says. A killed auditor's successor raises and clears what is due."""

    journal: Database
    store: Store
    cluster_id: str
    _seen: dict[str, Missing] | None = field(default=None, init=False)

    def update(self) -> None:
        """Call it when the audit has committed."""
        plan, counts = self.store.counts.plan, self.store.counts
        now = missing(plan, self.store.lost(counts.closed_until_s - RECENT_S))
        if now == self._seen:
            return
        raised, cleared = changes(self._raised(), now)
        for one in raised:
            self._record(RAISED, one, f"{one.lost} records are missing in {one.topic}")
        for one in cleared:
            self._record(CLEARED, one, f"nothing is missing in {one.topic} any more")
        self._seen = now

    def _raised(self) -> dict[str, Missing]:
        """The alerts of this audit that are raised, as the journal has them."""
        from asgard.journal import events

        found: dict[str, Missing] = {}
        for event in events.read(self.journal, events.Filter(kind="heimdall.alert.*")):
            about = event.data
            mine = (RULE, self.store.counts.plan.name, self.cluster_id)
            if (about.get("rule"), about.get("audit"), about.get("cluster_id")) != mine or "from" not in about:
                continue
            if event.kind == RAISED:
                found[about["topic"]] = Missing(about["topic"], about["from"], about["until"], about["lost"])
            elif event.kind == CLEARED:
                found.pop(about["topic"], None)
        return found

    def _record(self, kind: str, one: Missing, text: str) -> None:
        from asgard.journal import events

        audit = self.store.counts.plan.name
        about = {
            "rule": RULE,
            "kind": ALERT_KIND,
            "audit": audit,
            "topic": one.topic,
            "from": one.from_s,
            "until": one.until_s,
            "lost": one.lost,
            "text": text,
            "cluster_id": self.cluster_id,
        }
        events.record(self.journal, kind, f"{audit}/{one.topic}", about)
