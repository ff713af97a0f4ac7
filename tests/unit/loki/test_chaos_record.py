"""The record of a run is there however the run ended."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from asgard.compose import chaos, holding
from asgard.compose.chaos import ChaosOptions
from asgard.core import events
from asgard.core.errors import ExitCode, Failed
from asgard.journal import operations
from asgard.journal.store.database import open_journal
from asgard.kafka.connection import Connection
from asgard.kafka.target import Target
from asgard.loki.chaos import read, session
from asgard.loki.chaos.pulse import Beat
from tests.unit.loki import chaos_site

EXPERIMENT = """\
title: A broker dies
description: And does not come back.
method:
  - type: action
    name: dies
    provider: {type: python, module: asgard.loki.chaos.actions, func: kill_broker, arguments: {broker: 2}}
"""


class Cluster(chaos_site.Cluster):
    def close(self) -> None:
        pass


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> chaos_site.Machines:
    there = chaos_site.Machines()
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    monkeypatch.setattr(holding, "node_control", lambda target: there)
    monkeypatch.setattr(session, "pulse", lambda: SimpleNamespace(beat=lambda within_s: Beat(True, True, 0.1)))
    return there


def test_a_run_that_could_not_put_everything_back_has_its_record(tmp_path: Path, machines: chaos_site.Machines) -> None:
    machines.refuses["start"] = Failed("broker 2 does not start")
    (tmp_path / "dies.yaml").write_text(EXPERIMENT)
    target = SimpleNamespace(
        name="orders", context=None, connection=Connection("nowhere:1"), connect=lambda deadline_s: Cluster(machines)
    )
    said: list[Any] = []
    with events.listening(said.append):
        outcome = chaos.run(read.read(tmp_path / "dies.yaml"), cast(Target, target), ChaosOptions(seed=1))
    assert outcome.exit_code == ExitCode.FAILED
    assert outcome.reason == "not put back: broker 2 killed: broker 2 does not start"
    assert [run["activity"]["name"] for run in outcome.record["run"]] == ["dies"]
    assert "`asgard loki chaos recover`" in [e.text for e in said if isinstance(e, events.Warned)][-1]
    with open_journal() as journal:
        assert [u.operation.subject for u in operations.unfinished(journal)] == ["broker 2"]
