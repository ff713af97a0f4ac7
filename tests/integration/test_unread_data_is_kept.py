"""Unread data comes near retention: the alert is first, the recipe keeps the data, and puts the retention back once it was read."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asgard.core import contexts
from asgard.core.contexts import Context
from asgard.journal import events, operations
from asgard.journal.store.database import open_journal
from asgard.kafka import data
from asgard.kafka.admin import AdminClient, connect
from asgard.kafka.data import Record, Writer
from asgard.kafka.model import NewTopic
from tests.harness import RealCluster
from tests.harness.archives import ASGARD, Desk
from tests.harness.placing import eventually

pytestmark = pytest.mark.kafka

RETENTION_S, AGE_S, EXTRA_S, RECORDS = 120, 30, 600, 400
"""Of 90 s that are left until records expire the commands below need a few, a minute on a machine that is very busy."""
RULES = "rules: [{name: expires, when: data-loss, groups: ['late-*'], within: 100s, severity: critical}]\n"
RECIPE = ("recipe", "run", "raise-retention", "--set", f"extra={EXTRA_S}s", "--set", "at_most=1h", "--yes")
KILLED = """
import os, sys
from asgard.cluster import kept
kept.change = lambda *args: os.kill(os.getpid(), 9)
sys.argv[0] = "asgard"
from asgard.cli.main import run
run()
"""
"""The command, killed between the note in the journal and the write to Kafka."""


@pytest.fixture
def cluster(session_home: Path) -> Iterator[RealCluster]:
    """One broker that looks after retention twice a second."""
    often = {"log.retention.check.interval.ms": "500", "log.initial.task.delay.ms": "500"}
    few = {"offsets.topic.num.partitions": "1"}
    with RealCluster(session_home / "retention", brokers=1, security="none", config=often | few) as started:
        yield started


class Bench:
    """Topics whose records expire soon, groups that have read none of them, and the commands."""

    def __init__(self, cluster: RealCluster, home: Path, control: AdminClient, rules: Path) -> None:
        self.desk, self.control, self.connection, self.rules = Desk(cluster, home), control, cluster.connection, rules

    def plant(self, *topics: str) -> None:
        keep = {"retention.ms": str(RETENTION_S * 1000)}
        self.control.create_topics([NewTopic(t, 2, 1, keep) for t in topics])
        at = int((time.time() - AGE_S) * 1000)
        with Writer(self.connection) as writer:
            for n in range(RECORDS):
                for topic in topics:
                    writer.send(Record(topic, b"%d" % n, partition=n % 2, timestamp_ms=at))
        for topic in topics[1:]:
            self.control.commit_offsets(f"late-{topic}", {(topic, 0): 0, (topic, 1): 0})

    def held(self, topic: str) -> int:
        """Records that the topic holds."""
        keys = [(topic, 0), (topic, 1)]
        return sum(o.end - o.start for o in self.control.offsets(keys).values())

    def retention_s(self, topic: str) -> int:
        return int(self.control.topic_configs([topic])[topic]["retention.ms"]) // 1000

    def recipe(self, *more: str, code: int = 0) -> Any:
        return self.desk.run(*RECIPE, *more, code=code)

    def read(self, topic: str) -> int:
        """Read all that the group has not read, and commit."""
        keys = [(topic, 0), (topic, 1)]
        spans = self.control.offsets(keys)
        count = sum(len(batch) for batch in data.read(self.connection, spans))
        self.control.commit_offsets(f"late-{topic}", {key: spans[key].end for key in keys})
        return count


def test_the_alert_is_first_the_recipe_keeps_what_is_unread_and_puts_the_retention_back(
    cluster: RealCluster, own_home: Path, tmp_path: Path
) -> None:
    contexts.put(Context("retention", cluster.bootstrap_servers, None, cluster.cluster_id), use=True)
    rules = tmp_path / "heimdall.yaml"
    rules.write_text(RULES)
    full = tmp_path / "full.yaml"
    full.write_text("limits: {disk: 0.1%}\n")
    with connect(cluster.connection) as control:
        bench = Bench(cluster, own_home, control, rules)
        bench.plant("unheeded", "orders", "bills")
        told = bench.desk.run("alerts", "check", "--once", "--settings", rules, service="heimdall", code=1)
        assert sorted(s["subject"] for s in told["raised"]) == ["late-bills", "late-orders"]
        assert [bench.held(t) for t in ("unheeded", "orders", "bills")] == [RECORDS] * 3, (
            "the alert came before any loss"
        )

        refused = bench.recipe("--set", "group=late-orders", "--limits", str(full), code=4)
        assert "the disk limit of broker 1 allows no more than" in refused["text"]
        assert bench.retention_s("orders") == bench.retention_s("bills") == RETENTION_S
        with open_journal() as journal:
            assert operations.unfinished(journal) == [], "nothing was begun"

        assert subprocess.run([sys.executable, "-c", KILLED, "thor", *RECIPE, "--on-event"], check=False).returncode == -9  # fmt: skip
        assert bench.retention_s("orders") == bench.retention_s("bills") == RETENTION_S
        assert bench.recipe("--on-event")["resumed"]
        assert bench.recipe("--on-event")["outcome"] == "done", "the other group's alert"
        raised = RETENTION_S + EXTRA_S
        assert bench.retention_s("orders") == bench.retention_s("bills") == raised

        eventually(lambda: bench.held("unheeded") == 0, 150)
        assert bench.recipe("--on-event")["outcome"] == "nothing" and bench.retention_s("orders") == raised, (
            "they are not read yet"
        )
        assert bench.read("orders") == bench.read("bills") == RECORDS, "nothing expired unread"

        recovered = subprocess.run([ASGARD, "recover", "--yes", "--json"], capture_output=True, text=True, check=True)
        assert [entry["settled"] for entry in json.loads(recovered.stdout)] == [True, True]
        assert bench.retention_s("orders") == bench.retention_s("bills") == RETENTION_S
    with open_journal() as journal:
        assert operations.unfinished(journal) == []
        kinds = [e.kind for e in events.read(journal, events.Filter(kind="thor.retention.*"))]
        assert kinds.count("thor.retention.raised") >= 1 and kinds.count("thor.retention.restored") == 2
