"""A local stack is brought from Kafka 4.2.0 to 4.3.1: one node at a time, then its feature levels, and there is no way back.

Records are written with acks=all all the while: none that was acknowledged may be missing. The change is refused without the
stack's name, and so is a lower version in the end.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from asgard.kafka.distribution.jars import DEFAULT_VERSION
from asgard.machines.local.features import levels_of
from tests.e2e.command import Home, Stack, cluster, remove_nodes
from tests.harness import AckedProducer

OLDER = "4.2.0"
TOPIC = "orders"


def prove() -> tuple[dict[str, object], list[str]]:
    """Levels before and after, and what went wrong."""
    with tempfile.TemporaryDirectory(prefix="asgard-feature-upgrade-") as scratch:
        home = Home(Path(scratch) / "home")
        try:
            return _upgrade(home)
        finally:
            remove_nodes(home)


def _upgrade(home: Home) -> tuple[dict[str, object], list[str]]:
    kafka = {"version": OLDER, "brokers": 3, "min_insync_replicas": 2}
    topics = [{"name": TOPIC, "partitions": 6, "replication": 3}]
    stack = Stack(home, {"stack": "upgraded", "target": "local", "kafka": kafka, "topics": topics})
    stack.up()
    admin = stack.admin
    with cluster(admin) as control:
        before = control.features()
    kafka["version"] = DEFAULT_VERSION
    marked = stack.preview().json["one_way"]
    refused = stack.up(code=4).err
    with cluster(admin) as control:
        untouched = control.features()
    with AckedProducer(admin) as producer, producer.sending(TOPIC):
        stack.up("--confirm", "upgraded")
    stack.settled()
    with cluster(admin) as control:
        after = control.features()
    lost = producer.lost(admin)
    kafka["version"] = OLDER
    lowered = stack.preview(code=4).json["errors"][0]["what"]
    stack.destroy()
    wanted = {name: level for name, level in levels_of(DEFAULT_VERSION).items() if level}
    checks = {
        f"the preview does not say that there is no way back: {marked}": len(marked) == 1,
        f"without the stack's name it was not refused as it should be: {refused}": "--confirm upgraded" in refused,
        f"a refused upgrade changed the levels to {untouched}": untouched == before,
        f"the levels were those of {DEFAULT_VERSION} before: {before}": before != after,
        f"the levels are {after}, not {wanted}": after == wanted,
        f"{len(lost)} of {len(producer.acked)} acknowledged records are missing": not lost and bool(producer.acked),
        f"a lower version is not refused as it should be: {lowered}": "can't be downgraded" in lowered,
    }
    figures = {
        "from": OLDER,
        "to": DEFAULT_VERSION,
        "levels_before": before,
        "levels_after": after,
        "acknowledged": len(producer.acked),
        "lost": len(lost),
    }
    return figures, [sentence for sentence, holds in checks.items() if not holds]
