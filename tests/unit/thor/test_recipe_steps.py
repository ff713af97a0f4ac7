"""What the steps of a recipe do to a cluster: in memory, with a real journal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from asgard.cluster.limits import Limits
from asgard.cluster.moves import decide
from asgard.compose.recipe_steps import Steps
from asgard.core.errors import Failed
from asgard.journal.rules import Priority
from asgard.journal.store.database import Database, open_journal
from asgard.kafka.model import Broker, LogDir, Node
from asgard.thor.heal.policy import Policy
from asgard.thor.recipes import memory, read, run
from asgard.thor.recipes.run import Report, World
from tests.unit.thor.kafka_in_memory import CLUSTER, KafkaInMemory, held, partitions


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(run, "POLL_S", 0.0)
    with open_journal(f"sqlite:///{tmp_path / 'home' / 'journal.db'}") as opened:
        yield opened


def cluster() -> KafkaInMemory:
    brokers = {b: Broker(b, log_dirs=(LogDir("/d1", 1000, 0),)) for b in (1, 2, 3)}
    return KafkaInMemory(brokers, partitions("t", (1, 2), (2, 1)))


class OnTest(Steps):
    """Steps on a cluster in memory, under its lease in the test's journal."""

    @contextlib.contextmanager
    def change(self, attempt: Any) -> Iterator[Any]:
        with held(self.control, attempt.memory.journal, Priority.CHANGE) as cluster:
            yield cluster


def carried_out(
    journal: Database, folder: Path, text: str, control: Any, limits: Limits = Limits(), kind: type[Steps] = OnTest
) -> Report:
    """A run of a recipe with these steps."""
    file = folder / "mine.yaml"
    file.write_text(f"recipe: mine\nabout: a test\n{text}")
    recipe = read.read(file)
    target: Any = SimpleNamespace(name="test")
    steps = kind(recipe, target, control, CLUSTER, limits, Policy(), None)
    found = memory.recall(journal, recipe, CLUSTER)
    return run.run(recipe, World(steps.facts, steps.actions()), found, "test", agree=lambda: None)


MOVES = "steps: [{set-rf: {topics: {t: 3}}}]\non_failure: [{notify: could not be moved}]\n"


def test_a_window_that_closes_in_the_middle_of_a_step_is_no_failure(
    journal: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = cluster()
    one_at_a_time = Limits(moves_per_broker=1)

    def moved() -> int:
        return sum(len(p.replicas) == 3 for p in kafka.partitions.values())

    monkeypatch.setattr(decide, "closed", lambda limits, now: "it is day" if moved() else None)
    report = carried_out(journal, tmp_path, MOVES, kafka, one_at_a_time)
    assert (report.outcome, report.exit_code, moved()) == ("waiting", 1, 1)
    assert report.text.endswith("1 are left; it is day")
    assert [s.outcome for s in report.steps] == ["waiting"], "on_failure is not run"
    assert kafka.set_configs() == {}

    again = carried_out(journal, tmp_path, MOVES, kafka, one_at_a_time)
    assert (again.outcome, [s.outcome for s in again.steps], moved()) == ("waiting", ["waiting"], 1)
    monkeypatch.setattr(decide, "closed", lambda limits, now: None)
    assert carried_out(journal, tmp_path, MOVES, kafka, one_at_a_time).outcome == "done" and moved() == 2


@dataclass
class Nodes:
    """Nodes that a restart gives another process id. `failing` restarts fail, of the nodes named, once each."""

    pids: dict[int, int] = field(default_factory=lambda: {1: 101, 2: 102, 3: 103})
    restarted: list[int] = field(default_factory=list)
    failing: list[int] = field(default_factory=list)

    def nodes(self) -> list[Node]:
        return [Node(n, "running", None, ("broker",), pid) for n, pid in self.pids.items()]

    def restart(self, node: int) -> None:
        if node in self.failing:
            self.failing.remove(node)
            raise Failed(f"node {node} does not stop")
        self.restarted.append(node)
        self.pids[node] += 1000


class Restarting(OnTest):
    """Steps on `nodes`. A healing asks for the cluster once, when `wanted_after` nodes are restarted."""

    machines: Nodes
    wanted_after: int = 99

    def nodes(self) -> Any:
        return self.machines

    @contextlib.contextmanager
    def change(self, attempt: Any) -> Iterator[Any]:
        done = len(self.machines.restarted)
        lease = SimpleNamespace(wanted_by=None)

        def check(deadline_s: float) -> None:
            if done < self.wanted_after == len(self.machines.restarted):
                lease.wanted_by = "thor heal"

        lease.check = check
        yield SimpleNamespace(control=self.control, lease=lease)


def restarted(journal: Database, folder: Path, text: str, machines: Nodes, wanted_after: int = 99) -> Report:
    """A run of a recipe with these steps on these nodes."""
    kind = type("OnNodes", (Restarting,), {"machines": machines, "wanted_after": wanted_after})
    return carried_out(journal, folder, text, cluster(), kind=kind)


def test_a_rolling_restart_that_hands_over_continues_with_the_nodes_that_are_left(
    journal: Database, tmp_path: Path
) -> None:
    machines = Nodes()
    report = restarted(journal, tmp_path, "steps: [{rolling-restart: all}]\n", machines, wanted_after=2)
    assert (report.outcome, machines.restarted) == ("done", [2, 3, 1])


def test_a_rolling_restart_that_is_tried_again_continues_and_the_next_run_knows_it_all(
    journal: Database, tmp_path: Path
) -> None:
    machines = Nodes(failing=[3, 1, 1, 1])
    again = "steps: [{rolling-restart: {brokers: all, retries: 1, retry_after: 1ms}}]\n"
    for _ in range(2):
        report = restarted(journal, tmp_path, again, machines)
        assert (report.outcome, machines.restarted) == ("failed", [2, 3])
    report = restarted(journal, tmp_path, again, machines)
    assert (report.outcome, machines.restarted) == ("done", [2, 3, 1])


def test_two_steps_may_restart_the_same_nodes(journal: Database, tmp_path: Path) -> None:
    machines = Nodes()
    report = restarted(journal, tmp_path, "steps: [{rolling-restart: [2]}, {rolling-restart: [2]}]\n", machines)
    assert (report.outcome, machines.restarted) == ("done", [2, 2])
