"""Brokers with several log directories on a real cluster: found over a limit, evened, killed in the midst, undone, named in moves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asgard.cli.main import main
from asgard.kafka.admin import AdminClient, connect
from asgard.kafka.model import DirMove
from asgard.kafka.throttle import DIRECTORY_RATE
from tests.harness import RealCluster
from tests.harness.placing import eventually, filled, placed

pytestmark = pytest.mark.kafka

ASGARD = Path(sys.executable).with_name("asgard")


@pytest.fixture(scope="module")
def two_brokers(session_home: Path) -> Iterator[RealCluster]:
    """Two brokers with two log directories each."""
    few = {"offsets.topic.num.partitions": "1"}
    with RealCluster(
        session_home / "disks", brokers=2, controllers=1, security="none", log_dirs=2, config=few
    ) as cluster:
        yield cluster


class Bench:
    """The cluster, and commands on it with limits by directory (they all lie on one volume)."""

    def __init__(self, cluster: RealCluster, control: AdminClient, home: Path) -> None:
        self.cluster = cluster
        self.control = control
        self.first, self.second = (str(d) for d in cluster.run_dir(1).log_dirs())
        self.limits = home / "limits.yaml"
        self.limited(self.first, self.second)
        self.options = ["--bootstrap-server", cluster.bootstrap_servers]

    def limited(self, *dirs: str, capacity: str = "8MB") -> None:
        self.limits.write_text(
            f"limits: {{disk: 75%, log_dirs: {{{', '.join(f'{d}: {{capacity: {capacity}}}' for d in dirs)}}}}}"
        )

    def asgard(self, *args: str | Path, limits: bool = True) -> int:
        chosen = ["--limits", str(self.limits)] if limits else []
        return main([*map(str, args), *chosen, *self.options])

    def where(self, topic: str, broker: int = 1) -> dict[int, str]:
        """Partition to its directory; none where a copy is on its way."""
        disk = self.control.disks([broker])[broker]
        assert not disk.future
        return {p: d for (t, p), d in disk.directories.items() if t == topic}

    def settled(self, broker: int = 1) -> bool:
        return not self.control.disks([broker])[broker].future

    def put(self, topic: str, partitions: range, path: str, broker: int = 1) -> None:
        moves = [DirMove(broker, topic, n, path) for n in partitions]
        assert set(self.control.move_directories(moves).values()) == {None}
        eventually(lambda: self.settled(broker) and {self.where(topic, broker)[n] for n in partitions} == {path})

    def throttle(self) -> str | None:
        return self.control.broker_configs("").get(DIRECTORY_RATE)


@pytest.fixture
def bench(two_brokers: RealCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    with connect(two_brokers.connection) as control:
        yield Bench(two_brokers, control, tmp_path)
        control.delete_topics([t for t, topic in control.topics().items() if not topic.internal])


def test_a_full_directory_is_found_evened_under_kill_9_and_undone(
    bench: Bench, topic_name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    placed(bench.control, topic_name, [[1]] * 8)
    bench.put(topic_name, range(8), bench.first)
    filled(bench.cluster.connection, topic_name, 8, 7)
    sizes = bench.control.disks([1])[1].sizes
    held = sum(size for (topic, _), size in sizes.items() if topic == topic_name)
    bench.limited(bench.first, bench.second, capacity=f"{held // 900}kB")
    assert bench.asgard("thor", "status", "--json") == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [(f["kind"], f["subject"]) for f in found] == [("log-dir-over-limit", f"broker 1 {bench.first}")]

    plan = tmp_path / "disks.json"
    assert bench.asgard("thor", "plan", "disks", "1", "--out", plan) == 0
    command = [str(ASGARD), "thor", "apply", str(plan), "--throttle", "100kB/s", *bench.options, "--yes"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ))
    eventually(lambda: not bench.settled() or process.poll() is not None, what="a copy")
    assert process.poll() is None, process.communicate()
    assert bench.throttle() == "100000"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not bench.settled(), "the copies continue under their throttle"
    assert bench.asgard("thor", "apply", plan, "--throttle", "none", "--yes", limits=False) == 0
    assert bench.throttle() is None
    assert sorted(bench.where(topic_name).values()) == [bench.first] * 4 + [bench.second] * 4
    assert bench.asgard("thor", "status") == 0

    back = tmp_path / "back.json"
    assert bench.asgard("thor", "plan", "undo", plan, "--out", back) == 0
    assert bench.asgard("thor", "apply", back, "--yes", limits=False) == 0
    assert set(bench.where(topic_name).values()) == {bench.first} and bench.throttle() is None


def test_cancel_takes_back_copies_and_a_drained_directory_is_empty(
    bench: Bench, topic_name: str, tmp_path: Path
) -> None:
    placed(bench.control, topic_name, [[1]] * 4)
    bench.put(topic_name, range(4), bench.first)
    filled(bench.cluster.connection, topic_name, 4, 2)
    plan = tmp_path / "drain.json"
    assert bench.asgard("thor", "plan", "drain", f"1:{bench.first}", "--out", plan, limits=False) == 0
    command = [str(ASGARD), "thor", "apply", str(plan), "--throttle", "50kB/s", *bench.options, "--yes"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ))
    eventually(lambda: not bench.settled() or process.poll() is not None, what="a copy")
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert bench.asgard("thor", "cancel", "--yes", limits=False) == 0
    eventually(bench.settled)
    assert bench.first in bench.where(topic_name).values() and bench.throttle() is None
    assert bench.asgard("thor", "plan", "drain", f"1:{bench.first}", "--apply", "--yes", limits=False) == 0
    assert set(bench.where(topic_name).values()) == {bench.second} and bench.throttle() is None


def test_a_move_between_brokers_names_the_directory_with_room(bench: Bench, topic_name: str) -> None:
    """Kafka counts replicas: it would put the new one into the fuller directory, which has fewer."""
    small = f"{topic_name}-small"
    placed(bench.control, topic_name, [[1], [2]])
    placed(bench.control, small, [[1]] * 6)
    bench.put(topic_name, range(1), bench.first)
    bench.put(small, range(6), bench.second)
    filled(bench.cluster.connection, topic_name, 2, 8)
    size = bench.control.disks([2])[2].sizes[topic_name, 1]
    bench.limited(bench.first, bench.second, capacity=f"{size * 2 // 1000}kB")
    assert bench.asgard("thor", "plan", "drain", "2", "--apply", "--yes") == 0
    assert bench.where(topic_name) == {0: bench.first, 1: bench.second}
