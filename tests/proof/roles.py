"""Programs run under exactly the ACLs of their role, and fail with one ACL less.

- A word count as Kafka Streams does it, in Python: internal topics that it creates, one consumer group, transactions that hold
  output and offsets together, and the records of a repartition topic deleted once they are counted.
- A standalone Connect worker (Kafka's own, Java) with a file source and a file sink.

DESCRIBE beside WRITE on a transactional id is left in: Kafka lets WRITE imply it, so its absence shows nothing.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from asgard.core import paths
from asgard.kafka.connection import Connection, render_properties, scram_properties
from asgard.kafka.distribution import jars
from asgard.kafka.distribution.download import download
from asgard.kafka.distribution.java import find_java
from asgard.kafka.model import Acl, ScramCredential
from asgard.kafka.ports import ControlPlane
from asgard.machines.local import free_ports
from asgard.odin.spec import acls as access
from asgard.odin.spec.model import ConnectSpec, StreamsSpec, UserSpec
from tests.e2e.command import cluster
from tests.harness import RealCluster

LINES = ["to be or not", "to be that is", "the question"]
WORDS = Counter(word for line in LINES for word in line.split())
WAIT_S = 60.0


def prove() -> tuple[dict[str, object], list[str]]:
    """How many ACLs each role has, how many were taken away one by one, and what went wrong."""
    with (
        tempfile.TemporaryDirectory(prefix="asgard-roles-") as scratch,
        RealCluster(Path(scratch), brokers=1) as running,
    ):
        admin = AdminClient(running.connection.for_librdkafka())
        names = [NewTopic(name, 1, 1) for name in ("lines", "counts")]
        for made in admin.create_topics(names).values():
            made.result(30)
        producer = Producer(running.connection.for_librdkafka())
        for line in LINES:
            producer.produce("lines", line)
        producer.flush(30)
        wrong: list[str] = []
        figures: dict[str, object] = {}
        with cluster(running.connection) as control:
            streams = UserSpec("wc", streams=(StreamsSpec("wc", ("lines",), ("counts",)),))
            figures["streams"] = _one_less(control, running, streams, _word_count, wrong)
            worker = _Worker(Path(scratch))
            connect = UserSpec("files", connect=ConnectSpec(read=("copies",), write=("copies",)))
            admin.create_topics([NewTopic("copies", 1, 1)])["copies"].result(30)
            figures["connect"] = _one_less(control, running, connect, worker.copy, wrong)
        return figures, wrong


def _one_less(
    control: ControlPlane,
    running: RealCluster,
    role: UserSpec,
    program: Callable[[Connection, str], str | None],
    wrong: list[str],
) -> dict[str, int]:
    """Run a program with all ACLs of its role, then without each of them. A program says what stopped it; None: it was done."""
    whole = access.acls_of(role.name, access.grants_of(role))
    implied = {acl for acl in whole if (acl.resource_type, acl.operation) == ("TRANSACTIONAL_ID", "DESCRIBE")}
    lacking: list[Acl | None] = [None, *(acl for acl in whole if acl not in implied)]
    control.upsert_users([ScramCredential(role.name, "secret")])
    connection = Connection(running.bootstrap_servers, scram_properties(role.name, "secret"))
    failed = 0
    for lacks in lacking:
        control.delete_acls([acl for acl in control.acls() if acl.principal == f"User:{role.name}"])
        control.create_acls([acl for acl in whole if acl != lacks])
        _forget(running, role.name)
        stopped = program(connection, role.name)
        if lacks is None and stopped is not None:
            wrong.append(f"{role.name} with all ACLs of its role: {stopped}")
        elif lacks is not None and stopped is None:
            wrong.append(
                f"{role.name} without {lacks.operation} on {lacks.resource_type} {lacks.resource_name}: it went well"
            )
        failed += lacks is not None and stopped is not None
    return {"acls": len(whole), "taken_away": len(lacking) - 1, "failed_without": failed}


def _forget(running: RealCluster, name: str) -> None:
    """What an earlier run left: its internal topics and groups."""
    admin = AdminClient(running.connection.for_librdkafka())
    left = [topic for topic in admin.list_topics(timeout=30).topics if topic.startswith(f"{name}-")]
    for gone in admin.delete_topics(left).values() if left else ():
        gone.result(30)
    groups = [group.group_id for group in admin.list_consumer_groups().result(30).valid]
    for gone in admin.delete_consumer_groups(groups).values() if groups else ():
        gone.exception(30)
    time.sleep(0.5)


def _word_count(connection: Connection, app: str) -> str | None:
    """Count the words of `lines` into `counts`, exactly once. One consumer reads both topics, as that of Streams does."""
    conf = {**connection.for_librdkafka(), "log_level": 0}
    repartition, changelog = f"{app}-words-repartition", f"{app}-words-changelog"
    group = {
        "group.id": app,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "topic.metadata.refresh.interval.ms": 1000,
    }
    consumer = Consumer({**conf, **group})
    try:
        admin = AdminClient(conf)
        for made in admin.create_topics([NewTopic(repartition, 1, 1), NewTopic(changelog, 1, 1)]).values():
            made.result(20)
        producer = Producer({**conf, "transactional.id": f"{app}-0-1"})
        producer.init_transactions(20)
        consumer.subscribe(["lines", repartition])
        producer.begin_transaction()
        for line in _take(consumer, "lines", len(LINES)):
            for word in line.split():
                producer.produce(repartition, word)
        _commit(producer, consumer)
        producer.begin_transaction()
        counts = Counter(_take(consumer, repartition, sum(WORDS.values())))
        for word, count in counts.items():
            producer.produce(changelog, str(count), word)
            producer.produce("counts", str(count), word)
        _commit(producer, consumer)
        for deleted in admin.delete_records([TopicPartition(repartition, 0, len(counts))]).values():
            deleted.result(20)
        return None if counts == WORDS else f"it counted {counts}"
    except (KafkaException, TimeoutError) as error:
        return str(error)
    finally:
        consumer.close()


def _commit(producer: Producer, consumer: Consumer) -> None:
    """Output and the offsets of what it came from, together."""
    positions = [at for at in consumer.position(consumer.assignment()) if at.offset >= 0]
    producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata(), 20)
    producer.commit_transaction(20)


def _take(consumer: Consumer, topic: str, count: int) -> list[str]:
    """The values of so many records of one topic. A topic that was just created may be unknown to a broker for a moment."""
    found: list[str] = []
    until = time.monotonic() + WAIT_S
    while len(found) < count:
        if time.monotonic() > until:
            raise TimeoutError(f"{len(found)} of {count} records of {topic} came")
        message = consumer.poll(0.5)
        if message is None:
            continue
        error = message.error()
        if error and error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            continue
        if error:
            raise KafkaException(error)
        if message.topic() == topic:
            found.append((message.value() or b"").decode())
    return found


class _Worker:
    """A standalone worker from the jars of Kafka's own release, which are fetched once."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._runs = 0
        libs = paths.private_dir(paths.cache() / "connect" / jars.DEFAULT_VERSION)
        if not (libs / "complete").exists():
            for coordinate in jars.resolve(jars.DEFAULT_VERSION, ("connect-runtime", "connect-file")):
                paths.write_atomic(libs / coordinate.file, download(coordinate))
            (libs / "complete").touch()
        self._classpath = f"{libs}/*"

    def copy(self, connection: Connection, name: str) -> str | None:
        """A file through a topic into another file."""
        self._runs += 1
        here = self._scratch / f"run-{self._runs}"
        here.mkdir()
        (here / "in.txt").write_text("".join(f"run {self._runs}: {line}\n" for line in LINES))
        security = dict(connection.properties)
        (port,) = free_ports(1)
        worker = {
            "bootstrap.servers": connection.bootstrap_servers,
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "offset.storage.file.filename": str(here / "offsets"),
            "offset.flush.interval.ms": "1000",
            "listeners": f"http://127.0.0.1:{port}",
            "plugin.discovery": "only_scan",
            "consumer.auto.offset.reset": "earliest",
            **{f"{prefix}{key}": value for prefix in ("", "producer.", "consumer.") for key, value in security.items()},
        }
        source = {
            "name": "source",
            "connector.class": "FileStreamSource",
            "file": str(here / "in.txt"),
            "topic": "copies",
        }
        sink = {"name": "sink", "connector.class": "FileStreamSink", "file": str(here / "out.txt"), "topics": "copies"}
        files = []
        for title, properties in (("worker", worker), ("source", source), ("sink", sink)):
            files.append(here / f"{title}.properties")
            paths.write_atomic(files[-1], render_properties(properties))
        command = [str(find_java().path), "-Xmx256m", "-cp", self._classpath]
        command += ["org.apache.kafka.connect.cli.ConnectStandalone", *map(str, files)]
        with (
            (here / "log").open("w") as log,
            subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process,
        ):
            try:
                return self._copied(process, here, f"run {self._runs}: {LINES[-1]}")
            finally:
                process.kill()

    def _copied(self, process: subprocess.Popen[bytes], here: Path, last: str) -> str | None:
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            out = here / "out.txt"
            if out.exists() and last in out.read_text():
                return None
            told = (here / "log").read_text()
            refused = [line for line in told.splitlines() if "AuthorizationException" in line]
            if refused or process.poll() is not None:
                return (refused or told.splitlines() or ["it ended"])[-1][:200]
            time.sleep(0.5)
        return f"nothing came within {WAIT_S:.0f} s"
