"""The shipped files, and an open Bifrost without a cluster: teams, policy and a store of its own."""

import shutil
from pathlib import Path

import pytest

from asgard.bifrost import read
from asgard.bifrost.gate import opened
from asgard.bifrost.policy.read import policy

SHIPPED = Path(__file__).parents[3] / "templates" / "bifrost"


@pytest.fixture(scope="session")
def directory():
    return read.directory(SHIPPED / "bifrost.yaml")


@pytest.fixture(scope="session")
def shipped_policy(directory):
    return policy(directory.policy, directory)


@pytest.fixture
def gate(tmp_path, monkeypatch):
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path / "home"))
    for file in SHIPPED.glob("*.yaml"):
        shutil.copy(file, tmp_path)
        (tmp_path / file.name).chmod(0o644)
    with opened(tmp_path / "bifrost.yaml") as open_gate:
        yield open_gate
