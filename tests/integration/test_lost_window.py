"""A window is deleted: the audit shows the gap, the recipe replays it from the archive, the audit shows it closed. Nobody does anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asgard.journal import events
from asgard.journal.store.database import open_journal
from asgard.kafka import data
from asgard.kafka.admin import connect
from tests.harness import RealCluster, planted
from tests.harness.archives import Desk

pytestmark = pytest.mark.kafka

DELETED_WINDOWS = 2


def test_a_window_that_was_deleted_is_missed_by_the_audit_replayed_by_the_recipe_and_found_by_the_audit(
    plain_broker: RealCluster, own_home: Path, topic_name: str, tmp_path: Path
) -> None:
    desk, connection = Desk(plain_broker, own_home), plain_broker.connection
    first, second = f"{topic_name}-raw", f"{topic_name}-enriched"

    def audit(code: int) -> Any:
        return desk.run("audit", first, second, service="heimdall", code=code)["windows"]

    def recipe() -> Any:  # as its line in the crontab does
        return desk.run("recipe", "run", "replay-window", "--on-event", "--set", f"archive={tmp_path}", "--yes")

    planted.create_tiers(connection, first, second)
    audit(0)
    truth = planted.plant(connection, first, second, 600, lost=0, doubled=0, seed=5, create=False)
    assert desk.run("archive", "run", second, "--to", tmp_path)["records"] == 600 + planted.PRODUCERS * 6
    assert recipe()["text"] == "no new event heimdall.alert.raised"

    until_s = planted.START_S + DELETED_WINDOWS * planted.WINDOW_S
    with connect(connection) as control:
        keys = [(second, p.partition) for p in control.topics([second])[second].partitions]
        ends = control.offsets_at(keys, until_s * 1000)
    assert set(data.delete_records(connection, ends).values()) == {None}
    gap = {row["window"]: row["lost"] for row in audit(1) if row["lost"]}
    starts = sorted(truth.records)
    wanted = {start: truth.records[start] for start in starts[:DELETED_WINDOWS]}
    late = sum(ends.values()) - sum(
        wanted.values()
    )  # the tier takes 3 s, so the last records of the window came after it
    assert len(gap) == DELETED_WINDOWS and -10 <= late <= 0 and sum(gap.values()) == sum(ends.values())

    report = recipe()
    assert report["steps"][0]["text"] == f"{second}: {sum(ends.values())} records restored"
    closed = audit(0)
    assert [row["lost"] for row in closed if row["topic"] == first and row["state"] == "closed"] == [0] * len(starts)
    assert recipe()["outcome"] == "nothing"
    with open_journal() as journal:
        told = events.read(journal, events.EventFilter(kind="heimdall.alert.*", subject=f"{first} > {second}/{second}"))
    assert [event.kind for event in told] == ["heimdall.alert.raised", "heimdall.alert.cleared"]
    assert told[0].data["lost"] == sum(gap.values())
