"""A stack's program and the goals that the embedded engine gets in place of its larger part: the same resources."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asgard.core.errors import Unreachable
from asgard.kafka.connection import Connection
from asgard.kafka.ports import ControlPlane
from asgard.odin import program as programs
from asgard.odin.engine import monitor
from asgard.odin.engine.deployment import Deployment
from asgard.odin.engine.goals import Goal, Registered
from asgard.odin.engine.run import Engine
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.state import StateStore
from asgard.odin.provider.provider import AsgardProvider
from asgard.odin.spec.read import load

WITHIN = """\
topics:
  - {name: a, partitions: 2, replication: 1, retention: 1h, protect: true}
  - {name: b, partitions: 1, replication: 1}
users:
  - {name: api, produce: [a], consume: [b], groups: [g-], quota: {produce: 1MB/s}}
"""
LOCAL = "stack: s\ntarget: local\nkafka: {brokers: 1, config: {log.retention.check.interval.ms: 60000}}\n"
EXTERNAL = "stack: s\ntarget: external\ncluster: {bootstrap_servers: '127.0.0.1:1'}\n"
REF = StackRef(programs.PROJECT, "s")


@pytest.mark.parametrize("head", [LOCAL, EXTERNAL])
def test_goals_are_what_pulumis_sdk_registers(head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path / "home"))
    (tmp_path / "asgard.yaml").write_text(head + WITHIN)
    spec = load(tmp_path / "asgard.yaml")
    registered: dict[str, Goal] = {}
    register = monitor.register

    async def noting(run: Deployment, goal: Goal) -> Registered:
        registered[goal.urn] = goal
        return await register(run, goal)

    monkeypatch.setattr(monitor, "register", noting)
    declared = list(programs.declared(spec, {"api": "hush"}))
    external = Connection("127.0.0.1:1", {}) if spec.target == "external" else None
    engine = Engine(REF, StateStore(tmp_path / "state"), lambda *_: AsgardProvider(connect=_nowhere), lambda: "pass")
    engine.preview(programs.program(spec, declared, external))

    goals = programs.goals(spec, declared, REF)
    assert {goal.type.rpartition(":")[2] for goal in goals} >= {"Topic", "User", "Acl", "Quota"}
    assert goals == [_without_id(registered[goal.urn]) for goal in goals]
    trunk = set(registered) - {goal.urn for goal in goals}
    registered.clear()
    engine.preview(programs.program(spec, external=external))
    assert set(registered) == trunk


def _nowhere(connection: Connection) -> ControlPlane:
    raise Unreachable("nothing is asked of a cluster here")


def _without_id(goal: Goal) -> Goal:
    return replace(goal, provider=f"{goal.provider.rpartition('::')[0]}::")


def test_the_sdks_calls_are_recognised_and_need_no_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the SDK makes its calls in another way, they take a thread each: right, but slow, and this fails."""
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path / "home"))
    (tmp_path / "asgard.yaml").write_text(LOCAL + WITHIN)
    spec = load(tmp_path / "asgard.yaml")
    inline: list[str] = []
    threads: list[str] = []
    submit = monitor.InlineExecutor.submit
    in_thread = ThreadPoolExecutor.submit

    def noting(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        inline.append(fn.__module__)
        return submit(self, fn, *args, **kwargs)

    def noting_threads(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        threads.append(getattr(fn, "__module__", ""))
        return in_thread(self, fn, *args, **kwargs)

    monkeypatch.setattr(monitor.InlineExecutor, "submit", noting)
    monkeypatch.setattr(ThreadPoolExecutor, "submit", noting_threads)
    engine = Engine(REF, StateStore(tmp_path / "state"), lambda *_: AsgardProvider(), lambda: "pass")
    engine.preview(programs.program(spec))
    assert set(inline) == {monitor.SDKS_CALLS}
    assert monitor.SDKS_CALLS not in threads
