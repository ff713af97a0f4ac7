"""Where Asgard can't write: a sentence and an exit code, never a traceback, and no half of anything that can't be finished."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.e2e.command import Home, Stack


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


def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(tiny_disk, external_cluster, tmp_path):
    stack = _stack(Home(tiny_disk / "home"), external_cluster, "full-disk")
    stack.write()
    filler = tiny_disk / "filler"
    with filler.open("wb") as file:
        try:
            while True:
                os.write(file.fileno(), b"\0" * 4096)
        except OSError:
            pass
    answer = stack.home.run("odin", "up", "-f", stack.file, "--yes", code=1)
    assert "disk" in answer.err.lower() or "space" in answer.err.lower(), answer.err
    assert len(answer.err.strip().splitlines()) <= 8, answer.err
    filler.unlink()
    stack.up()
    stack.settled()
    stack.destroy()


def test_a_home_that_may_not_be_written(tmp_path, external_cluster):
    """Root may write everywhere, so the home is a place where nobody can: below a file."""
    (tmp_path / "file").write_text("")
    stack = _stack(Home(tmp_path / "file" / "home"), external_cluster, "no-home")
    file = tmp_path / "no-home.yaml"
    file.write_text(__import__("json").dumps(stack.document))
    process = subprocess.run(
        [*map(str, ())] or ["asgard", "odin", "up", "-f", str(file), "--yes"],
        env=stack.home.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1 and "Traceback" not in process.stderr
    assert str(tmp_path / "file") in process.stderr and "ASGARD_HOME" in process.stderr
