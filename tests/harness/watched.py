"""A real cluster that Thor watches, records that flow through it all the while, and a look past Thor at what Kafka says.

with watched(home, policy="grace: 0s") as ward, ward.watching() as watcher, ward.traffic() as traffic:
    gone = ward.lose(3, "kill")
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil

from asgard.core import contexts
from asgard.core.contexts import Context
from asgard.core.errors import AsgardError
from asgard.kafka.admin import connect
from asgard.kafka.model import NewTopic, Partition
from asgard.kafka.ports import ControlPlane
from tests.harness.acked import AckedProducer
from tests.harness.cluster import RealCluster

ASGARD = Path(sys.executable).with_name("asgard")
CONTEXT = "orders"
TOPIC = "orders.created"
PATIENCE_S = 240.0
"""Reached only where something hangs."""
LOOK_S = 0.05
Fault = Literal["kill", "stop"]


@dataclass(frozen=True)
class Loss:
    """A broker that was lost: when it was broken, fenced, seen by Kafka for what it is, and healed (s, monotonic).

    While a controller hangs, other brokers can't get their heartbeats through, and Kafka fences one or another of them for a
    moment too: `detected` is when it has fenced this one and no other. `healed`: no partition lacks a replica. `load`: processes
    of this machine that wanted a core, on average of a minute.
    """

    broker: int
    fault: Fault
    broken: float
    fenced: float
    detected: float
    healed: float
    load: float

    @property
    def kafka_s(self) -> float:
        """From the fault to Kafka's own detection."""
        return self.detected - self.broken

    @property
    def thor_s(self) -> float:
        """From Kafka's detection to no under-replicated partition."""
        return self.healed - self.detected

    @property
    def innocent_s(self) -> float:
        """How long other brokers were fenced with it."""
        return self.detected - self.fenced


class HealContext:
    """The cluster, and `asgard` commands run for it with this policy, as a user would from a directory with a thor.yaml."""

    def __init__(self, cluster: RealCluster, policy: str) -> None:
        self.cluster = cluster
        self.control: ControlPlane = connect(cluster.connection, deadline_s=3)
        self.folder = cluster.home / "work"
        self.folder.mkdir(exist_ok=True)
        self.policy(policy)
        os.environ["ASGARD_HOME"] = str(cluster.home)
        contexts.put(
            Context(
                CONTEXT, cluster.bootstrap_servers, str(cluster.client_properties), cluster.cluster_id, stack="harness"
            ),
            use=True,
        )

    def policy(self, text: str) -> None:
        """Another policy: its keys as YAML, on one line or several."""
        body = text if text.startswith("{") else "{" + text + "}"
        # All brokers share this machine's disk: how full it is says nothing about them.
        (self.folder / "thor.yaml").write_text(f"limits: {{disk: 100%}}\npolicy: {body}\n")

    def start(self, *args: str, **kwargs: Any) -> subprocess.Popen[str]:
        """Start a command."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ASGARD_") or k == "ASGARD_CACHE"}
        return subprocess.Popen(
            [str(ASGARD), *args],
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=self.folder,
            env={**environment, "ASGARD_HOME": str(self.cluster.home)},
            **kwargs,
        )

    def run(self, *args: str) -> tuple[int, Any]:
        """Run a command with `--json`; its exit code and document."""
        process = self.start(*args, "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert "Traceback" not in err and "a defect of Asgard" not in err, err
        return process.returncode, json.loads(out) if out.strip() else None

    def topic(self, partitions: int = 24) -> None:
        """The topic that records go to: three replicas, two of them in sync for every acknowledged record."""
        with connect(self.cluster.connection) as patient:
            new = NewTopic(TOPIC, partitions, 3, {"min.insync.replicas": "2"})
            assert patient.create_topics([new]) == {TOPIC: None}
        self.until(lambda: bool(parts := self.partitions()) and all(p.leader >= 0 for p in parts))

    def partitions(self) -> list[Partition]:
        """All partitions of the cluster."""
        return [p for t in self.control.topics().values() for p in t.partitions]

    def fenced(self) -> set[int]:
        """Brokers that Kafka says are gone."""
        return {b.id for b in self.control.cluster().brokers if b.state != "up"}

    def whole(self) -> bool:
        """No partition lacks a replica, is moving, or has one on a broker that is gone."""
        gone = self.fenced()
        return all(
            set(p.replicas) == set(p.isr) and not p.adding and not p.removing and gone.isdisjoint(p.replicas)
            for p in self.partitions()
        )

    def until(self, true: Callable[[], bool], what: str = "it") -> float:
        """Wait until it is so; when that was."""
        give_up = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(AsgardError):  # a broker that is being broken may answer last
                if true():
                    return time.monotonic()
            assert time.monotonic() < give_up, f"{what} never came true"
            time.sleep(LOOK_S)

    def lose(self, broker: int, fault: Fault) -> Loss:
        """Kill it (SIGKILL) or let it hang (SIGSTOP), and wait until nothing lacks a replica any more."""
        broken = time.monotonic()
        (self.cluster.kill if fault == "kill" else self.cluster.pause)(broker)
        seen: list[float] = []

        def detected() -> bool:
            gone = self.fenced()
            if broker in gone:
                seen.append(time.monotonic())
            return gone == {broker}

        alone = self.until(detected, f"broker {broker} fenced")
        healed = self.until(self.whole, "every partition in sync")
        return Loss(broker, fault, broken, seen[0], alone, healed, os.getloadavg()[0])

    def bring_back(self, broker: int) -> None:
        """Start it again, or let it go on where it still hangs; until Kafka has it back."""
        self.cluster.start_node(broker)
        self.until(lambda: not self.fenced(), f"broker {broker} back")

    @contextlib.contextmanager
    def watching(self, *args: str) -> Iterator[Watcher]:
        """`asgard thor watch`, until the block ends."""
        watcher = Watcher(self, args)
        try:
            yield watcher
        finally:
            watcher.stop()

    @contextlib.contextmanager
    def traffic(self, seed: int, producers: int = 2, per_s: int = 200) -> Iterator[Traffic]:
        """Records all the while, until the block ends."""
        flow = Traffic(self, seed, producers, per_s)
        try:
            yield flow
        finally:
            flow.stop()


class Watcher:
    """A running `asgard thor watch`. `turns` are the documents that it has printed."""

    def __init__(self, context: HealContext, args: tuple[str, ...]) -> None:
        self.out, self.err = context.folder / "watch.jsonl", context.folder / "watch.log"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = context.start("thor", "watch", "--yes", "--json", *args, stdout=out, stderr=err)
        context.until(lambda: bool(self.turns()) or self.process.poll() is not None, "the first look")

    def turns(self) -> list[dict[str, Any]]:
        """What it has said."""
        return [json.loads(line) for line in self.out.read_text().splitlines() if line.endswith("}")]

    def resources(self) -> tuple[int, int]:
        """Resident bytes and open file descriptors."""
        process = psutil.Process(self.process.pid)
        return process.memory_info().rss, process.num_fds()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@dataclass
class Traffic:
    """Idempotent producers with acks=all that remember every acknowledged record, each in a thread of its own."""

    context: HealContext
    seed: int
    producers: int
    per_s: int
    sent: list[AckedProducer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(n,), daemon=True) for n in range(self.producers)]
        for thread in self._threads:
            thread.start()

    def _send(self, number: int) -> None:
        source = random.Random(f"{self.seed}/{number}")
        producer = AckedProducer(self.context.cluster.connection, timeout_s=PATIENCE_S, client_id=f"drill-{number}")
        self.sent.append(producer)
        count = 0
        while not self._over.wait(self.producers / self.per_s):
            producer.send(TOPIC, f"{self.seed}/{number}/{count}/".encode() + source.randbytes(100), str(count).encode())
            count += 1
        producer.flush(PATIENCE_S)

    def stop(self) -> None:
        """Send no more, and wait for every answer."""
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    @property
    def acked(self) -> int:
        """Records that were acknowledged."""
        return sum(len(p.acked) for p in self.sent)

    def lost(self) -> int:
        """Acknowledged records that can't be read any more."""
        return sum(len(p.lost(self.context.cluster.connection)) for p in self.sent)

    def refused(self) -> int:
        """Records that were never acknowledged."""
        return sum(len(p.failed) for p in self.sent)


@contextlib.contextmanager
def watched(home: Path, policy: str, *, quick_detection: bool = False, topic: bool = True) -> Iterator[HealContext]:
    """Four brokers in three racks, three of them controllers; a topic with RF 3 and min ISR 2."""
    before = os.environ.get("ASGARD_HOME")
    with RealCluster(home, brokers=4, racks=3, quick_detection=quick_detection) as cluster:
        context = HealContext(cluster, policy)
        try:
            if topic:
                context.topic()
            yield context
        finally:
            context.control.close()
            if before is None:
                del os.environ["ASGARD_HOME"]
            else:
                os.environ["ASGARD_HOME"] = before
