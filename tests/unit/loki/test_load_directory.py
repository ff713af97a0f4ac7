"""Where loads write on this machine: old runs are deleted, but none that is still running."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from asgard.loki.load import run as runs


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    monkeypatch.setattr(runs, "RUNS_KEPT", 3)
    return tmp_path / "loki"


def ended(number: int) -> str:
    """The directory of a run that has ended: `number` orders them by time."""
    with runs._directory(number.to_bytes(16, "little")) as directory:
        (directory / "result.json").write_text("{}")
    os.utime(directory, (number, number))
    return directory.name


def test_the_oldest_runs_are_deleted(home: Path) -> None:
    names = [ended(number) for number in range(1, 6)]
    assert sorted(path.name for path in home.iterdir()) == sorted(names[-3:])


def test_a_run_that_has_not_ended_keeps_its_directory(home: Path) -> None:
    with runs._directory(bytes([0xFF]) * 16) as running:
        (running / "worker-0.history").write_bytes(b"records")
        os.utime(running, (0, 0))
        for number in range(1, 6):
            ended(number)
        assert (running / "worker-0.history").read_bytes() == b"records"
        assert len(list(home.iterdir())) == 3 + 1
    os.utime(running, (0, 0))
    ended(6)
    assert not running.exists()
