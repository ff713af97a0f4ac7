"""Two operations on two clusters in one process, at the same time: each has its own cluster, and its own listener hears of it."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from asgard.compose import chaos
from asgard.core import events
from asgard.kafka.target import Target
from asgard.loki.chaos.read import read
from tests.harness import RealCluster

pytestmark = pytest.mark.kafka


def experiment(brokers: int) -> dict[str, object]:
    """One that looks at its cluster, in the foreground and in the background, and says how many brokers it has."""
    module = "asgard.loki.chaos.probes"

    def probe(name: str, func: str, tolerance: object, **more: object) -> dict[str, object]:
        provider = {"type": "python", "module": module, "func": func, "arguments": {}}
        return {"type": "probe", "name": f"{name} of {brokers}", "tolerance": tolerance, "provider": provider, **more}

    return {
        "title": f"{brokers} brokers",
        "description": "It breaks nothing.",
        "steady-state-hypothesis": {"title": "They are there", "probes": [probe("brokers", "brokers_up", brokers)]},
        "method": [
            probe("beside", "brokers_up", brokers, background=True, pauses={"before": 0.5}),
            probe("again", "brokers_up", brokers, pauses={"before": 1}),
        ],
    }


def test_each_operation_has_its_own_cluster_and_is_heard_by_its_own_listener(
    plain_broker: RealCluster, secured_cluster: RealCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path / "home"))
    together = threading.Barrier(2)

    def run(cluster: RealCluster, brokers: int) -> tuple[int, list[str]]:
        heard: list[str] = []
        file = tmp_path / f"{brokers}.json"
        file.write_text(json.dumps(experiment(brokers)))
        with events.listening(lambda event: heard.append(event.text)):
            together.wait(10)
            outcome = chaos.run(read(file), Target(cluster.connection), chaos.ChaosOptions(seed=1))
        assert outcome.record["status"] == "completed", outcome.reason
        assert {r["output"] for r in outcome.record["run"]} == {brokers}
        return int(outcome.exit_code), heard

    with ThreadPoolExecutor(2) as pool:
        one, three = pool.submit(run, plain_broker, 1), pool.submit(run, secured_cluster, 3)
        (code_1, heard_1), (code_3, heard_3) = one.result(60), three.result(60)
    assert (code_1, code_3) == (0, 0)
    for heard, mine, other in ((heard_1, 1, 3), (heard_3, 3, 1)):
        assert [text for text in heard if f"beside of {mine}" in text], heard
        assert [text for text in heard if f"again of {mine}" in text], heard
        assert not [text for text in heard if f"of {other}" in text], heard
