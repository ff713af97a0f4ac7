"""Start-up: `asgard --help` against a bare Typer application, and an `up` with nothing to do against the imports it needs.

Whole processes, in turn, medians and the ratio of the sums; seconds are CPU time (user) of the process, which other work on the machine hardly
changes. "Nothing to do" is compared with Python's own start, too (`python -c pass`). The stacks have 50 and 1,000 topics on a real one-broker cluster. Both sides
run from compiled bytecode, as anything that pip installed does: the first pair compiles it and doesn't count.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.harness import RealCluster

RUNS = 9
BARE = """
import typer
app = typer.Typer(rich_markup_mode=None)
@app.command()
def a(): "One."
@app.command()
def b(): "Two."
app()
"""
IMPORTS = "import typer, rich, yaml, pydantic, sqlalchemy, kafka"


def main() -> None:
    """Print ratios: below 1 is faster than what it is compared with."""
    asgard = str(Path(sys.executable).parent / "asgard")
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(Path(folder) / "bytecode")}
        bare = Path(folder) / "bare.py"
        bare.write_text(BARE)
        bare_help = [sys.executable, str(bare), "--help"]
        compare("asgard --help", [asgard, "--help"], "a bare Typer application", bare_help, env)
        with RealCluster(Path(folder) / "kafka", brokers=1, security="none") as cluster:
            for topics in (50, 1000):
                compare_nothing_to_do(asgard, cluster.bootstrap_servers, topics, Path(folder) / str(topics), env)


def compare_nothing_to_do(asgard: str, servers: str, topics: int, folder: Path, env: dict[str, str]) -> None:
    """An `up` of a stack that is as it should be."""
    folder.mkdir()
    entries = "\n".join(f"  - {{name: t{topics}.{i}, partitions: 1, replication: 1}}" for i in range(topics))
    stack = f"stack: bench-{topics}\ntarget: external\ncluster: {{bootstrap_servers: '{servers}'}}\n"
    (folder / "asgard.yaml").write_text(f"{stack}security: {{sasl: none, authorizer: false}}\ntopics:\n{entries}\n")
    up = [asgard, "odin", "up", "--yes", "-f", str(folder / "asgard.yaml")]
    env = {**env, "ASGARD_HOME": str(folder / "home")}
    subprocess.run(up, check=True, capture_output=True, env=env)
    compare(f"nothing to do, {topics} topics", up, "its imports alone", [sys.executable, "-c", IMPORTS], env)
    compare(f"nothing to do, {topics} topics", up, "python -c pass", [sys.executable, "-c", "pass"], env)


def compare(what: str, ours: list[str], against: str, theirs: list[str], env: dict[str, str]) -> None:
    """Both in turn. The ratio is of the sums: a single `python -c pass` may take no whole tick of the clock."""
    pairs = [(seconds(ours, env), seconds(theirs, env)) for _ in range(RUNS + 1)][1:]
    ratio = sum(a for a, _ in pairs) / sum(b for _, b in pairs)
    own, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{what}: {own:.3f} s; {against}: {other:.3f} s; ratio {ratio:.2f}", flush=True)


def seconds(command: list[str], env: dict[str, str]) -> float:
    """CPU time of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(command, check=True, capture_output=True, env=env)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


if __name__ == "__main__":
    main()
