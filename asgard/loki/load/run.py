"""A load from beginning to end: its topics, its processes, its result and its verdict.

    with begin(target, control, journal, scenario, leftovers=…) as load:
        for event in load.events():       # progress, about once a second
            …
    result = load.result                   # measured, checked, judged

`begin` takes the cluster's load lease (one load at a time: two would measure each other), settles what dead runs left, makes
the scratch topics, and removes them at the end. What a load writes on this machine is below ASGARD_HOME/loki.
"""

from __future__ import annotations

import contextlib
import importlib.util
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgard.core import paths
from asgard.core.errors import Failed, WrongUsage
from asgard.core.units import format_size
from asgard.kafka.connection import Connection
from asgard.kafka.guarded import guarded
from asgard.kafka.ports import ControlPlane
from asgard.kafka.target import Target
from asgard.loki.load import scenario as scenarios
from asgard.loki.load import scratch
from asgard.loki.load.children import Children, Event
from asgard.loki.load.pace import Pace
from asgard.loki.load.result import Mark, Result, measured
from asgard.loki.load.scenario import Scenario
from asgard.loki.load.scratch import Topics
from asgard.loki.load.verdict import judge

if TYPE_CHECKING:
    from asgard.journal.operations import Leftovers

CALL_DEADLINE_S = 10.0
READY_S = 60.0
BESIDE_S = 180.0
"""What a load may take beside its duration, its last answers and its draining, before it is ended."""


@dataclass(frozen=True)
class Site:
    """Which processes send: `workers` of this machine, or, where `expect` says how many, those that come to `bind`:`port`."""

    workers: int = 1
    expect: int = 0
    bind: str = "127.0.0.1"
    port: int = 5557
    wait_s: float = READY_S


ALONE = Site()


@dataclass
class Load:
    """A load that runs. `result` is there once its events came to their end."""

    connection: Connection
    scenario: Scenario
    site: Site
    topics: Topics
    cluster_id: str
    run: bytes
    directory: Path
    marks: list[Mark] = field(default_factory=list)
    pids: dict[str, int] = field(default_factory=dict)
    began_us: int | None = None
    _children: Children | None = None
    _result: Result | None = None

    @property
    def result(self) -> Result:
        """What came out, judged."""
        if self._result is None:
            raise Failed("the load has no result yet")
        return self._result

    @property
    def group(self) -> str:
        """The group of consumers that name none."""
        return f"loki-{self.run.hex()[:8]}"

    def stop(self) -> None:
        """End the sending early. What was sent is still waited for, and read."""
        if self._children is not None:
            self._children.stop()

    def events(self) -> Iterator[Event]:
        """Carry the load out: what its processes tell, until it is done. Raises AsgardError where it could not be."""
        load = self.scenario.renamed(self.topics.renamed)
        plan = {
            "run": self.run.hex(),
            "cluster_id": self.cluster_id,
            "group": self.group,
            "scratch": not self.topics.in_place,
        }
        limit_s = (
            load.duration_s + max(p.timeout_s for p in load.producers) + load.drain_s + BESIDE_S + self.site.wait_s
        )
        with Children(self.directory) as children:
            self._children = children
            first = "master" if self._distributed else "load"
            self.pids[first] = children.start(first, self._order(load, plan))
            for event in children.events(first, limit_s):
                if event["event"] == "listening" and not self.site.expect:
                    for number in range(self.site.workers):
                        name = f"worker-{number}"
                        self.pids[name] = children.start(name, self._worker(event["port"]))
                if event["event"] == "go":
                    self.began_us = event["at_us"]
                yield event
            outcome = children.outcome()
        self._result = measured(
            load, outcome, run=self.run, cluster_id=self.cluster_id, topics=self.topics.renamed, group=self.group
        )
        self._result.marks.extend(self.marks)

    @property
    def _distributed(self) -> bool:
        return self.site.expect > 0 or self.site.workers > 1

    def _order(self, load: Scenario, plan: dict[str, Any]) -> Any:
        from asgard.loki.load.child import Order

        role: Any = "master" if self._distributed else "alone"
        return Order(
            role,
            str(self.directory),
            self.connection.bootstrap_servers,
            dict(self.connection.properties),
            scenarios.to_json(load),
            plan,
            workers=self.site.expect or self.site.workers,
            host=self.site.bind if self.site.expect else "127.0.0.1",
            port=self.site.port if self.site.expect else 0,
            ready_within_s=self.site.wait_s,
        )

    def _worker(self, port: int) -> Any:
        from asgard.loki.load.child import Order

        servers, properties = self.connection.bootstrap_servers, dict(self.connection.properties)
        return Order("worker", str(self.directory), servers, properties, host="127.0.0.1", port=port)


def check_installed() -> None:
    """Raises Failed where the packages of a load are not there; importing them here would change this process."""
    missing = [name for name in ("locust", "plotly") if importlib.util.find_spec(name) is None]
    if missing:
        raise Failed(f"a load needs {' and '.join(missing)}", "Install it with: pip install 'asgard-kafka[load]'")


def new_run() -> bytes:
    """The 16 bytes that name a run."""
    return secrets.token_bytes(16)


@contextlib.contextmanager
def begin(
    target: Target,
    control: ControlPlane,
    load: Scenario,
    topics: Topics,
    run: bytes,
    *,
    leftovers: Leftovers | None = None,
    site: Site = ALONE,
) -> Iterator[Load]:
    """A load that may start: its lease is held and its scratch topics exist, until the block is left.

    `leftovers` settles what dead runs left in the cluster. Raises Busy where another load runs there.
    """
    from asgard.journal import leases
    from asgard.journal.leases import Priority
    from asgard.journal.store.database import open_journal

    check_installed()
    if site.workers > 1 and site.expect:
        raise WrongUsage("workers of this machine and workers that come from others don't mix")
    cluster_id = control.cluster().cluster_id
    directory = paths.private_dir(paths.home() / "loki" / run.hex()[:8])
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(open_journal())
        lease = stack.enter_context(
            leases.hold(journal, cluster_load(cluster_id), priority=Priority.CHANGE, doing=f"loki load {load.name}")
        )
        if leftovers is not None:
            leftovers.settle(journal, under=[f"cluster/{cluster_id}/"], held=[lease])
        checked = guarded(control, lambda: lease.check(CALL_DEADLINE_S))
        stack.enter_context(scratch.made(checked, journal, lease, topics))
        yield Load(target.connection, load, site, topics, cluster_id, run, directory)


def finish(load: Load) -> Result:
    """The verdict on what was measured."""
    load._result = judge(load.result, [])
    return load._result


def cluster_load(cluster_id: str) -> str:
    """The lease of whoever puts load on this cluster: one at a time."""
    return f"cluster/{cluster_id}/load"


def forget(load: Load) -> None:
    """Remove what the run wrote on this machine, but its result."""
    shutil.rmtree(load.directory, ignore_errors=True)


def preview(load: Scenario, topics: Topics, cluster: str, workers: int) -> list[str]:
    """What the load would do, in lines for people."""
    lines = [f"load {load.name} on {cluster}: {load.duration_s:g} s, {workers} worker{'s' if workers > 1 else ''}"]
    for group in load.producers:
        size = "rides" if group.values.events else _sizes(group.values)
        how = (
            f"{_records(group)} records at most" if group.open_loop else f"full speed, {load.records:,} records at most"
        )
        lines.append(f"  {group.users} x {group.name}: {how} of {size}, acks={group.acks}")
    for new in topics.new:
        where = f"{new.partitions} partitions, replication {new.replication}"
        lines.append(f"  scratch topic {new.name} for {topics.stands_in[new.name]}: {where}; deleted afterwards")
    lines += [f"  writes into the topic {name} itself" for name in topics.in_place]
    return lines


def _sizes(values: scenarios.Values) -> str:
    if values.smallest_bytes == values.largest_bytes:
        return format_size(values.largest_bytes)
    return f"{format_size(values.smallest_bytes)} to {format_size(values.largest_bytes)}"


def _records(group: scenarios.Producers) -> str:
    return f"{Pace(group.stages).total:,}"
