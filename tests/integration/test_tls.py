"""TLS on a real broker: three clients log in by password and by certificate, and each thing that can be wrong has its sentence."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from asgard.core.errors import AsgardError
from asgard.kafka.admin import connect
from asgard.kafka.connection import Connection, read_properties, render_properties
from asgard.kafka.data import Record, Writer, read
from asgard.kafka.model import Acl, NewTopic
from asgard.machines import local as nodes
from asgard.machines.local import certificates, process
from asgard.machines.local.certificates import Authority, Issued
from tests.harness import RealCluster

TOPIC = "orders"


@pytest.fixture(scope="module")
def secure(session_home: Path) -> Iterator[RealCluster]:
    """One broker that listens with TLS only, and a topic that `alice` may write and read."""
    with RealCluster(session_home / "tls", brokers=1, tls="only") as cluster:
        with connect(cluster.connection) as control:
            assert not any(control.create_topics([NewTopic(TOPIC, 1, 1)]).values())
            allowed = [Acl("TOPIC", TOPIC, "LITERAL", "User:alice", operation) for operation in ("READ", "WRITE")]
            assert not any(control.create_acls(allowed).values())
        yield cluster


def by_certificate(cluster: RealCluster, issued: Issued) -> Connection:
    properties = {
        "security.protocol": "SSL",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": cluster.run_dir(1).authority.trusted(),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": issued.certificate,
        "ssl.keystore.key": issued.key,
    }
    return Connection(cluster.certificate_servers, properties)


def use(connection: Connection, file: Path, value: bytes) -> None:
    """Kafka's own tool (Java), kafka-python and librdkafka, with the same client properties."""
    file.write_text(render_properties(connection.properties))
    same = Connection(connection.bootstrap_servers, read_properties(file))
    command = [*process.java_command("4.3.1", "-Xmx96m"), "org.apache.kafka.tools.TopicCommand", "--list"]
    command += ["--bootstrap-server", same.bootstrap_servers, "--command-config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert TOPIC in done.stdout.split(), done.stderr
    with connect(same) as control:
        assert TOPIC in control.topics()
        with Writer(same) as writer:
            writer.send(Record(TOPIC, value))
        assert writer.tally.acked == 1
        values = [record.value for batch in read(same, control.offsets([(TOPIC, 0)])) for record in batch]
    assert value in values


def test_three_clients_log_in_by_password(secure: RealCluster, tmp_path: Path) -> None:
    use(secure.connection, tmp_path / "client.properties", b"by password")


def test_three_clients_log_in_by_certificate(secure: RealCluster, tmp_path: Path) -> None:
    alice = secure.run_dir(1).authority.user("alice")
    use(by_certificate(secure, alice), tmp_path / "client.properties", b"by certificate")
    mallory = by_certificate(secure, secure.run_dir(1).authority.user("mallory"))
    with connect(mallory) as control:
        assert list(control.topics()) == []


def test_keys_are_for_their_owner_only_and_in_no_argument(secure: RealCluster) -> None:
    run_dir = secure.run_dir(1)
    for file in (run_dir.key_store, run_dir.authority.directory / "ca.key"):
        assert file.stat().st_mode & 0o777 == 0o600
    found = process.find(run_dir)
    assert found is not None and "PRIVATE KEY" not in " ".join([*found.cmdline(), *found.environ().values()])
    assert "PRIVATE KEY" not in run_dir.properties.read_text() + run_dir.description.read_text()


def refusals(connection: Connection) -> list[AsgardError]:
    """What the control plane and the data plane say."""
    found = []
    with pytest.raises(AsgardError) as raised:
        connect(connection, patience_s=1)
    found.append(raised.value)
    with pytest.raises(AsgardError) as raised, Writer(connection, deadline_s=10) as writer:
        while True:
            writer.send(Record(TOPIC, b"never"))
            time.sleep(0.1)
    return [*found, raised.value]


def test_a_wrong_ca(secure: RealCluster, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other" / "tls")
    other.trusted()
    wrong = {**secure.connection.properties, "ssl.truststore.location": str(other.certificate_file)}
    for properties in (wrong, {k: v for k, v in wrong.items() if not k.startswith("ssl.")}):
        for error in refusals(Connection(secure.bootstrap_servers, properties)):
            assert "the broker's certificate is not signed by a CA that this machine trusts" in error.what
            assert "ssl.truststore.location" in (error.hint or "") and error.exit_code == 3


def test_a_client_certificate_that_the_broker_refuses(secure: RealCluster, tmp_path: Path) -> None:
    ours, theirs = secure.run_dir(1).authority, Authority(tmp_path / "other" / "tls")
    for issued in (
        theirs.user("alice"),
        ours.user("alice", days=-0.001),
        ours.node("alice", ["127.0.0.1"]),  # a node's certificate is none of a user
    ):
        with pytest.raises(AsgardError, match="the broker refuses the client's certificate"):
            connect(by_certificate(secure, issued), patience_s=1)
    bare = {k: v for k, v in by_certificate(secure, ours.user("alice")).properties.items() if "keystore" not in k}
    with pytest.raises(AsgardError, match="the broker requires a client certificate"):
        connect(Connection(secure.certificate_servers, bare), patience_s=1)


@contextmanager
def listener(issued: Issued, file: Path) -> Iterator[str]:
    """A TLS listener with this certificate: a broker would not start with one that has expired. Its address."""
    file.write_text(issued.store)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    plain, _ = server.accept()
                    with suppress(OSError), plain:
                        context.wrap_socket(plain, server_side=True).close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def test_a_wrong_host_name_and_an_expired_certificate(secure: RealCluster, tmp_path: Path) -> None:
    authority = secure.run_dir(1).authority
    for issued, words in (
        (authority.node("node-1", ["kafka-1.example"]), "the broker's certificate is for another host name"),
        (authority.node("node-1", ["127.0.0.1"], days=-0.001), "the broker's certificate has expired"),
    ):
        with listener(issued, tmp_path / "tls.pem") as address:
            for error in refusals(Connection(address, secure.connection.properties)):
                assert words in error.what and error.exit_code == 3


def test_every_start_gives_a_node_whose_certificate_is_due_a_new_one(secure: RealCluster) -> None:
    run_dir = secure.run_dir(1)
    run_dir.renew_certificate(run_dir.spec(), days=0.0001)
    assert certificates.due(run_dir.key_store)
    nodes.restart(run_dir)
    assert not certificates.due(run_dir.key_store)
    with connect(secure.connection) as control:
        assert TOPIC in control.topics()
