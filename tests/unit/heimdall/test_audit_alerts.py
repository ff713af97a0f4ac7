"""Which alerts an audit's losses raise and clear, whoever evaluates them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asgard.compose.audit_alerts import Alerts
from asgard.heimdall.alerts import store
from asgard.heimdall.alerts.model import AlertRule, Seen
from asgard.heimdall.alerts.tables import open_alerts
from asgard.heimdall.audit import missing as missings
from asgard.heimdall.audit.missing import MissingRecords, missing
from asgard.heimdall.audit.plan import AuditPlan, Tier
from asgard.heimdall.settings import HeimdallSettings
from asgard.journal import events
from asgard.journal.store.database import open_journal


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An ASGARD_HOME of the test's own."""
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))


PLAN = AuditPlan("a", (Tier("raw", ("r",)), Tier("next", ("n1", "n2"))), window_s=60, lateness_s=30)


@pytest.mark.parametrize(
    ("lost", "found"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param(
            [(0, 0, 3), (0, 120, 2)],
            [MissingRecords("a", "n1", 0, 210, 5), MissingRecords("a", "n2", 0, 210, 5)],
            id="from the first window to the last one's lateness, in each topic of the next tier",
        ),
    ],
)
def test_records_are_missing_in_the_tier_after_the_one_that_has_them(lost, found):
    assert missing(PLAN, lost) == found


OLD = MissingRecords("a", "t", 100, 160, 5)


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        pytest.param([], [OLD], ["raised t"], id="new"),
        pytest.param([OLD], [OLD], [], id="the same"),
        pytest.param([OLD], [replace(OLD, lost=2)], [], id="some of it came"),
        pytest.param([OLD], [replace(OLD, lost=6)], ["cleared t", "raised t"], id="more of it"),
        pytest.param([OLD], [replace(OLD, until_s=220)], ["cleared t", "raised t"], id="a later window too"),
        pytest.param([OLD], [replace(OLD, from_s=40)], ["cleared t", "raised t"], id="an earlier window too"),
        pytest.param([OLD], [], ["cleared t"], id="all of it came"),
        pytest.param([OLD], [MissingRecords("a", "u", 0, 60, 1)], ["cleared t", "raised u"], id="another topic"),
    ],
)
def test_an_alert_is_raised_when_more_is_missing_and_cleared_when_nothing_is(home, monkeypatch, before, now, told):
    with open_alerts() as alerts, open_journal() as journal:
        watched = Alerts(HeimdallSettings(), alerts, alerts, journal, "c", "test")
        for lost in (before, now):
            at = len(events.read(journal, events.EventFilter(kind="heimdall.alert.*")))
            monkeypatch.setattr(missings, "of_cluster", lambda database, cluster, lost=lost: lost)
            watched.update()
        seen = events.read(journal, events.EventFilter(kind="heimdall.alert.*"))[at:]
        assert sorted(f"{e.kind.rpartition('.')[2]} {e.data['topic']}" for e in seen) == told
        for event in seen:
            if event.kind.endswith("raised"):
                (one,) = [m for m in now if m.topic == event.data["topic"]]
                assert event.subject == f"a/{one.topic}"
                keys = ("audit", "from", "until", "lost", "rule", "cluster_id")
                assert [event.data[k] for k in keys] == ["a", one.from_s, one.until_s, one.lost, "audit-loss", "c"]


def test_a_loss_that_a_server_and_an_audit_see_is_told_once_and_other_alerts_stay_as_they_are(home, monkeypatch):
    rules = (AlertRule("replicas", "under-replicated"),)
    monkeypatch.setattr(missings, "of_cluster", lambda database, cluster: [OLD])
    with open_alerts() as alerts, open_journal() as journal:
        seen = Seen(1000.0, "c", "test", under_replicated=3, offline=0, losses=(OLD,))
        first = store.check(alerts, HeimdallSettings(rules=rules), seen)
        assert sorted(t.state.rule for t in first.transitions) == ["audit-loss", "replicas"]
        Alerts(HeimdallSettings(rules=rules), alerts, alerts, journal, "c", "test").update()
        raised = store.raised(alerts, "c")
        assert sorted(state.rule for state in raised) == ["audit-loss", "replicas"]
        told = events.read(journal, events.EventFilter(kind="heimdall.alert.raised"))
        assert sorted(event.data["rule"] for event in told) == ["audit-loss", "replicas"], "each once, by the outbox"


def test_a_rule_of_the_file_takes_the_place_of_the_one_that_is_always_in_force(home, monkeypatch):
    own = AlertRule("losses", "audit-loss", above=9, severity="critical")
    monkeypatch.setattr(missings, "of_cluster", lambda database, cluster: [OLD, replace(OLD, topic="u", lost=10)])
    with open_alerts() as alerts, open_journal() as journal:
        Alerts(HeimdallSettings(rules=(own,)), alerts, alerts, journal, "c", "test").update()
        assert [(s.rule, s.subject, s.labels["severity"]) for s in store.raised(alerts, "c")] == [
            ("losses", "a/u", "critical")
        ]


def test_what_audits_miss_is_read_from_their_tables_with_the_lateness_of_the_last_run(home):
    import sqlalchemy as sa

    from asgard.heimdall.audit import tables
    from asgard.heimdall.audit.store import AuditStore, open_store

    day = 86400
    assert missings.opened() is None, "there never was an audit, and none is created"
    with open_store() as database:
        AuditStore(database, "c", PLAN)
        kept = AuditStore(database, "c", replace(PLAN, lateness_s=90))
        row = {"audit": kept.id, "tier": 0, "topic": "r", "state": "closed", "told": False, "records": 9, "unstamped": 0,
               "duplicates": 0, "late": 0, "gaps": 0, "unmatched": 0, "examples": "[]", "latency": ""}  # fmt: skip
        rows = [(60, 4), (2 * day, 3), (2 * day + 60, 0), (2 * day + 120, 2)]
        with database.write() as connection:
            for start_s, lost in rows:
                connection.execute(sa.insert(tables.windows).values(**row, start_s=start_s, lost=lost))
            connection.execute(sa.update(tables.audits).values(closed_until_s=2 * day + 180))
        until = 2 * day + 120 + 60 + 90
        found = [MissingRecords("a", topic, 2 * day, until, 5) for topic in ("n1", "n2")]
        assert missings.of_cluster(database, "c") == found, "not of windows that are older than a day"
        assert missings.of_cluster(database, "another") == []
    opened = missings.opened()
    assert opened is not None
    with opened:
        assert missings.of_cluster(opened, "c") == found
