"""The audit on a real cluster: planted losses and duplicates are found exactly, although the auditor is killed again and again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asgard.core.errors import Busy
from asgard.heimdall.audit import plan, run, store
from asgard.heimdall.audit.judge import Row
from asgard.journal import events
from asgard.journal.store.database import open_journal
from asgard.kafka.admin import connect
from asgard.kafka.data import Record, Writer
from asgard.kafka.model import NewTopic
from tests.harness import RealCluster, planted

pytestmark = pytest.mark.kafka

RECORDS, LOST, DOUBLED, KILLS = 12_000, 37, 12, 3


def test_planted_losses_and_duplicates_are_counted_exactly_though_the_auditor_is_killed_three_times(
    secured_cluster: RealCluster, own_home: Path, topic_name: str
) -> None:
    first, second = f"{topic_name}-raw", f"{topic_name}-enriched"
    truth = planted.plant(secured_cluster.connection, first, second, RECORDS, lost=LOST, doubled=DOUBLED, seed=7)
    home = own_home / topic_name
    options = ["--bootstrap-server", secured_cluster.bootstrap_servers, "--json"]
    options += ["--command-config", str(secured_cluster.client_properties), first, second]
    done = 0
    for kill in range(KILLS):
        process = planted.audit(home, options, batch=500, commit_s=0)
        done = planted.kill_midway(process, home, max(done, (kill + 1) * RECORDS // 2 - RECORDS // 4))
        assert done < 2 * (RECORDS - LOST)
    process = planted.audit(home, options, batch=500, commit_s=0)
    out, told = process.communicate(timeout=120)
    assert process.returncode == 1, told
    document = json.loads(out)
    rows = [Row(**{k: v for k, v in window.items() if k != "window"}) for window in document["windows"]]
    assert truth.differences(rows) == []
    assert sum(row.lost or 0 for row in rows) == LOST and sum(row.duplicates for row in rows) == DOUBLED
    assert document["read"] < 2 * RECORDS, "what was committed before the kills is not read again"


def test_the_journal_is_given_each_closed_window_with_a_loss_and_late_records_are_counted_apart(
    secured_cluster: RealCluster, own_home: Path, topic_name: str
) -> None:
    first, second = f"{topic_name}-raw", f"{topic_name}-enriched"
    connection = secured_cluster.connection
    truth = planted.plant(connection, first, second, 600, lost=5, doubled=0, seed=1)
    found: list[Row] = []
    with connect(connection) as control, store.open_store() as database, open_journal():
        kept = store.AuditStore(database, secured_cluster.cluster_id, plan.of_topics([first, second]))
        run.audit(kept, connection, control, tell=found.append)
        assert {row.start_s: row.lost for row in found} == dict(truth.lost)
        again: list[Row] = []
        with Writer(connection) as writer:
            writer.send(Record(second, b"late", timestamp_ms=planted.START_S * 1000))
        run.audit(kept, connection, control, tell=again.append)
        late = [row for row in kept.report() if row.late]
    assert again == []
    assert [(row.topic, row.start_s, row.late, row.state) for row in late] == [(second, planted.START_S, 1, "closed")]


def test_a_second_auditor_takes_over_and_the_first_one_stops_without_counting_twice(
    secured_cluster: RealCluster, own_home: Path, topic_name: str
) -> None:
    connection = secured_cluster.connection
    with connect(connection) as control, store.open_store() as database:
        control.create_topics([NewTopic(topic_name, 3, 3)])
        with Writer(connection) as writer:
            writer.send_all(Record(topic_name, b"%d" % i) for i in range(100))
        one = store.AuditStore(database, secured_cluster.cluster_id, plan.of_topics([topic_name]))
        other = store.AuditStore(database, secured_cluster.cluster_id, plan.of_topics([topic_name]))
        run.audit(other, connection, control)
        with pytest.raises(Busy, match="another auditor"):
            run.audit(one, connection, control)
        last = store.AuditStore(database, secured_cluster.cluster_id, plan.of_topics([topic_name]))
        assert sum(row.records for row in last.report()) == 100
        assert sum(row.unstamped for row in last.report()) == 100
        run.audit(last, connection, control)
        assert sum(row.records for row in last.report()) == 100


def test_windows_that_retention_ate_into_before_the_first_run_are_not_judged(
    secured_cluster: RealCluster, own_home: Path, topic_name: str
) -> None:
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    first, second = f"{topic_name}-raw", f"{topic_name}-enriched"
    connection = secured_cluster.connection
    planted.plant(connection, first, second, 600, lost=0, doubled=0, seed=1)
    admin = AdminClient(connection.for_librdkafka())
    for future in admin.delete_records([TopicPartition(second, 0, 5)]).values():
        future.result()
    with connect(connection) as control, store.open_store() as database:
        kept = store.AuditStore(database, secured_cluster.cluster_id, plan.of_topics([first, second]))
        run.audit(kept, connection, control)
        rows = kept.report()
    assert {row.state for row in rows if row.start_s == planted.START_S} == {"partial"}
    assert all(row.lost is None for row in rows if row.state == "partial")
    assert [row for row in rows if row.lost] == []


def test_the_events_of_the_command_are_in_the_journal(
    own_home: Path, secured_cluster: RealCluster, topic_name: str
) -> None:
    first, second = f"{topic_name}-raw", f"{topic_name}-enriched"
    planted.plant(secured_cluster.connection, first, second, 300, lost=2, doubled=1, seed=3)
    home = own_home / topic_name
    options = ["--bootstrap-server", secured_cluster.bootstrap_servers, first, second]
    process = planted.audit(
        home, [*options, "--command-config", str(secured_cluster.client_properties)], batch=500, commit_s=2
    )
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1, told
    with open_journal(f"sqlite:///{home / 'journal.db'}") as journal:
        found = events.read(journal, events.EventFilter(kind="heimdall.record.*"))
    assert sum(event.data["lost"] or 0 for event in found) == 2
    assert sum(event.data["duplicates"] for event in found) == 1
