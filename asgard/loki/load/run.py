"""A load from beginning to end: its topics, its processes, its result and its verdict.

    with begin(target, control, scenario, topics, leftovers=…) as load:
        for event in load.events():       # progress, about once a second
            …
        result = finish(load, control)     # measured, checked, judged

`begin` takes the cluster's load lease (one load at a time: two would measure each other), cleans up after dead runs, creates
the scratch topics, and removes them at the end. What a load writes on this machine is below ASGARD_HOME/loki.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import importlib.util
import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgard.core import paths
from asgard.core.errors import Failed, WrongUsage
from asgard.kafka.connection import Connection
from asgard.kafka.guarded import guarded
from asgard.kafka.ports import ControlPlane
from asgard.kafka.target import Target
from asgard.loki.check.history import SUFFIX
from asgard.loki.load import checked, scratch
from asgard.loki.load import faults as faulted
from asgard.loki.load import scenario as scenarios
from asgard.loki.load.children import Children, Event
from asgard.loki.load.order import ChildOrder
from asgard.loki.load.result import LoadResult, Mark, measured
from asgard.loki.load.scenario import Scenario
from asgard.loki.load.scratch import WrittenTopics
from asgard.loki.load.verdict import judge

if TYPE_CHECKING:
    from asgard.journal.operations import Leftovers
    from asgard.journal.store.database import Database
    from asgard.machines.targets import LogDisk

CALL_DEADLINE_S = 10.0
_FAULTS_BEFORE_S = 600.0  # one that began before the load may last into it
READY_S = 60.0
RUNS_KEPT = 30
LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 5557  # Locust's own
BESIDE_S = 180.0
"""How long a load may take besides its duration, its last answers and its draining before it is ended."""


@dataclass(frozen=True)
class Senders:
    """Which processes send: `workers` of this machine, or, if `open`, so many that connect to `bind`:`port`."""

    workers: int = 1
    open: bool = False
    bind: str = LOOPBACK
    port: int = DEFAULT_PORT
    wait_s: float = READY_S


ALONE = Senders()


@dataclass
class Load:
    """A running load. `result` is there once its events have ended; `mark` records what happened meanwhile."""

    journal: Database
    name: str
    connection: Connection
    scenario: Scenario
    site: Senders
    topics: WrittenTopics
    cluster_id: str
    directory: Path
    starts: dict[tuple[str, int], int] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    pids: dict[str, int] = field(default_factory=dict)
    began_us: int | None = None
    _children: Children | None = None
    _result: LoadResult | None = None

    @property
    def result(self) -> LoadResult:
        """What came out: as measured, and judged once the load is finished."""
        if self._result is None:
            raise Failed("the load has no result yet")
        return self._result

    def conclude(self, result: LoadResult) -> None:
        """Replace the measured result by the judged one."""
        self._result = result

    @property
    def run(self) -> bytes:
        """The 16 bytes that name it."""
        return self.topics.run

    @property
    def group(self) -> str:
        """The group of consumers that name none."""
        return f"loki-{self.run.hex()[:8]}"

    def stop(self) -> None:
        """End the sending early. What was sent is still waited for, and read."""
        if self._children is not None:
            self._children.stop()

    def mark(self, text: str, *, at: float, until: float | None = None) -> None:
        """Mark something that happened during the load, for its plots (Unix time). Faults in the journal are marked automatically."""
        began = (self.began_us or 0) / 1e6
        self.marks.append(Mark(at - began, text, None if until is None else until - began))

    def events(self) -> Iterator[Event]:
        """Carry out the load: yields what its processes report until it is done. Raises AsgardError if it failed."""
        from asgard.journal import events
        from asgard.journal.events import EventFilter

        load = self.scenario.renamed(self.topics.renamed)
        plan = {
            "run": self.run.hex(),
            "cluster_id": self.cluster_id,
            "group": self.group,
            "scratch": not self.topics.in_place,
        }
        limit_s = load.sending_s + load.drain_s + BESIDE_S + self.site.wait_s
        with Children(self.directory) as children:
            self._children = children
            first = "master" if self._distributed else "load"
            self.pids[first] = children.start(first, self._order(load, plan))
            for event in children.events(first, limit_s):
                if event["event"] == "listening" and not self.site.open:
                    for number in range(self.site.workers):
                        name = f"worker-{number}"
                        self.pids[name] = children.start(name, self._worker(event["port"]))
                if event["event"] == "go":
                    self.began_us = event["at_us"]
                    self.note("loki.load.started", {"seconds": load.duration_s, "workers": self.site.workers})
                yield event
            outcome = children.outcome()
        self._result = measured(
            load, outcome, run=self.run, cluster_id=self.cluster_id, topics=self.topics.renamed, group=self.group
        )
        faults = events.read(self.journal, EventFilter(faulted.KINDS, since=outcome.began_us / 1e6 - _FAULTS_BEFORE_S))
        found = faulted.marks(faults, self.cluster_id, outcome.began_us / 1e6, outcome.seconds)
        self._result.marks.extend([*self.marks, *found])

    def note(self, kind: str, data: dict[str, Any]) -> None:
        """Write an event of this load into the journal."""
        from asgard.journal import events

        about = {"cluster_id": self.cluster_id, "load": self.scenario.name, **data}
        events.record(self.journal, kind, self.name, about, correlation=self.run.hex())

    @property
    def _distributed(self) -> bool:
        return self.site.open or self.site.workers > 1

    def _order(self, load: Scenario, plan: dict[str, Any]) -> ChildOrder:
        return ChildOrder(
            "master" if self._distributed else "alone",
            str(self.directory),
            self.connection.bootstrap_servers,
            dict(self.connection.properties),
            self.cluster_id,
            scenarios.to_json(load),
            plan,
            workers=self.site.workers,
            host=self.site.bind if self.site.open else LOOPBACK,
            port=self.site.port if self.site.open else 0,
            ready_within_s=self.site.wait_s,
        )

    def _worker(self, port: int) -> ChildOrder:
        servers, properties = self.connection.bootstrap_servers, dict(self.connection.properties)
        return ChildOrder(
            "worker", str(self.directory), servers, properties, self.cluster_id, host=LOOPBACK, port=port, workers=1
        )


def work_for(master: str, target: Target, cluster_id: str, *, wait_s: float = READY_S) -> Iterator[Event]:
    """Send what the master at `HOST:PORT` says, to this cluster and no other, until it says that the load is over.

    Its history is sent to the master, and also kept here during the load. Raises Unreachable if no master answers.
    """
    check_installed()
    host, _, port = master.rpartition(":")
    if not host or not port.isdecimal():
        raise WrongUsage(f"{master!r} is not the address of a master", "Write it as HOST:PORT, as in 10.0.0.7:5557.")
    directory = paths.home() / "loki" / f"worker-{secrets.token_hex(4)}"
    servers, properties = target.connection.bootstrap_servers, dict(target.connection.properties)
    order = ChildOrder(
        "worker",
        str(directory),
        servers,
        properties,
        cluster_id,
        host=host,
        port=int(port),
        ship=True,
        ready_within_s=wait_s,
    )
    with _in_use(directory):
        try:
            with Children(directory) as children:
                children.start("worker", order)
                yield from children.events("worker", scenarios.LONGEST_S)
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def check_installed() -> None:
    """Raises Failed if the packages of a load are not installed; importing them here would change this process."""
    if importlib.util.find_spec("locust") is None:
        raise Failed("a load needs locust", "Install it with: pip install 'asgard-kafka[load]'")


def new_run() -> bytes:
    """The 16 bytes that name a run."""
    return secrets.token_bytes(16)


@contextlib.contextmanager
def begin(
    target: Target,
    control: ControlPlane,
    load: Scenario,
    topics: WrittenTopics,
    *,
    leftovers: Leftovers | None = None,
    site: Senders = ALONE,
) -> Iterator[Load]:
    """A load that may start: its lease is held and its scratch topics exist until the block ends.

    `leftovers` cleans up after dead runs in the cluster. Raises Busy if another load runs there.
    """
    from asgard.journal import leases
    from asgard.journal.leases import Priority
    from asgard.journal.store.database import open_journal

    check_installed()
    cluster_id = control.cluster().cluster_id
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(_directory(topics.run))
        journal = stack.enter_context(open_journal())
        lease = stack.enter_context(
            leases.hold(journal, cluster_load(cluster_id), priority=Priority.CHANGE, doing=f"loki load {load.name}")
        )
        if leftovers is not None:
            leftovers.settle(journal, under=[f"cluster/{cluster_id}/"], held=[lease])
        checked = guarded(control, lambda: lease.check(CALL_DEADLINE_S))
        stack.enter_context(scratch.made(checked, journal, lease, topics.new))
        running = Load(journal, target.name, target.connection, load, site, topics, cluster_id, directory)
        there = control.topics(topics.in_place)
        partitions = [(name, p.partition) for name, topic in there.items() for p in topic.partitions]
        running.starts = {where: offsets.end for where, offsets in control.offsets(partitions).items()}
        yield running


def finish(load: Load, control: ControlPlane, *, nodes: Iterable[LogDisk] = ()) -> LoadResult:
    """The verdict on what was measured, and on every record, while the topics are still there.

    `nodes` are brokers of this machine, whose disks are searched if something is lost. The history is kept only if there is
    something to look for in it.
    """
    result, verdict = load.result, None
    if load.scenario.check:
        sent = sum(s.sent for s in result.sending)
        verdict = checked.look(load.directory, load.connection, control, nodes, sent, load.starts)
        result = dataclasses.replace(result, check=checked.checked(verdict))
    found = judge(result, checked.goals(verdict, load.scenario.slo) if verdict is not None else ())
    load.conclude(found)
    sent, acked = sum(s.sent for s in found.sending), sum(s.acked for s in found.sending)
    load.note("loki.load.finished", {"passed": found.passed, "reason": found.reason, "sent": sent, "acked": acked})
    if found.passed:
        for path in load.directory.glob(f"*{SUFFIX}"):
            path.unlink()
    return found


def disks_of(target: Target) -> list[LogDisk]:
    """The brokers of a stack whose disks this machine can read; none of any other cluster."""
    from asgard.machines import targets

    return targets.disks_of(target.context.stack if target.context else None)


@contextlib.contextmanager
def _directory(run: bytes) -> Iterator[Path]:
    """Where the run writes on this machine. If there are many runs, the oldest that have ended are deleted."""
    parent = paths.private_dir(paths.home() / "loki")
    runs = sorted((path for path in parent.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for old in runs[: -RUNS_KEPT + 1]:
        with contextlib.suppress(OSError), _in_use(old):
            shutil.rmtree(old, ignore_errors=True)
    with _in_use(parent / run.hex()[:8]) as directory:
        yield directory


@contextlib.contextmanager
def _in_use(directory: Path) -> Iterator[Path]:
    """Lock a directory, which is made if it is missing, so that no other load deletes it.

    The lock ends with the process that holds it. Raises BlockingIOError if another run uses the directory.
    """
    paths.private_dir(directory)
    with (directory / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield directory


def cluster_load(cluster_id: str) -> str:
    """The lease for putting load on this cluster: one at a time."""
    return f"cluster/{cluster_id}/load"
