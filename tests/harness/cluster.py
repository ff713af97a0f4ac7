"""A real cluster of local nodes, made with the same functions that Odin uses, under an ASGARD_HOME of its own."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from asgard.core import paths
from asgard.kafka.connection import Connection, render_properties
from asgard.kafka.distribution.jars import DEFAULT_VERSION
from asgard.machines import local as nodes
from asgard.machines.local import Credentials, InitialController, NodeSpec, RunDir, free_ports, random_uuid
from asgard.machines.local.spec import DEFAULT_HEAP_BYTES, HOST, TlsLevel

# Reached only where something hangs: a busy machine with two cores has needed 90 s for four brokers.
READY_S = 240.0
# A dead broker is fenced after 3 s in place of 9: for tests in which that time isn't what is measured.
QUICK_DETECTION = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}


class RealCluster:
    """Nodes 1..brokers; the first `controllers` of them are controllers too. Racks are r0, r1, …, dealt round robin.

    `security` is "scram" (SCRAM-SHA-512 with authorizer; `connection` is the administrator) or "none".
    """

    def __init__(
        self,
        home: Path,
        *,
        brokers: int = 3,
        controllers: int | None = None,
        racks: int = 0,
        security: str = "scram",
        config: Mapping[str, str] | None = None,
        heap_bytes: int = DEFAULT_HEAP_BYTES,
        version: str = DEFAULT_VERSION,
        quick_detection: bool = True,
        log_dirs: int = 1,
        tls: TlsLevel = "off",
    ) -> None:
        self.home = home
        self.directory = home / "stacks" / "harness"
        self.cluster_id = random_uuid()
        self.credentials = Credentials.random() if security == "scram" else None
        count = controllers if controllers is not None else min(3, brokers if brokers % 2 else brokers - 1)
        ports = free_ports(brokers + count + (2 * brokers + count if tls != "off" else 0))
        with_tls = iter(ports[brokers + count :])
        voters = tuple(
            InitialController(i + 1, ports[brokers + i], random_uuid(), next(with_tls, None)) for i in range(count)
        )
        self.specs = {
            i + 1: NodeSpec(
                id=i + 1,
                cluster_id=self.cluster_id,
                roles=("broker", "controller") if i < count else ("broker",),
                voters=voters,
                client_port=ports[i],
                controller_port=voters[i].port if i < count else None,
                rack=f"r{i % racks}" if racks else None,
                version=version,
                heap_bytes=heap_bytes,
                sasl="scram-sha-512" if self.credentials else "none",
                authorizer=self.credentials is not None,
                internal_replication=min(3, brokers),
                static_config={**(QUICK_DETECTION if quick_detection else {}), **(config or {})},
                log_dirs=log_dirs,
                tls=tls,
                tls_port=next(with_tls, None),
                mtls_port=next(with_tls, None),
                tls_controller_port=voters[i].tls_port if i < count else None,
            )
            for i in range(brokers)
        }

    def __enter__(self) -> RealCluster:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Format and start all nodes side by side, and wait until they serve."""
        try:
            with ThreadPoolExecutor(len(self.specs)) as pool:
                list(
                    pool.map(
                        lambda spec: nodes.create(self.run_dir(spec.id), spec, self.credentials), self.specs.values()
                    )
                )
            nodes.wait_ready([self.run_dir(i) for i in self.specs], READY_S)
        except BaseException:
            self.close()
            raise
        paths.write_atomic(self.client_properties, render_properties(self.connection.properties))

    def close(self) -> None:
        """Kill everything and delete all data."""
        for node in self.specs:
            nodes.remove(self.run_dir(node))
        shutil.rmtree(self.directory, ignore_errors=True)

    def run_dir(self, node: int) -> RunDir:
        """The run directory of a node."""
        return RunDir(self.directory / "nodes" / str(node))

    @property
    def bootstrap_servers(self) -> str:
        """All brokers."""
        return ",".join(f"{HOST}:{s.tls_port if s.tls_first else s.client_port}" for s in self.specs.values())

    @property
    def certificate_servers(self) -> str:
        """All brokers, at the listener for users who log in by certificate."""
        return ",".join(f"{HOST}:{spec.mtls_port}" for spec in self.specs.values())

    @property
    def ca(self) -> Path | None:
        """With TLS: what a client trusts."""
        return self.run_dir(1).authority.certificate_file if self.specs[1].tls_first else None

    @property
    def connection(self) -> Connection:
        """As the administrator."""
        properties = self.credentials.client_properties(self.ca) if self.credentials else {}
        return Connection(self.bootstrap_servers, properties)

    @property
    def client_properties(self) -> Path:
        """A client file for `--command-config` and Kafka's own tools."""
        return self.directory / "client.properties"

    def kill(self, node: int) -> None:
        """SIGKILL."""
        nodes.kill(self.run_dir(node))

    def stop(self, node: int) -> None:
        """Controlled shutdown."""
        nodes.stop(self.run_dir(node))

    def pause(self, node: int) -> None:
        """SIGSTOP."""
        nodes.pause(self.run_dir(node))

    def resume(self, node: int) -> None:
        """SIGCONT."""
        nodes.resume(self.run_dir(node))

    def start_node(self, node: int) -> None:
        """Start a node that was killed or stopped, and wait until it serves."""
        nodes.start(self.run_dir(node))
        nodes.wait_ready([self.run_dir(node)])

    def restart(self, node: int) -> None:
        """Controlled shutdown and start."""
        nodes.restart(self.run_dir(node))

    def all_up(self) -> None:
        """Bring every node back: what a test that breaks things calls at its end."""
        for node in self.specs:
            nodes.start(self.run_dir(node))
        nodes.wait_ready([self.run_dir(node) for node in self.specs])
