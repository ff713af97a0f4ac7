"""Both command lines of the README in a fresh clone: a new virtual environment, empty caches, no Java, Maven or Docker on PATH.

What is cloned is the last commit. HOME is a new directory, so Kafka's jars, the nodes and all of Asgard's files are made there;
of what the machine had before only pip's own cache of packages is left. The first command is run to the letter. The second one,
which installs and then runs lint and all tests (CI runs it whole), is run with lint and `SUBSET` of the tests: those that start
real secured brokers, and the end-to-end ones of the templates and the demo.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.harness import leaked_processes

REPOSITORY = Path(__file__).parents[2]
HIDDEN = re.compile(
    r"java.*|j(ar|cmd|db|deps|shell|link|map|ps|stack)|mvn.*|gradle.*|docker.*|podman.*|pulumi.*|kafka-.*"
)
UNSET = re.compile(
    r"JAVA_.*|JDK_.*|MAVEN_.*|M2_.*|KAFKA_.*|ASGARD_.*|PULUMI_.*|XDG_.*|DOCKER_.*|VIRTUAL_ENV|PYTHON.*|NOX_.*"
)
SUBSET = (
    "tests/integration/test_local_nodes.py",
    "tests/integration/test_control_plane.py",
    "tests/e2e/test_templates.py",
)
PATIENCE_S = 3600


def prove() -> tuple[dict[str, object], list[str]]:
    """Clone, run both, look what is left behind; seconds of each part and what went wrong."""
    with tempfile.TemporaryDirectory(prefix="asgard-fresh-") as scratch:
        fresh = Fresh(Path(scratch))
        first, second = commands((fresh.clone / "README.md").read_text())
        install, _, whole = second.rpartition(" && ")
        nox = whole.split()[0]
        wrong: list[str] = []
        figures: dict[str, object] = {"commit": fresh.commit, "found_on_path": fresh.on_path("java", "mvn", "docker")}
        runs = {
            "first": first,
            "install": install,
            "lint": f"{nox} -s lint",
            "tests": f"{nox} -s tests -- {' '.join(SUBSET)}",
        }
        for name, line in runs.items():
            print(f"{name}: {line}", file=sys.stderr, flush=True)
            ran = fresh.run(line)
            figures[name] = {"command": line, "took_s": round(ran.took_s, 1), "said": ran.said(name)}
            if ran.code:
                wrong.append(f"{name}: exit code {ran.code}: {ran.text[-1500:]}")
            if name == "first":
                figures["java"] = fresh.run(f"{first.split()[-2]} doctor").line_with("Java").replace(scratch, "…")
        if figures["found_on_path"]:
            wrong.append("what was to be hidden is on PATH")
        if left := leaked_processes(Path(scratch)):
            wrong.append(f"left running: {[process.pid for process in left]}")
            for process in left:
                process.kill()
    return figures, wrong


def commands(readme: str) -> tuple[str, str]:
    """The README's two command lines."""
    found = re.findall(r"^```console\n(python3 -m venv .+)\n```$", readme, flags=re.MULTILINE)
    assert len(found) == 2, f"the README has {len(found)} command lines that do all the set-up"
    return found[0], found[1]


@dataclass(frozen=True)
class Ran:
    """How a command line ended, and what it printed (both streams, as they came)."""

    code: int
    text: str
    took_s: float

    def line_with(self, word: str) -> str:
        """The first line that names it."""
        return next((line.strip() for line in self.text.splitlines() if word in line), "")

    def said(self, name: str) -> list[str]:
        """The lines that count."""
        marks = {
            "first": r"from nothing|acknowledged|lost, dup",
            "lint": r"kept|Success|passed",
            "tests": r"\d passed|SKIPPED",
        }
        return [line.strip() for line in self.text.splitlines() if name in marks and re.search(marks[name], line)]


class Fresh:
    """A clone, and an environment as on a machine that has Python and nothing else."""

    def __init__(self, scratch: Path) -> None:
        self.clone, self._home, self._bin = scratch / "asgard", scratch / "home", scratch / "bin"
        subprocess.run(["git", "clone", "-q", REPOSITORY, self.clone], check=True)
        self.commit = self._git("rev-parse", "--short", "HEAD")
        self._home.mkdir()
        self._bin.mkdir()
        for name, path in programs():
            (self._bin / name).symlink_to(path)
        kept = {name: value for name, value in os.environ.items() if not UNSET.fullmatch(name)}
        cache = subprocess.run(
            [sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=True
        )
        self._environment = {
            **kept,
            "HOME": str(self._home),
            "PATH": str(self._bin),
            "TMPDIR": str(scratch),
            "PIP_CACHE_DIR": cache.stdout.strip(),
        }

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(["git", "-C", self.clone, *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def on_path(self, *names: str) -> list[str]:
        """Which of these programs a command would find."""
        return [name for name in names if shutil.which(name, path=self._environment["PATH"])]

    def run(self, line: str) -> Ran:
        """A command line in the clone, as a person would type it."""
        start = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment,
            cwd=self.clone,
            timeout=PATIENCE_S,
        )
        return Ran(done.returncode, done.stdout, time.monotonic() - start)


def programs() -> Iterator[tuple[str, Path]]:
    """What stands on PATH now and may be seen: the first of each name. `python3` is the one that runs this."""
    yield "python3", Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
    seen = {"python3"}
    for directory in os.environ["PATH"].split(os.pathsep):
        if not Path(directory).is_dir() or (Path(directory).parent / "pyvenv.cfg").exists():
            continue  # a virtual environment
        for path in sorted(Path(directory).iterdir()):
            if path.name not in seen and os.access(path, os.X_OK) and not HIDDEN.fullmatch(path.name):
                seen.add(path.name)
                yield path.name, path.resolve()
