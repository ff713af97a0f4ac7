"""The gate of a stack file: `odin up` puts the load on a real cluster, and fails while it is not stood as the file says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asgard.kafka.admin import connect
from tests.e2e.command import Answer, Home
from tests.harness import RealCluster
from tests.harness.placing import eventually


def test_an_up_runs_the_gate_until_it_is_passed(plain_broker: RealCluster, tmp_path: Path, topic_name: str) -> None:
    home = Home(tmp_path / "home")
    stack: dict[str, Any] = {
        "stack": "gated",
        "target": "external",
        "cluster": {"bootstrap_servers": plain_broker.bootstrap_servers},
        "topics": [{"name": topic_name, "partitions": 2, "replication": 1}],
        "gate": {
            "load": {"topic": topic_name, "rate": "300/s", "size": "100B", "duration": "2s"},
            "slo": {"p50": "1ms", "p999": "1ms", "lost": 0},
        },
    }

    def up(*args: str, code: int = 0) -> Answer:
        (tmp_path / "gated.yaml").write_text(json.dumps(stack))
        return home.run("odin", "up", "--yes", "--json", "-f", tmp_path / "gated.yaml", *args, code=code)

    missed = up(code=1)
    assert missed.ops == {topic_name: "create"}, "what was made stays"
    assert not missed.json["gate"]["passed"] and missed.json["gate"]["sent"] == 600
    assert "the gate was not met" in missed.err and "the goal is" in missed.err
    assert Path(missed.json["gate"]["report"]).exists()

    assert "gate" not in up("--skip-gate").json
    again = up(code=1)
    assert again.ops == {} and not again.json["gate"]["passed"], "it is run until it is passed"

    stack["gate"]["slo"] = {"p99": "60s", "lost": 0}
    passed = up().json["gate"]
    assert passed["passed"] and passed["acknowledged"] == 600
    assert "gate" not in up().json, "it is passed, and nothing changed"

    kinds = [e["kind"] for e in home.run("journal", "events", "--json").json]
    assert [k for k in kinds if k.startswith("odin.")] == [
        "odin.gate.failed",
        "odin.gate.skipped",
        "odin.gate.failed",
        "odin.stack.provisioned",
    ]
    stack["topics"][0]["partitions"] = 3
    assert up().json["gate"]["passed"], "a topic changed"
    with connect(plain_broker.connection) as control:
        eventually(lambda: not [t for t in control.topics() if t.startswith("loki-")], what="scratch topics gone")
        control.delete_topics([topic_name])
