"""8,000 topics and 8,000 ACLs on an external one-broker cluster: made, nothing to do, one topic more, as whole commands.

Beside it, in the same run and on a fresh broker of the same kind, a bare client: librdkafka's admin calls for the same topics and
ACLs, 500 a call, until the broker tells of all topics. What the broker needs is mostly its disk: 8,000 directories with their
files. `TMPDIR=/dev/shm` takes it out of the comparison.
For scale: users of Mongey's Terraform provider for Kafka report 5.5 to 23 minutes for plans of that size (its issue 294).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import wait
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from asgard.kafka.connection import render_properties
from tests.harness import RealCluster

HEAP_BYTES = 2500 * 1024 * 1024
A_CALL = 500
PATIENCE_S = 600


def main(topics: int = 8000) -> None:
    """Print seconds of each command and of the bare client, and their ratio."""
    bare_s, made_s = bare(topics), commands(topics)
    print(f"{topics} topics, {topics} ACLs, bare client: {bare_s:.1f} s; ratio {made_s / bare_s:.2f}")


def commands(topics: int) -> float:
    """Print seconds of each command; those of the first."""
    asgard = str(Path(sys.executable).parent / "asgard")
    took: list[float] = []
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
                took.append(time.perf_counter() - start)
                print(f"{count} topics, {topics} ACLs, {what}: {took[-1]:.1f} s", flush=True)
    return took[0]


def bare(topics: int) -> float:
    """Seconds of the same topics and ACLs by librdkafka's admin client alone."""
    with (
        tempfile.TemporaryDirectory() as folder,
        RealCluster(Path(folder) / "kafka", brokers=1, security="scram", heap_bytes=HEAP_BYTES) as cluster,
    ):
        admin = AdminClient({**cluster.connection.for_librdkafka(), "log_level": 0})
        start = time.perf_counter()
        for first in range(0, topics, A_CALL):
            numbers = range(first, min(first + A_CALL, topics))
            made = admin.create_topics([NewTopic(f"t.{i}", 1, 1) for i in numbers], request_timeout=60)
            allowed = admin.create_acls([_reads(i) for i in numbers], request_timeout=60)
            for future in wait([*made.values(), *allowed.values()], timeout=PATIENCE_S).done:
                future.result()
        while len(admin.list_topics(timeout=60).topics) < topics:
            if time.perf_counter() - start > PATIENCE_S:
                raise TimeoutError(f"the broker does not know {topics} topics after {PATIENCE_S} s")
            time.sleep(0.5)
        return time.perf_counter() - start


def _reads(i: int) -> AclBinding:
    return AclBinding(
        ResourceType.TOPIC,
        f"t.{i}",
        ResourcePatternType.LITERAL,
        f"User:u{i}",
        "*",
        AclOperation.READ,
        AclPermissionType.ALLOW,
    )


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
