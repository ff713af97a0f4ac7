"""8,000 topics and 8,000 ACLs on an external one-broker cluster: made, nothing to do, one topic more, as whole commands.

For scale: users of Mongey's Terraform provider for Kafka report 5.5 to 23 minutes for plans of that size (its issue 294).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from asgard.kafka.connection import render_properties
from tests.harness import RealCluster

HEAP_BYTES = 2500 * 1024 * 1024


def main(topics: int = 8000) -> None:
    """Print seconds of each command, and of the imports alone in the same run."""
    asgard = str(Path(sys.executable).parent / "asgard")
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        with RealCluster(here / "kafka", brokers=1, security="scram", heap_bytes=HEAP_BYTES) as cluster:
            (here / "client.properties").write_text(render_properties(cluster.connection.properties))
            file = here / "asgard.yaml"
            up = [asgard, "odin", "up", "--yes", "-f", str(file)]
            env = {**os.environ, "ASGARD_HOME": str(here / "home")}
            for what, count in (("made", topics), ("nothing to do", topics), ("one topic more", topics + 1)):
                file.write_text(stack(cluster.bootstrap_servers, count, topics))
                start = time.perf_counter()
                subprocess.run(up, check=True, capture_output=True, env=env)
                print(f"{count} topics, {topics} ACLs, {what}: {time.perf_counter() - start:.1f} s", flush=True)


def stack(servers: str, topics: int, acls: int) -> str:
    """The stack file."""
    lines = ["stack: scale", "target: external"]
    lines += [f"cluster: {{bootstrap_servers: '{servers}', client_properties: client.properties}}", "topics:"]
    lines += [f"  - {{name: t.{i}, partitions: 1, replication: 1}}" for i in range(topics)]
    lines += ["acls:"]
    lines += [f"  - {{principal: 'User:u{i}', resource: topic, name: t.{i}, operation: read}}" for i in range(acls)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
