"""A node's run directory: everything needed to start it again.

node.json           the description, without secrets
server.properties   0600: passwords are only here
tls.pem, ca.pem     with TLS: its key and certificate (0600), and what it trusts
log4j2.properties   what Kafka logs, and where to
pid                 the process; believed only while that process carries this directory's marker
data/log            Kafka's log directory (a second one is data/log-2);  data/formatted says that it was formatted to the end
logs/               server.log (rolling), and out.log of the last start
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from asgard.core import paths
from asgard.core.errors import Failed
from asgard.kafka.connection import read_properties, render_properties
from asgard.machines.local import certificates
from asgard.machines.local.certificates import Authority
from asgard.machines.local.spec import HOST, Credentials, NodeSpec, credentials_of, server_properties

_LOG4J2 = """\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {logs}/server.log
appender.file.filePattern = {logs}/server.%i.log
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{yyyy-MM-dd'T'HH:mm:ss.SSS}}{{UTC}}Z %p %m (%c{{1}})%n
appender.file.policies.type = SizeBasedTriggeringPolicy
appender.file.policies.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 3
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{{yyyy-MM-dd'T'HH:mm:ss.SSS}}{{UTC}}Z %p %m%n
rootLogger.level = info
rootLogger.appenderRefs = file, out
rootLogger.appenderRef.file.ref = file
rootLogger.appenderRef.out.ref = out
rootLogger.appenderRef.out.level = error
# Kafka prints its whole configuration ten times a start; it is in server.properties.
logger.config.name = org.apache.kafka.common.config.AbstractConfig
logger.config.level = warn
logger.values.name = kafka.server.KafkaConfig
logger.values.level = warn
logger.start.name = kafka.server.KafkaRaftServer
logger.start.level = info
logger.start.additivity = false
logger.start.appenderRefs = file, out
logger.start.appenderRef.file.ref = file
logger.start.appenderRef.out.ref = out
"""


@dataclass(frozen=True)
class RunDir:
    """The paths of one node. The directory may not exist yet."""

    path: Path

    @property
    def description(self) -> Path:
        """node.json."""
        return self.path / "node.json"

    @property
    def properties(self) -> Path:
        """server.properties, with the passwords."""
        return self.path / "server.properties"

    @property
    def key_store(self) -> Path:
        """With TLS: the node's key and certificate."""
        return self.path / "tls.pem"

    @property
    def trust_store(self) -> Path:
        """With TLS: the CA that the node trusts."""
        return self.path / "ca.pem"

    @property
    def authority(self) -> Authority:
        """The CA of the stack that the node belongs to."""
        return Authority(self.path.parent.parent / "tls")

    @property
    def log4j2(self) -> Path:
        """Kafka's logging configuration."""
        return self.path / "log4j2.properties"

    @property
    def pid_file(self) -> Path:
        """The process id of the last start."""
        return self.path / "pid"

    @property
    def data(self) -> Path:
        """What `replace` wipes."""
        return self.path / "data"

    @property
    def log_dir(self) -> Path:
        """Kafka's log directory; if a node has several, the one with the cluster's metadata."""
        return self.data / "log"

    def every_log_dir(self, spec: NodeSpec) -> list[Path]:
        """All of its log directories, the one with the cluster's metadata first."""
        return [self.log_dir, *(self.data / f"log-{number}" for number in range(2, spec.log_dirs + 1))]

    @property
    def formatted(self) -> Path:
        """Exists once the log directory is fully formatted."""
        return self.data / "formatted"

    @property
    def logs(self) -> Path:
        """For people: server.log, out.log."""
        return self.path / "logs"

    @property
    def out(self) -> Path:
        """What the process printed since its last start: readiness, and errors."""
        return self.logs / "out.log"

    @property
    def exists(self) -> bool:
        """Whether a node is described here."""
        return self.description.is_file()

    def spec(self) -> NodeSpec:
        """The node's description. Raises `Failed` if there is none."""
        try:
            text = self.description.read_text()
        except OSError as error:
            raise Failed(
                f"there is no node in {self.path}", "`asgard odin up` creates the nodes of a stack."
            ) from error
        return NodeSpec.from_json(text, str(self.description))

    def credentials(self) -> Credentials | None:
        """Those in server.properties."""
        return credentials_of(read_properties(self.properties)) if self.properties.is_file() else None

    @property
    def id(self) -> int:
        """The node's id."""
        return self.spec().id

    def write(self, spec: NodeSpec, credentials: Credentials | None) -> None:
        """Describe the node; a running process sees it only after its next start."""
        for directory in (self.path, self.data, self.logs):
            paths.private_dir(directory)
        properties = server_properties(
            spec,
            [path.absolute() for path in self.every_log_dir(spec)],
            credentials,
            self.key_store.absolute(),
            self.trust_store.absolute(),
        )
        self._put(self.log4j2, _LOG4J2.format(logs=self.logs.absolute()))
        self._put(self.properties, render_properties(properties))
        self._put(self.description, spec.to_json())

    def renew_certificate(self, spec: NodeSpec, *, days: float = certificates.NODE_DAYS) -> None:
        """Give the node a new key and certificate; a restart makes it use them."""
        self._put(self.trust_store, self.authority.trusted())
        issued = self.authority.node(f"node-{spec.id}", [HOST, "localhost"], days=days)
        self._put(self.key_store, issued.store)

    def _put(self, path: Path, text: str) -> None:
        """Write only what differs, so that a repeated call for the same node touches nothing."""
        if not path.is_file() or path.read_text() != text:
            paths.write_atomic(path, text)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Only one command at a time acts on a node; the lock ends with the process that holds it."""
        paths.private_dir(self.path)
        with (self.path / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def log_dirs(self) -> list[Path]:
        """The log directories that its server.properties names. Raises WrongUsage if it has none."""
        return [Path(text.strip()) for text in read_properties(self.properties)["log.dirs"].split(",")]

    def partition_dir(self, topic: str, partition: int) -> Path | None:
        """Where the node keeps its replica of a partition; None if it has none, or its directory is missing."""
        for directory in self.log_dirs():
            if (found := directory / f"{topic}-{partition}").is_dir():
                return found
        return None

    def delete(self) -> None:
        """Remove the directory, whatever is left in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.path.exists():
            raise Failed(f"can't remove {self.path}", "Does another process have files open there?")
