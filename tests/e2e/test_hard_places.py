"""Where Asgard can't write: a sentence and an exit code, never a traceback, and no half of anything that can't be finished."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest

from tests.e2e.command import Answer, Home, Stack


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 3 MB, which only root can mount."""
    place = tmp_path / "tiny"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a small file system: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def _stack(home: Home, external_cluster, name: str) -> Stack:
    at = {
        "bootstrap_servers": external_cluster.bootstrap_servers,
        "client_properties": str(external_cluster.client_properties),
    }
    return Stack(
        home,
        {
            "stack": name,
            "target": "external",
            "cluster": at,
            "topics": [{"name": name, "partitions": 1, "replication": 1}],
        },
    )


def _fill(disk: Path) -> Path:
    """Take all room on a disk; gives the file that has it."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 512)
    return filler


def _said(answer: Answer) -> None:
    assert "disk" in answer.err.lower() and "room" in answer.err.lower(), answer.err


def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(tiny_disk, external_cluster, tmp_path):
    stack = _stack(Home(tiny_disk / "home"), external_cluster, "full-disk")
    stack.write()
    filler = _fill(tiny_disk)
    _said(stack.home.run("odin", "up", "-f", stack.file, "--yes", code=1))
    filler.unlink()
    stack.up()

    stack.add_topic("full-disk.more", replication=1)
    stack.write()
    filler = _fill(tiny_disk)
    _said(stack.home.run("odin", "up", "-f", stack.file, "--yes", code=1))
    filler.unlink()
    stack.up()
    stack.settled()
    stack.destroy()


def test_a_home_that_nobody_can_write_is_named(tmp_path, external_cluster):
    """Root may write everywhere, so the home stands below a file."""
    (tmp_path / "file").mkdir()
    stack = _stack(Home(tmp_path / "file" / "home"), external_cluster, "no-home")
    file = stack.write().replace(tmp_path / "no-home.yaml")
    (tmp_path / "file").rmdir()
    (tmp_path / "file").touch()
    answer = Home(tmp_path / "cwd", {"ASGARD_HOME": str(stack.home.path)}).run(
        "odin", "up", "-f", file, "--yes", code=3
    )
    assert str(tmp_path / "file") in answer.err and "ASGARD_HOME" in answer.err
    assert len(answer.err.strip().splitlines()) <= 3, answer.err
