"""Containers: found by label, killed and started, over a unix socket. No live engine: see `engine`."""

from __future__ import annotations

import builtins
import random
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from asgard.core.errors import ExitCode, Failed, Refused, Unreachable, WrongUsage
from asgard.loki.chaos.faults import machines
from asgard.machines import containers
from tests.unit.loki.engine import Engine

CHAOS = {"com.example.chaos": ("allowed",)}


@pytest.fixture
def engine() -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(prefix="e") as short, Engine(Path(short) / "docker.sock") as running:
        yield running


def test_only_containers_with_the_label_are_found(engine: Engine) -> None:
    engine.add("kafka-1", {"com.example.chaos": "allowed", "tier": "1"})
    engine.add("kafka-2", {"com.example.chaos": "no"})
    engine.add("db", {})
    engine.add("late", {"com.example.chaos": "allowed"}, "exited", "Exited (0) 3 days ago")
    engine.add("hangs", {"com.example.chaos": "allowed"}, "paused", "Up 2 minutes (Paused)")
    engine.add("ill", {"com.example.chaos": "allowed"}, status="Up 2 minutes (unhealthy)")
    engine.add("new", {"com.example.chaos": "allowed"}, status="Up 1 second (health: starting)")
    found = containers.members(CHAOS, str(engine.socket)).members
    assert [(m.name, m.state, m.healthy) for m in found] == [
        ("kafka-1", "running", True),
        ("hangs", "paused", False),
        ("ill", "running, unhealthy", False),
        ("new", "running, health: starting", False),
    ]
    assert sum(1 for _, operation, _ in engine.asked if operation == "/containers/json") == 1, (
        "one call for all of them"
    )


def test_a_label_may_have_one_of_several_values(engine: Engine) -> None:
    for value in ("yes", "please", "no"):
        engine.add(value, {"chaos": value})
    found = containers.members({"chaos": ("yes", "please")}, str(engine.socket)).members
    assert [m.name for m in found] == ["yes", "please"]


def test_a_kill_is_sigkill_and_a_start_brings_it_back(engine: Engine) -> None:
    container = engine.add("kafka-1", {})
    assert containers.kill_container(container, str(engine.socket)) == "container 000000000000 was killed"
    assert engine.asked[-1] == ("POST", "/containers/{id}/kill", {"signal": "SIGKILL"})
    assert engine.containers[container]["State"] == "exited"
    for _ in range(2):  # the second time it runs already
        assert containers.start_container(container, str(engine.socket)) == "container 000000000000 is running"
    assert engine.containers[container]["State"] == "running"


def test_one_that_was_removed_meanwhile_is_told(engine: Engine) -> None:
    assert "was removed meanwhile" in containers.start_container("gone", str(engine.socket))


def test_errors_are_sentences(engine: Engine) -> None:
    ended = engine.add("kafka-1", {}, "exited", "Exited (0) 1 second ago")
    with pytest.raises(Failed, match="killing container 000000000000: cannot kill container"):
        containers.kill_container(ended, str(engine.socket))
    with pytest.raises(WrongUsage, match="killing container nobody: No such container: nobody"):
        containers.kill_container("nobody", str(engine.socket))
    engine.fail["/containers/json"] = (500, "database is locked")
    with pytest.raises(Failed, match="listing containers: the engine answers 500: database is locked"):
        containers.members(CHAOS, str(engine.socket))


def test_an_engine_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="listing containers: no Docker engine answers at ") as caught:
        containers.members(CHAOS, str(tmp_path / "nobody.sock"))
    assert caught.value.exit_code == ExitCode.UNREACHABLE


def test_without_the_extra_it_is_one_sentence_and_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "docker":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(WrongUsage, match="containers need the package docker, which is not installed") as caught:
        containers.members(CHAOS)
    assert caught.value.hint == "Install it with: pip install 'asgard-kafka[docker]'"


def test_an_experiment_kills_one_of_those_with_a_label_and_starts_it_again(engine: Engine) -> None:
    ids = {engine.add(f"kafka-{i}", {"chaos": "yes"}) for i in range(3)}
    engine.add("db", {})
    site: Any = SimpleNamespace(rng=random.Random(4))
    kind = machines.KINDS["kill_container"]
    plan = kind.plan(site, labels={"chaos": "yes"}, socket=str(engine.socket))
    assert plan.undo["container"] in ids
    assert plan.machines == 1
    plan.do()
    assert [c["State"] for c in engine.containers.values()].count("exited") == 1
    assert kind.restore(None, plan.undo).endswith(" is running")  # type: ignore[arg-type]
    assert {c["State"] for c in engine.containers.values()} == {"running"}


def test_a_container_comes_back_on_the_machine_of_its_engine(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def host(**where: str) -> Any:
        return machines.kill_container(cast(Any, None), container="kafka-1", **where).undo["host"]

    monkeypatch.delenv("DOCKER_HOST", raising=False)
    assert host() == host(socket=str(engine.socket)) == socket.gethostname()
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/user/1000/docker.sock")
    assert host() == socket.gethostname()
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.7:2376")
    assert host() is None, "any machine reaches that engine"


def test_an_experiment_names_one_container_or_labels(engine: Engine) -> None:
    site: Any = SimpleNamespace(rng=random.Random(4))
    with pytest.raises(WrongUsage, match="name the container in one way"):
        machines.kill_container(site)
    with pytest.raises(Refused, match="no healthy container has the labels"):
        machines.kill_container(site, labels={"chaos": "yes"}, socket=str(engine.socket))
