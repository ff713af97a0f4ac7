"""`asgard odin up` from nothing to three ready brokers, against the same brokers formatted and started by hand.

By hand: a shell script that formats and starts three combined nodes side by side with Kafka's own classes, with the
server.properties, logging and JVM flags of Asgard's nodes (written before the clock runs), and waits until each of them says
that it serves. Kafka's jars are there for both. Both in turn on the same machine; the median of the ratios round by round.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from asgard.core import paths
from asgard.machines import local as nodes
from asgard.machines.local import RunDir, process, storage
from asgard.machines.local.spec import HOST, NodeSpec
from tests.harness import RealCluster

ROUNDS = 5
BROKERS = 3
STACK = f"""\
stack: bench
target: local
kafka: {{brokers: {BROKERS}, controllers: {BROKERS}, racks: {BROKERS}, heap: 256MiB}}
"""


def main() -> None:
    """Print seconds of both and their ratio: 1.1 is ten per cent slower than by hand."""
    os.environ.setdefault("ASGARD_CACHE", str(paths.cache()))
    process.ensure_kafka()
    pairs = []
    with tempfile.TemporaryDirectory(prefix="asgard-bench-up-") as folder:
        for number in range(ROUNDS + 1):
            sides = [with_asgard, by_hand]
            took = {}
            for side in sides if number % 2 else reversed(sides):
                place = Path(folder, f"{number}-{side.__name__}")
                took[side] = side(place)
                shutil.rmtree(place)
            if number:  # the first round only warms the machine's caches
                pairs.append((took[with_asgard], took[by_hand]))
                print(f"round {number}: asgard {pairs[-1][0]:.2f} s, by hand {pairs[-1][1]:.2f} s", flush=True)
    ratio = statistics.median(own / other for own, other in pairs)
    own, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"odin up, {BROKERS} ready brokers: {own:.2f} s; by hand: {other:.2f} s; ratio {ratio:.2f}", flush=True)


def with_asgard(place: Path) -> float:
    """Seconds of the whole command."""
    place.mkdir()
    (place / "asgard.yaml").write_text(STACK)
    home = place / "home"
    command = [Path(sys.executable).with_name("asgard"), "odin", "up", "--yes", "-f", place / "asgard.yaml"]
    made = [RunDir(home / "stacks" / "bench" / "nodes" / str(node)) for node in range(1, BROKERS + 1)]
    return timed(command, lambda: made, {"ASGARD_HOME": str(home)})


def by_hand(place: Path) -> float:
    """Seconds of the script, from a cluster that is described but not formatted."""
    cluster = RealCluster(place, brokers=BROKERS, racks=BROKERS, quick_detection=False)
    made = [cluster.run_dir(node) for node in cluster.specs]
    for node, spec in cluster.specs.items():
        cluster.run_dir(node).write(spec, cluster.credentials)
    script = place / "start.sh"
    script.write_text(shell_script(cluster))
    return timed(["bash", script], lambda: made, {})


def shell_script(cluster: RealCluster) -> str:
    """Format and start each node in the background, then look at their logs until all serve."""
    lines = ["set -eu"]
    for node, spec in cluster.specs.items():
        lines.append(f"({format_line(cluster, node)} && exec {start_line(cluster.run_dir(node), spec)}) &")
    logs = " ".join(shlex.quote(str(cluster.run_dir(node).out)) for node in cluster.specs)
    lines.append(
        f"until [ $(cat {logs} 2>/dev/null | grep -c 'Kafka Server started') = {BROKERS} ]; do sleep 0.05; done"
    )
    return "\n".join(lines) + "\n"


def format_line(cluster: RealCluster, node: int) -> str:
    """`kafka-storage format` of a node, without its wrapper script."""
    run_dir, spec = cluster.run_dir(node), cluster.specs[node]
    java = process.java_command(spec.version, "-Xmx128m")
    logging = f"-Dlog4j2.configurationFile={run_dir.log4j2}"
    arguments = storage.arguments(spec, run_dir.properties, cluster.credentials)
    return f"{shlex.join([*java, logging, 'kafka.tools.StorageTool', *arguments])} >/dev/null"


def start_line(run_dir: RunDir, spec: NodeSpec) -> str:
    """`kafka-server-start` of a node, without its wrapper script."""
    command = process.server_command(run_dir, spec)
    return f"setsid {shlex.join(command)} >{shlex.quote(str(run_dir.out))} 2>&1 </dev/null"


def timed(command: Iterable[str | Path], made: Callable[[], list[RunDir]], more: dict[str, str]) -> float:
    """Seconds until the command ended with every broker answering; then what it started is removed."""
    start = time.perf_counter()
    try:
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, env={**os.environ, **more}
        )
        assert done.returncode == 0, done.stderr
        for run_dir in made():
            ask(run_dir.spec())
        return time.perf_counter() - start
    finally:
        for run_dir in made():
            nodes.remove(run_dir)


def ask(spec: NodeSpec) -> None:
    """An ApiVersions request (version 0), as every client's first one: raises where the broker does not answer it."""
    assert spec.client_port is not None
    header = struct.pack(">hhih", 18, 0, 1, -1)
    with socket.create_connection((HOST, spec.client_port), timeout=5) as wire:
        wire.sendall(struct.pack(">i", len(header)) + header)
        assert len(wire.recv(4)) == 4, f"broker {spec.id} does not answer"


if __name__ == "__main__":
    main()
