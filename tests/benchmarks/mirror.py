"""Kafka's MirrorMaker 2, to compare with: its jars by a lock file, and one standalone Connect worker that runs it."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from asgard.core import paths
from asgard.kafka.distribution.download import download
from asgard.kafka.distribution.jars import DEFAULT_VERSION, Jar, Lock
from asgard.kafka.distribution.java import find_java
from asgard.machines.local import free_ports

LOCK = Path(__file__).parent / "lock" / f"connect-{DEFAULT_VERSION}.json"
TUNED = {"producer.linger.ms": "50", "producer.batch.size": "1000000", "producer.compression.type": "lz4"}
"""What the replay's own producer does, so that batches and bytes are the same."""


def classpath() -> str:
    """The jars of Connect and MirrorMaker 2, fetched into the cache where they are missing; each is checked."""
    libs = paths.private_dir(paths.cache() / "kafka-connect") / DEFAULT_VERSION
    libs.mkdir(exist_ok=True)

    def ensure(jar: Jar) -> None:
        path = libs / jar.coordinate.file
        content = path.read_bytes() if path.is_file() else download(jar.coordinate)
        assert hashlib.sha256(content).hexdigest() == jar.sha256, jar.coordinate
        if not path.is_file():
            paths.write_atomic(path, content)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ensure, Lock.parse(LOCK.read_text(), str(LOCK)).jars))
    return f"{libs}/*"


@contextmanager
def mirroring(folder: Path, servers: str, topic: str, alias: str, producer: dict[str, str]) -> Iterator[None]:
    """MirrorMaker 2 at work: `topic` is copied to `ALIAS.topic` of the same cluster."""
    (port,) = free_ports(1)
    bytes_ = "org.apache.kafka.connect.converters.ByteArrayConverter"
    worker = {
        "bootstrap.servers": servers,
        "key.converter": bytes_,
        "value.converter": bytes_,
        "header.converter": bytes_,
        "offset.storage.file.filename": str(folder / f"{alias}.offsets"),
        "listeners": f"http://127.0.0.1:{port}",
        **producer,
    }
    connector = {
        "name": alias,
        "connector.class": "org.apache.kafka.connect.mirror.MirrorSourceConnector",
        "tasks.max": "1",
        "source.cluster.alias": alias,
        "target.cluster.alias": "here",
        "source.cluster.bootstrap.servers": servers,
        "target.cluster.bootstrap.servers": servers,
        "topics": topic,
        "replication.factor": "1",
        "offset-syncs.topic.replication.factor": "1",
        "sync.topic.acls.enabled": "false",
        "source.consumer.auto.offset.reset": "earliest",
    }
    files = []
    for name, properties in (("worker", worker), ("connector", connector)):
        files.append(folder / f"{alias}-{name}.properties")
        files[-1].write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    log = (folder / f"{alias}.log").open("w")
    command = [str(find_java().path), "-Xmx512m", "-cp", classpath(), "org.apache.kafka.connect.cli.ConnectStandalone"]
    process = subprocess.Popen([*command, *map(str, files)], stdout=log, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.kill()
        process.wait()
        log.close()
