"""Rounds of `odin up` killed at a step and run again, compared with a run that nobody disturbed.

Two stories, each as small as shows every kind of step: a local stack made from nothing, and a stack on an external cluster
changed in every way at once. `sound` says what is wrong after the second run; an empty list is what is promised.
"""

from __future__ import annotations

import copy
import json
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from asgard.kafka.connection import Connection
from asgard.kafka.ports import ControlPlane
from tests.e2e.command import Answer, Home, Stack, cluster, finished, remove_nodes
from tests.harness import RealCluster, leaked_processes

ACCESS: dict[str, Any] = {
    "topics": [
        {"name": "a", "partitions": 2, "retention": "2d"},
        {"name": "b", "partitions": 1, "config": {"compression.type": "zstd"}},
    ],
    "users": [
        {"name": "writer", "produce": ["a", "b"], "quota": {"produce": "5MB/s"}},
        {"name": "reader", "consume": ["a"], "groups": ["g-"]},
    ],
}


@dataclass(frozen=True)
class Seen:
    """What a cluster holds, as far as people ask for it."""

    topics: dict[str, tuple[int, int, dict[str, str]]]
    users: dict[str, tuple[str, ...]]
    acls: frozenset[str]
    quotas: dict[str, dict[str, float]]


def seen(control: ControlPlane, prefix: str = "") -> Seen:
    """Everything of a cluster whose name carries the prefix, with the prefix taken off."""

    def bare(text: str) -> str:
        return text.replace(prefix, "")

    topics = {name: topic for name, topic in control.topics().items() if name.startswith(prefix) and not topic.internal}
    configs = control.topic_configs(list(topics))
    return Seen(
        {bare(name): (len(t.partitions), t.replication, configs[name]) for name, t in topics.items()},
        {bare(name): mechanisms for name, mechanisms in control.users().items() if name.startswith(prefix)},
        frozenset(bare(str(acl)) for acl in control.acls() if prefix in acl.principal),
        {bare(str(entity)): dict(values) for entity, values in control.quotas().items() if prefix in str(entity)},
    )


def recorded(stack: Stack, prefix: str = "") -> list[Any]:
    """The resources of a state without what differs from run to run: times, ids, ports, ciphertexts, the home's path."""
    document = json.loads((stack.home.stack(stack.name) / "state.json").read_text())
    assert not document["deployment"].get("pending_operations"), document["deployment"]["pending_operations"]
    text = json.dumps(document["deployment"]["resources"]).replace(str(stack.home.path), "HOME")
    text = text.replace(prefix, "") if prefix else text
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "HOST:PORT", text)
    records = json.loads(text)
    return sorted((_plain(record) for record in records), key=lambda record: str(record["urn"]))


_VARYING = ("created", "modified", "ciphertext", "clusterId", "directoryId", "brokerPort", "controllerPort", "topicId")


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: "*" if key in _VARYING else _plain(item) for key, item in value.items() if key != "importID"}
    # Ids in Kafka's form: of the cluster, of a voter's directory.
    return re.sub(r"(?<![\w-])[\w-]{22}(?![\w-])", "*", value) if isinstance(value, str) else value


@dataclass(frozen=True)
class Step:
    """A provider step of the undisturbed run."""

    number: int
    verb: str
    urn: str

    @property
    def name(self) -> str:
        """Type and name."""
        return f"{self.verb} {self.urn.split('::')[2].rpartition(':')[2].lower()} {self.urn.split('::', 3)[3]}"


def up(stack: Stack, trace: Path, *extra: str, step: int = 0, phase: str = "before") -> list[Step]:
    """`odin up --yes`, killed at a step, or to its end; the steps it began."""
    finished(_start(stack, trace, *extra, step=step, phase=phase), -signal.SIGKILL if step else 0)
    return _steps(trace)


def interrupted_up(stack: Stack, trace: Path, step: int) -> tuple[Answer, list[Step]]:
    """`odin up --yes` with Ctrl-C at the beginning of a step: what it said, and the steps it began."""
    return finished(_start(stack, trace, "--json", step=step, number="SIGINT"), 130), _steps(trace)


def _start(
    stack: Stack, trace: Path, *extra: str, step: int, phase: str = "before", number: str = "SIGKILL"
) -> subprocess.Popen[str]:
    trace.unlink(missing_ok=True)
    trace.touch()
    command = (sys.executable, "-m", "tests.e2e.killing")
    driver = ("--step", str(step), "--phase", phase, "--with", number, "--trace", trace, "--")
    home = Home(stack.home.path, {"PYTHONPATH": str(Path(__file__).parents[2])})
    return home.start(*driver, "odin", "up", "-f", stack.write(), "--yes", *extra, command=command)


def _steps(trace: Path) -> list[Step]:
    lines = [line.split(" ", 2) for line in trace.read_text().splitlines()]
    return [Step(int(number), verb, urn) for number, verb, urn in lines]


@dataclass(frozen=True)
class Undisturbed:
    """A run from which every other one is measured: its steps, its state, what it made."""

    steps: list[Step]
    state: list[Any]
    made: Seen


def sound(stack: Stack, told: Undisturbed, at: Connection, prefix: str = "") -> list[str]:
    """What is wrong after a killed run and the one that followed it."""
    wrong = []
    with cluster(at) as control:
        made = seen(control, prefix)
    if made != told.made:
        wrong.append(f"the cluster holds {made}, undisturbed it holds {told.made}")
    state = recorded(stack, prefix)
    if state != told.state:
        differing = [mine for mine in state if mine not in told.state] or [
            one for one in told.state if one not in state
        ]
        wrong.append(f"the state differs in {json.dumps(differing)[:2000]}")
    left = stack.preview("--expect-no-changes", code=None)
    if left.code:
        wrong.append(f"something is left to do: {left.out[:2000]}")
    return wrong


class LocalStory:
    """A stack of one broker from nothing; each round has a home of its own."""

    def __init__(self, below: Path) -> None:
        self._below = below
        self._rounds = 0

    def _stack(self) -> Stack:
        self._rounds += 1
        directory = self._below / f"r{self._rounds}"
        directory.mkdir()
        kafka = {"brokers": 1, "min_insync_replicas": 1}
        return Stack(
            Home(directory / "home"), {"stack": "s", "target": "local", "kafka": kafka, **copy.deepcopy(ACCESS)}
        )

    def undisturbed(self) -> Undisturbed:
        """The run that the others are compared with."""
        stack = self._stack()
        try:
            steps = up(stack, self._below / "trace")
            with cluster(stack.admin) as control:
                told = Undisturbed(steps, recorded(stack), seen(control))
            stack.destroy()
            return told
        finally:
            remove_nodes(stack.home)

    def destroyed_at_once(self, step: int, phase: str) -> list[str]:
        """Kill, then destroy what there is; what was left over."""
        stack = self._stack()
        try:
            up(stack, self._below / "trace", step=step, phase=phase)
            stack.destroy()
            left = [f"after destroy these run on: {found}" for found in leaked_processes(stack.home.path)]
            return left + [f"{path} is left" for path in stack.home.path.glob("stacks/*")]
        finally:
            remove_nodes(stack.home)

    def round(self, told: Undisturbed, step: int, phase: str) -> list[str]:
        """Kill, run again, compare, destroy; what was wrong."""
        stack = self._stack()
        try:
            up(stack, self._below / "trace", step=step, phase=phase)
            stack.up()
            wrong = sound(stack, told, stack.admin)
            running = [p for p in leaked_processes(stack.home.path) if _is_broker(p)]
            if len(running) != 1:
                wrong.append(f"{len(running)} broker processes run, not one")
            stack.destroy()
            if left := leaked_processes(stack.home.path):
                wrong.append(f"after destroy these run on: {left}")
            return wrong
        finally:
            remove_nodes(stack.home)


def _is_broker(process: psutil.Process) -> bool:
    return "kafka.Kafka" in process.cmdline()


class ExternalStory:
    """A stack on a cluster that exists: made, then changed in every way at once. Each round has a stack and names of its own."""

    def __init__(self, below: Path, running: RealCluster) -> None:
        self._below = below
        self._home = Home(below / "home")
        self._cluster = running
        self._rounds = 0

    def _stack(self) -> tuple[Stack, str]:
        self._rounds += 1
        prefix = f"k{self._rounds}k-"
        document = {
            "stack": f"{prefix}s",
            "target": "external",
            "cluster": {
                "bootstrap_servers": self._cluster.bootstrap_servers,
                "client_properties": str(self._cluster.client_properties),
            },
            "security": {"sasl": "scram-sha-512"},
            "topics": [
                {"name": f"{prefix}{name}", "partitions": 1, "replication": 1} for name in ("kept", "changed", "going")
            ],
            "users": [
                {"name": f"{prefix}w", "produce": [f"{prefix}kept", f"{prefix}changed"], "quota": {"produce": "5MB/s"}},
                {"name": f"{prefix}old", "consume": [f"{prefix}kept"]},
            ],
        }
        return Stack(self._home, document), prefix

    def _change(self, stack: Stack, prefix: str) -> None:
        stack.drop_topic(f"{prefix}going")
        stack.topic(f"{prefix}changed").update(partitions=3, config={"compression.type": "zstd"})
        stack.add_topic(f"{prefix}new", replication=1)
        stack.document["users"] = [
            {"name": f"{prefix}w", "produce": [f"{prefix}kept", f"{prefix}new"], "quota": {"produce": "7MB/s"}},
            {"name": f"{prefix}fresh", "consume": [f"{prefix}new"], "groups": [f"{prefix}g-"]},
        ]

    def undisturbed(self) -> Undisturbed:
        """The change that the others are compared with."""
        stack, prefix = self._stack()
        stack.up()
        self._change(stack, prefix)
        steps = up(stack, self._below / "trace")
        with cluster(self._cluster.connection) as control:
            told = Undisturbed(steps, recorded(stack, prefix), seen(control, prefix))
        stack.destroy()
        return told

    def round(self, told: Undisturbed, step: int, phase: str) -> list[str]:
        """Make, kill the change, run again, compare, destroy; what was wrong."""
        stack, prefix = self._stack()
        stack.up()
        self._change(stack, prefix)
        up(stack, self._below / "trace", step=step, phase=phase)
        stack.up()
        wrong = sound(stack, told, self._cluster.connection, prefix)
        stack.destroy()
        with cluster(self._cluster.connection) as control:
            if (left := seen(control, prefix)) != Seen({}, {}, frozenset(), {}):
                wrong.append(f"after destroy there is {left}")
        return wrong
