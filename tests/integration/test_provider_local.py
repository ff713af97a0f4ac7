"""A cluster on this machine as resources: made, grown, repaired, changed while it serves, and taken down."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from asgard.core.errors import Refused
from asgard.kafka.admin import connect
from asgard.kafka.connection import Connection
from asgard.odin.provider.provider import AsgardProvider
from asgard.odin.resources import local
from asgard.odin.resources.kinds import BROKER, CLUSTER, READY, TOPIC
from asgard.odin.resources.values import Values
from tests.harness import AckedProducer
from tests.provider_driver import Driver, urn_of

pytestmark = pytest.mark.kafka
QUICK = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}


class Stack:
    """What the program of a stack does with the local resources."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    @property
    def plan(self) -> Values:
        """The outputs of the cluster."""
        return self.driver.state[urn_of(CLUSTER, "demo")][1]

    @property
    def connection(self) -> Connection:
        """As its first user."""
        return Connection(self.plan["bootstrapServers"], self.plan["clientProperties"])

    async def up(self, brokers: int, config: Values | None = None) -> list[str]:
        """Cluster, nodes and readiness; what happened to each."""
        inputs = {"name": "demo", "version": "4.3.1", "brokers": brokers, "controllers": 1, "racks": 2}
        ops = [await self.driver.up(CLUSTER, "demo", inputs)]
        voters = [node for node in self.plan["nodes"] if "controller" in node["roles"]]
        shared = {
            **{name: self.plan[name] for name in ("clusterId", "version", "sasl", "authorizer")},
            **{name: self.plan[name] for name in ("adminPassword", "controllerPassword")},
            "cluster": "demo",
            "initialControllers": ",".join(
                f"{node['id']}@127.0.0.1:{node['controllerPort']}:{node['directoryId']}" for node in voters
            ),
            "staticConfig": {**QUICK, **(config or {})},
        }
        nodes = [
            {"nodeId": node["id"], **{name: value for name, value in node.items() if name != "id"}}
            for node in self.plan["nodes"]
        ]
        ops += await asyncio.gather(
            *(self.driver.up(BROKER, f"demo-{node['nodeId']}", {**shared, **node}) for node in nodes)
        )
        ready = {
            "clusterId": self.plan["clusterId"],
            "brokerIds": [node["nodeId"] for node in nodes],
            "bootstrapServers": self.plan["bootstrapServers"],
            "clientProperties": self.plan["clientProperties"],
        }
        return [*ops, await self.driver.up(READY, "demo", ready)]

    def pid(self, node: int) -> int:
        """The process of a node."""
        return int(local.run_dir("demo", node).pid_file.read_text())


async def told(provider: AsgardProvider, stack: Stack) -> None:
    """Tell the provider where the cluster is."""
    await provider.configure({name: stack.plan[name] for name in ("bootstrapServers", "clientProperties", "clusterId")})


@pytest.mark.long
def test_a_local_cluster_from_first_to_last(own_home: Path) -> None:
    async def story() -> None:
        provider = AsgardProvider()
        driver = Driver(provider)
        stack = Stack(driver)

        assert await stack.up(2) == ["create"] * 4
        assert await stack.up(2) == ["same"] * 4
        first = stack.plan["nodes"]
        assert await stack.up(3) == ["update", "same", "same", "create", "update"]
        assert stack.plan["nodes"][:2] == first
        await told(provider, stack)
        topic = {"name": "t", "partitions": 6, "replication": 3, "config": {"min.insync.replicas": 2}}
        await driver.up(TOPIC, "t", topic)

        # a node that died is seen and started again
        dead = stack.pid(2)
        os.kill(dead, signal.SIGKILL)
        while (await driver.read(BROKER, "demo-2") or {})["running"]:
            await asyncio.sleep(0.05)
        assert await stack.up(3) == ["same", "same", "update", "same", "same"]
        assert stack.pid(2) != dead
        assert (await driver.read(BROKER, "demo-2") or {})["running"]
        await asyncio.to_thread(all_in_sync, stack.connection)

        # another static config restarts every node while producers go on
        before = [stack.pid(node) for node in (1, 2, 3)]
        with Trickle(stack.connection, "t") as trickle:
            assert await stack.up(3, {"log.cleaner.backoff.ms": "12345"}) == ["same", *["update"] * 3, "same"]
        assert not set(before) & {stack.pid(node) for node in (1, 2, 3)}
        for node in (1, 2, 3):
            assert "log.cleaner.backoff.ms=12345" in local.run_dir("demo", node).properties.read_text()
        assert trickle.sent > 10
        assert not trickle.failed

        # a broker that holds replicas stays, and so does a controller
        with pytest.raises(Refused, match=r"broker 3 holds 6 replicas, of t") as refused:
            await driver.delete(BROKER, "demo-3")
        assert refused.value.hint == "Move them away first: asgard thor plan drain 3"
        with pytest.raises(Refused, match="one of the controllers"):
            await driver.delete(BROKER, "demo-1")
        await driver.up(TOPIC, "t", {**topic, "replication": 1, "config": {}})
        with connect(stack.connection) as control:
            moved = {(p.topic, p.partition): p for p in control.topics(["t"])["t"].partitions}
            from asgard.kafka.model import Move

            control.reassign([Move("t", p.partition, (1,)) for p in moved.values()])
            while any(p.replicas != (1,) for p in control.topics(["t"])["t"].partitions):
                await asyncio.sleep(0.05)
            for name, found in control.topics().items():
                if found.internal:
                    control.reassign([Move(name, p.partition, (1,)) for p in found.partitions])
            await driver.delete(BROKER, "demo-3")
            assert [broker.id for broker in control.cluster().brokers] == [1, 2]
        assert not local.run_dir("demo", 3).path.exists()

        # the whole cluster goes: what its nodes hold does not matter any more
        await driver.delete(READY, "demo")
        await asyncio.gather(driver.delete(BROKER, "demo-1"), driver.delete(BROKER, "demo-2"))
        await driver.delete(CLUSTER, "demo")
        assert not (own_home / "stacks" / "demo" / "nodes").exists()
        await provider.close()

    asyncio.run(story())


def all_in_sync(connection: Connection) -> None:
    """Wait until every replica is in sync."""
    import time

    with connect(connection) as control:
        until = time.monotonic() + 60
        while any(len(p.isr) < len(p.replicas) for t in control.topics().values() for p in t.partitions):
            assert time.monotonic() < until, "replicas do not catch up"
            time.sleep(0.1)


class Trickle:
    """A record every 20 ms, from a thread."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._producer = AckedProducer(connection)
        self._topic = topic
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.wait(0.02):
            self._producer.send(self._topic, b"tick")

    def __enter__(self) -> Trickle:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._over.set()
        self._thread.join()
        self._producer.flush()

    @property
    def sent(self) -> int:
        """How many were acknowledged."""
        return len(self._producer.acked)

    @property
    def failed(self) -> list[str]:
        """What was not."""
        return self._producer.failed


def test_the_nodes_of_another_cluster_are_not_taken_over(own_home: Path, plain_broker: Any) -> None:
    async def story() -> None:
        driver = Driver(AsgardProvider())
        nodes = own_home / "stacks" / "demo" / "nodes"
        nodes.mkdir(parents=True)
        (nodes / "1").symlink_to(plain_broker.run_dir(1).path)
        try:
            with pytest.raises(Refused, match="cluster demo exists already"):
                inputs = {"name": "demo", "version": "4.3.1", "brokers": 1, "controllers": 1}
                await driver.up(CLUSTER, "demo", inputs, preview=True)
        finally:
            (nodes / "1").unlink()

    asyncio.run(story())
