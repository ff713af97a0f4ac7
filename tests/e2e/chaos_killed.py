"""Rounds of `loki chaos run` killed in the midst of a fault, and what the next command must have put back.

One cluster bears all kinds of faults: three brokers in three racks with two log directories each, a topic, a consumer group with
members and one without, a client quota, and a process that is no broker. Everything that a fault can touch is looked at before
and after; only a command of Asgard's comes in between.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Consumer

from asgard.core import contexts
from asgard.core.contexts import Context
from asgard.core.errors import AsgardError
from asgard.kafka.model import QuotaEntity
from asgard.kafka.ports import ControlPlane
from asgard.machines import local as nodes
from tests.e2e.command import Home, finished
from tests.harness import RealCluster
from tests.harness.placing import eventually, filled, led_by_preferred, placed

LAYOUT = [(1, 2, 3), (2, 3, 1), (3, 1, 2)]
QUOTA = QuotaEntity(client_id="ledger")
BEFORE = {"producer_byte_rate": 5_000_000.0}
THEN = ("recover", "loki chaos recover", "loki chaos run", "thor elect")
"""The commands that come after a kill: each of them changes things, so each puts back what was left broken."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault: its action with arguments, and whether it shows while it lasts (else it is over by itself)."""

    action: str
    arguments: dict[str, Any]
    lasts: bool = True
    options: tuple[str, ...] = ()


class ChaosStory:
    """The cluster, as a user has it: the context `orders` of a home of its own.

    `elsewhere`: what else a fault may touch (machines that are no brokers), by name, and how it stands.
    """

    def __init__(
        self,
        cluster: RealCluster,
        control: ControlPlane,
        below: Path,
        elsewhere: Mapping[str, Callable[[], Any]] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.cluster, self.control, self.below = cluster, control, below
        self.elsewhere = elsewhere or {}
        self.topic, self.idle, self.busy = "killed.orders", "killed-idle", "killed-busy"
        self.home = Home(cluster.home, {"PYTHONPATH": str(Path(__file__).parents[2]), **(variables or {})})
        self.pid_file = below / "ledger.pid"
        placed(control, self.topic, LAYOUT)
        filled(cluster.connection, self.topic, len(LAYOUT), 0.6)
        control.commit_offsets(self.idle, {(self.topic, n): 20 for n in range(len(LAYOUT))})
        assert control.alter_quotas({QUOTA: BEFORE}) == {QUOTA: None}

    def kinds(self) -> dict[str, Kind]:
        """Every kind of fault that this cluster can bear."""
        found = [
            Kind("kill_broker", {"broker": 2}),
            Kind("stop_broker", {"broker": 2}),
            Kind("pause_broker", {"broker": 2}),
            Kind("restart_broker", {"broker": 2}, lasts=False),
            Kind("rolling_restart", {}, lasts=False),
            Kind("kill_controller", {}),
            Kind("lose_rack", {"rack": "r1", "how": "pause"}),
            Kind("chase_leader", {"topic": self.topic, "times": 2}, lasts=False),
            Kind("fail_log_dir", {"broker": 3}),
            Kind("leader_storm", {"topic": self.topic, "rounds": 1}, lasts=False),
            Kind("kill_consumers", {"group": self.busy}, lasts=False),
            Kind("rewind_group", {"group": self.idle, "records": 5}),
            Kind("squeeze_quota", {"client_id": "ledger", "produce": 1000}),
            Kind(
                "kill_process",
                {"pid_file": str(self.pid_file), "command": "ledger", "how": "pause"},
                options=("--max-processes", "1"),
            ),
        ]
        return {kind.action: kind for kind in found}

    def round(self, kind: Kind, phase: str, then: str) -> list[str]:
        """Kill in that phase, look what is broken, run the next command, look again; what was wrong."""
        busy = self.busy_group() if kind.action == "kill_consumers" else contextlib.nullcontext()
        with busy, self.ledger_process() as ledger:
            self.whole()
            before = self._state(ledger)
            assert self._broken(before, ledger) == [], "the cluster is not whole to begin with"
            self._killed(kind, phase)
            wrong = []
            if phase == "done" and kind.lasts and not self._broken(before, ledger):
                wrong.append("nothing was broken when it was killed")
            answer = self._next(then)
            wrong += [f"after {then}: {what}" for what in self._left(before, ledger)]
            if wrong:
                wrong.append(answer)
            return wrong

    def experiment(self, name: str, **document: Any) -> Path:
        """An experiment file."""
        path = self.below / f"{name}.json"
        path.write_text(json.dumps({"title": name, "description": name, **document}))
        return path

    def action(self, kind: Kind) -> dict[str, Any]:
        """The action of a kind, as an experiment has it."""
        module = "asgard.loki.chaos.actions"
        provider = {"type": "python", "module": module, "func": kind.action, "arguments": kind.arguments}
        return {"type": "action", "name": kind.action, "provider": provider}

    def _killed(self, kind: Kind, phase: str) -> None:
        path = self.experiment(kind.action, method=[self.action(kind)])
        command = (sys.executable, "-m", "tests.e2e.chaos_killing", "--phase", phase, "--")
        process = self.home.start("loki", "chaos", "run", path, "--yes", *kind.options, command=command)
        finished(process, -signal.SIGKILL)

    def _next(self, then: str) -> str:
        if then == "loki chaos run":
            return str(self.home.run("loki", "chaos", "run", self.experiment("nothing", method=[]), "--yes").err)
        return str(self.home.run(*then.split(), "--yes").err)

    def _state(self, ledger: subprocess.Popen[bytes]) -> dict[str, Any]:
        """Everything that a fault can touch; a cluster that has just lost its controller answers a moment later."""
        found: list[dict[str, Any]] = []

        def answered() -> bool:
            with contextlib.suppress(AsgardError):
                found.append(self._look(ledger))
            return bool(found)

        eventually(answered, 120, "an answer")
        return found[0]

    def _look(self, ledger: subprocess.Popen[bytes]) -> dict[str, Any]:
        offsets = self.control.group_offsets().get(self.idle, {})
        return {
            "nodes": {n: nodes.status(self.cluster.run_dir(n)).state for n in self.cluster.specs},
            "ledger": psutil.Process(ledger.pid).status(),
            "failed directories": sorted(str(p) for n in self.cluster.specs for p in self._data(n).glob("*.failed")),
            "quota": self.control.quotas().get(QUOTA),
            "offsets": {f"{t}-{p}": offset for (t, p), offset in sorted(offsets.items())},
            **{name: look() for name, look in self.elsewhere.items()},
            "replicas": [p.replicas for p in self.control.topics([self.topic], moves=False)[self.topic].partitions],
        }

    def _data(self, node: int) -> Path:
        return self.cluster.run_dir(node).data

    def _broken(self, before: dict[str, Any], ledger: subprocess.Popen[bytes]) -> list[str]:
        now = self._state(ledger)
        now["ledger"] = "running" if now["ledger"] in (psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING) else now["ledger"]
        was = {**before, "ledger": "running"}
        return [f"{what} is {now[what]}, it was {was[what]}" for what in now if now[what] != was[what]]

    def _left(self, before: dict[str, Any], ledger: subprocess.Popen[bytes]) -> list[str]:
        """What is not as it was."""
        self.whole()
        wrong = self._broken(before, ledger)
        up = sorted(self.cluster.specs)
        offline = [d.path for dirs in self.control.log_dirs(up).values() for d in dirs if d.offline]
        wrong += [f"the log directory {path} is offline" for path in offline]
        wrong += [f"the scratch topic {name} is left" for name in self.control.topics() if name.startswith("loki-")]
        if unfinished := self.home.run("journal", "operations", "--json").json:
            wrong.append(f"unfinished is {unfinished}")
        return wrong

    def whole(self) -> None:
        """Wait for every broker to be up, every replica to be in sync, the first to lead in the topic."""

        def whole() -> bool:
            with contextlib.suppress(AsgardError):
                partitions = [p for t in self.control.topics().values() for p in t.partitions]
                up = {b.id for b in self.control.cluster().brokers if b.state == "up"}
                self.control.elect_preferred_leaders([(self.topic, n) for n in range(len(LAYOUT))])
                return (
                    up == set(self.cluster.specs)
                    and all(set(p.isr) == set(p.replicas) for p in partitions)
                    and led_by_preferred(self.control, [self.topic])
                    and len(self.control.group_offsets().get(self.idle, {})) == len(LAYOUT)  # its coordinator answers
                )
            return False

        eventually(whole, 120, "the cluster whole")

    @contextlib.contextmanager
    def busy_group(self) -> Iterator[None]:
        """A consumer group with a member that is alive."""
        over = threading.Event()

        def consume() -> None:
            conf = {**self.cluster.connection.for_librdkafka(), "group.id": self.busy, "log_level": 0}
            consumer = Consumer(conf)
            consumer.subscribe([self.topic])
            while not over.is_set():
                consumer.poll(0.2)
            consumer.close()

        thread = threading.Thread(target=consume, daemon=True)
        thread.start()
        try:
            eventually(lambda: bool(self.control.group_members(self.busy)), what="a member of the group")
            yield
        finally:
            over.set()
            thread.join()

    @contextlib.contextmanager
    def ledger_process(self) -> Iterator[subprocess.Popen[bytes]]:
        """A process that is no broker, with a pid file."""
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)  # ledger"])
        self.pid_file.write_text(str(process.pid))
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def context(cluster: RealCluster, name: str = "orders") -> Iterator[None]:
    """The cluster as a context whose brokers are those of a stack on this machine. ASGARD_HOME must be the cluster's."""
    properties, stack = str(cluster.client_properties), cluster.directory.name
    contexts.put(Context(name, cluster.bootstrap_servers, properties, cluster.cluster_id, stack), use=True)
    yield
    contexts.remove(name)
