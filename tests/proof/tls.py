"""A live stack of three brokers goes over to TLS, renews its certificates and closes what is not encrypted, all under load.

Records are written with acks=all all the while, by a producer without TLS and, from the first step on, by one with it: none that
was acknowledged may be missing. What the brokers serve after the renewal is read from their sockets.

Before that, tests/integration/test_tls.py: Kafka's own tool, kafka-python and librdkafka by password and by certificate, and a
sentence for each of a wrong CA, an expired certificate and a wrong host name.
"""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from asgard.kafka.admin import check_login
from asgard.kafka.connection import Connection
from asgard.machines.local import certificates
from tests.e2e.command import Home, Stack, cluster, remove_nodes
from tests.harness import AckedProducer

ROOT = Path(__file__).parents[2]
TOPIC = "orders"
DUE_DAYS = 2 / 1440
"""Two minutes: less than a third of a life that begins five minutes ago, so it is due at once."""


def prove() -> tuple[dict[str, object], list[str]]:
    """Seconds of each step, records, and what went wrong."""
    tested, wrong = _clients_and_refusals()
    with tempfile.TemporaryDirectory(prefix="asgard-tls-") as scratch:
        home = Home(Path(scratch) / "home")
        try:
            figures, also_wrong = _over(home)
        finally:
            remove_nodes(home)
    return {"tests_of_clients_and_refusals": tested, **figures}, wrong + also_wrong


def _clients_and_refusals() -> tuple[int, list[str]]:
    """How many tests passed, and those that did not."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/integration/test_tls.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    passed = re.search(r"(\d+) passed", done.stdout)
    wrong = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode and not wrong:
        wrong = [f"the tests of clients did not run: {done.stdout[-300:]}"]
    return int(passed[1]) if passed else 0, wrong


class Load:
    """One producer in a thread of its own, until `end`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.producer = AckedProducer(connection, timeout_s=120)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def _write(self) -> None:
        while not self._over.wait(0.005):
            self.producer.send(TOPIC, os.urandom(100))

    def end(self) -> None:
        """Stop, and wait for all answers."""
        self._over.set()
        self._thread.join()
        self.producer.flush(120)


def _served(connection: Connection) -> list[str]:
    """The certificates that the brokers of a connection show, as PEM."""
    addresses = [address.rpartition(":") for address in connection.bootstrap_servers.split(",")]
    return [ssl.get_server_certificate((host, int(port))).strip() for host, _, port in addresses]


def _over(home: Home) -> tuple[dict[str, object], list[str]]:
    took: dict[str, float] = {}

    def timed(what: str, act: Callable[[], object]) -> None:
        began = time.monotonic()
        act()
        took[what] = round(time.monotonic() - began, 1)

    kafka = {"brokers": 3, "racks": 3, "min_insync_replicas": 2}
    topics = [{"name": TOPIC, "partitions": 6, "replication": 3}]
    users = [{"name": "shop", "produce": [TOPIC]}]
    stack = Stack(home, {"stack": "over", "target": "local", "kafka": kafka, "topics": topics, "users": users})
    timed("up_without_tls_s", stack.up)
    plain = Load(stack.user("shop"))
    stack.document["security"] = {"tls": "optional"}
    timed("tls_beside_s", stack.up)
    stack.settled()
    encrypted = Load(stack.user("shop"))
    stores = [home.node("over", node).key_store for node in (1, 2, 3)]
    for node in (1, 2, 3):
        home.node("over", node).renew_certificate(home.node("over", node).spec(), days=DUE_DAYS)
    before = [store.read_text() for store in stores]
    drifted = [d["name"] for d in stack.odin("drift").json["drift"]]
    timed("renewal_s", stack.up)
    stack.settled()
    renewed = [
        store.read_text() != old and not certificates.due(store) for store, old in zip(stores, before, strict=True)
    ]
    served = _served(encrypted.connection)
    in_use = [any(one in store.read_text() for one in served) for store in stores]
    plain.end()
    stack.document["security"] = {"tls": True}
    timed("tls_alone_s", stack.up)
    stack.settled()
    encrypted.end()
    admin = stack.admin
    lost = len(plain.producer.lost(admin)) + len(encrypted.producer.lost(admin))
    with cluster(admin) as control:
        voters = len(control.quorum().voters)
    acked = len(plain.producer.acked), len(encrypted.producer.acked)
    listeners = {
        line
        for n in (1, 2, 3)
        for line in home.node("over", n).properties.read_text().splitlines()
        if line.startswith("listener.security.protocol.map")
    }
    login = check_login(stack.user("shop"))
    status = home.run("thor", "status", "--context", "over", "--json", code=None)
    figures: dict[str, object] = {
        **took,
        "acknowledged_without_tls": acked[0],
        "acknowledged_with_tls": acked[1],
        "failed": len(plain.producer.failed) + len(encrypted.producer.failed),
        "lost": lost,
        "certificates_renewed": sum(renewed),
        "new_certificates_served": sum(in_use),
    }
    wrong = []
    if lost or figures["failed"]:
        wrong.append(f"{lost} acknowledged records were lost, {figures['failed']} refused")
    if not all(acked):
        wrong.append(f"a producer wrote nothing: {acked}")
    if not all(renewed) or not all(in_use) or len(drifted) != 3:
        wrong.append(f"renewed {renewed}, served {in_use}, drift named {drifted}")
    if any("PLAINTEXT" in line for line in listeners) or voters != 3 or login is not None or status.code not in (0, 1):
        wrong.append(f"in the end: {listeners}, {voters} voters, login {login}, status {status.code}")
    return figures, wrong
