"""The installed `asgard` command as a user has it: a process, an ASGARD_HOME, stack files; and a look past it at the cluster."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asgard.kafka.admin import connect
from asgard.kafka.connection import Connection, read_properties
from asgard.kafka.ports import ControlPlane
from asgard.machines import local as nodes
from asgard.machines.local import RunDir

ASGARD = Path(sys.executable).with_name("asgard")
PATIENCE_S = 900
"""Long enough for any command on a busy machine: reached only when something hangs."""


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its document."""
        return json.loads(self.out)

    @property
    def ops(self) -> dict[str, str]:
        """Of a preview or an update: what happens to each resource that changes, by name."""
        return {change["name"]: change["op"] for change in self.json["changes"]}


@dataclass(frozen=True)
class Home:
    """An ASGARD_HOME, with commands run under it."""

    path: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """The variables of a command: this home, nothing of the caller's own Asgard or Pulumi."""
        inherited = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PULUMI_", "ASGARD_")) or key == "ASGARD_CACHE"
        }
        return {**inherited, "ASGARD_HOME": str(self.path), **self.variables}

    def start(self, *args: str | Path, command: Sequence[str | Path] = (ASGARD,)) -> subprocess.Popen[str]:
        """Start a command and leave it running."""
        return subprocess.Popen(
            [str(part) for part in (*command, *args)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(),
            cwd=self.path.parent,
            preexec_fn=_hear_sigint,
        )

    def run(self, *args: str | Path, code: int | None = 0, command: Sequence[str | Path] = (ASGARD,)) -> Answer:
        """Run a command and check its exit code; it never shows a traceback or calls itself defective."""
        return finished(self.start(*args, command=command), code)

    def stack(self, name: str) -> Path:
        """The directory of a stack."""
        return self.path / "stacks" / name

    def node(self, stack: str, node: int) -> RunDir:
        """A node of a local stack."""
        return RunDir(self.stack(stack) / "nodes" / str(node))


def _hear_sigint() -> None:
    """A run of the tests in the background of a shell ignores Ctrl-C, and what it starts would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finished(process: subprocess.Popen[str], code: int | None = 0) -> Answer:
    """Wait for a command and check how it ended; None: however it did."""
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"{process.args} did not end in {PATIENCE_S} s\n{out}\n{err}") from None
    told = f"exit code {process.returncode} of {process.args}\nstdout: {out}\nstderr: {err}"
    assert "Traceback" not in err and "a defect of Asgard" not in err, told
    assert code is None or process.returncode == code, told
    return Answer(process.returncode, out, err)


@dataclass
class Stack:
    """A stack of a home by its stack file, which tests change as a user would."""

    home: Home
    document: dict[str, Any]

    @property
    def name(self) -> str:
        """The stack's name."""
        return str(self.document["stack"])

    @property
    def file(self) -> Path:
        """The stack file."""
        return self.home.path.parent / f"{self.name}.yaml"

    def write(self) -> Path:
        """Write the stack file (JSON is YAML)."""
        self.file.write_text(json.dumps(self.document, indent=1))
        return self.file

    def topic(self, name: str) -> dict[str, Any]:
        """A topic of the file."""
        return next(topic for topic in self.document["topics"] if topic["name"] == name)

    def add_topic(self, name: str, **more: Any) -> dict[str, Any]:
        """Another topic in the file, one partition by default."""
        topic = {"name": name, "partitions": 1, **more}
        self.document["topics"].append(topic)
        return topic

    def drop_topic(self, name: str) -> None:
        """Take a topic out of the file."""
        self.document["topics"].remove(self.topic(name))

    def odin(self, verb: str, *args: str, code: int | None = 0) -> Answer:
        """Run a verb with this file; the document on stdout is JSON."""
        return self.home.run("odin", verb, "-f", self.write(), "--json", *args, code=code)

    def up(self, *args: str, code: int | None = 0) -> Answer:
        """`odin up --yes`."""
        return self.odin("up", "--yes", *args, code=code)

    def preview(self, *args: str, code: int | None = 0) -> Answer:
        """`odin preview`."""
        return self.odin("preview", *args, code=code)

    def settled(self) -> None:
        """Nothing is left to do."""
        assert self.preview("--expect-no-changes").json["changes"] == []

    def destroy(self, code: int | None = 0) -> Answer:
        """`odin destroy` with the name."""
        return self.home.run("odin", "destroy", "--stack", self.name, "--confirm", self.name, code=code)

    @property
    def admin(self) -> Connection:
        """A local stack's cluster, as its administrator."""
        outputs = self.home.run("odin", "outputs", "--stack", self.name, "--json").json
        return Connection(outputs["bootstrapServers"], read_properties(Path(outputs["clientPropertiesFile"])))

    def user(self, name: str) -> Connection:
        """The stack's cluster as one of its users sees it, by the file that `outputs` writes."""
        out = self.home.path.parent / f"{self.name}-{name}.properties"
        self.home.run("odin", "outputs", "--stack", self.name, "--user", name, "--out", out)
        assert out.stat().st_mode & 0o777 == 0o600
        return Connection(self.admin.bootstrap_servers, read_properties(out))

    def pid(self, node: int) -> int:
        """The process of a node."""
        return int(self.home.node(self.name, node).pid_file.read_text())


@contextlib.contextmanager
def cluster(connection: Connection) -> Iterator[ControlPlane]:
    """A look at a cluster past Odin."""
    control = connect(connection)
    try:
        yield control
    finally:
        control.close()


def remove_nodes(home: Home) -> None:
    """Whatever a failed test left running under a home."""
    for directory in (home.path / "stacks").glob("*/nodes/*"):
        nodes.remove(RunDir(directory))
