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

RETENTION_S, EXTRA_S, LEFT_S, RECORDS = 1800, 3600, 900, 400
"""`LEFT_S`: until records expire. The commands below need a few seconds of it, a minute or two on a machine that is very busy."""
CONFIG = {
    "log.retention.check.interval.ms": "500",
    "log.initial.task.delay.ms": "500",
    "offsets.topic.num.partitions": "1",
}
"""The broker looks after retention twice a second."""
RULES = "rules: [{name: expires, when: data-loss, groups: ['late-*'], within: 1000s, severity: critical}]\n"
RECIPE = ("recipe", "run", "raise-retention", "--set", f"extra={EXTRA_S}s", "--set", "at_most=2h", "--yes")
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
    with RealCluster(session_home / "retention", brokers=1, security="none", config=CONFIG) as started:
        yield started


class Bench:
    """Topics whose records expire soon, groups that have read none of them, and the commands."""

    def __init__(self, cluster: RealCluster, home: Path, control: AdminClient) -> None:
        self.desk, self.control, self.connection = Desk(cluster, home), control, cluster.connection

    def plant(self, *topics: str, left_s: float) -> None:
        keep = {"retention.ms": str(RETENTION_S * 1000)}
        self.control.create_topics([NewTopic(t, 2, 1, keep) for t in topics])
        at = int((time.time() - RETENTION_S + left_s) * 1000)
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


@pytest.mark.long
def test_the_alert_is_first_the_recipe_keeps_what_is_unread_and_puts_the_retention_back(
    cluster: RealCluster, own_home: Path, tmp_path: Path
) -> None:
    kept_until_read(cluster, own_home, tmp_path, left_s=LEFT_S, expires=False)


def kept_until_read(cluster: RealCluster, home: Path, folder: Path, *, left_s: float, expires: bool) -> None:
    """The whole way. `expires`: wait until a topic without a reader has lost its records, which takes `left_s`."""
    contexts.put(Context("retention", cluster.bootstrap_servers, None, cluster.cluster_id), use=True)
    rules = folder / "heimdall.yaml"
    rules.write_text(RULES)
    full = folder / "full.yaml"
    full.write_text("limits: {disk: 0.1%}\n")
    with connect(cluster.connection) as control:
        bench = Bench(cluster, home, control)
        bench.plant("unheeded", "orders", "bills", left_s=left_s)
        told = bench.desk.run("alerts", "check", "--once", "--settings", rules, service="heimdall", code=1)
        assert sorted(s["subject"] for s in told["raised"]) == ["late-bills", "late-orders"]
        held = [bench.held(t) for t in ("unheeded", "orders", "bills")]
        assert held == [RECORDS] * 3, "the alert came before any loss"

        refused = bench.recipe("--set", "group=late-orders", "--limits", str(full), code=4)
        assert "the disk limit of broker 1 allows no more than" in refused["text"], refused
        assert bench.retention_s("orders") == bench.retention_s("bills") == RETENTION_S
        with open_journal() as journal:
            assert operations.unfinished(journal) == [], "nothing was begun"

        killed = subprocess.run([sys.executable, "-c", KILLED, "thor", *RECIPE, "--on-event"], check=False)
        assert killed.returncode == -9
        assert bench.retention_s("orders") == bench.retention_s("bills") == RETENTION_S
        resumed, other = bench.recipe("--on-event"), bench.recipe("--on-event")
        assert resumed["resumed"] and [r["steps"][0]["outcome"] for r in (resumed, other)] == ["done", "done"], other
        raised = RETENTION_S + EXTRA_S
        assert bench.retention_s("orders") == bench.retention_s("bills") == raised

        if expires:
            eventually(lambda: bench.held("unheeded") == 0, left_s + 60)
        assert bench.recipe("--on-event")["outcome"] == "nothing"
        assert bench.retention_s("orders") == raised, "they are not read yet"
        assert bench.read("orders") == bench.read("bills") == RECORDS, "nothing expired unread"

        recovered = subprocess.run([ASGARD, "recover", "--yes", "--json"], capture_output=True, text=True, check=True)
        assert [entry["settled"] for entry in json.loads(recovered.stdout)] == [True, True]
        assert bench.retention_s("orders") == bench.retention_s("bills") == RETENTION_S
    with open_journal() as journal:
        assert operations.unfinished(journal) == []
        kinds = [e.kind for e in events.read(journal, events.EventFilter(kind="thor.retention.*"))]
        assert kinds.count("thor.retention.raised") >= 1 and kinds.count("thor.retention.restored") == 2
