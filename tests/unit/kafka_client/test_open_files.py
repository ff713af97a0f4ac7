"""A client that can't connect keeps no file open, also before any garbage is collected: a watcher tries for days."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import psutil
import pytest

from asgard.core.errors import Unreachable
from asgard.kafka.admin import connect
from asgard.kafka.connection import Connection
from asgard.machines.local import free_ports


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def test_connections_that_are_refused_leave_no_socket_open(no_collection: None) -> None:
    ports = free_ports(2)
    servers = ",".join(f"127.0.0.1:{port}" for port in ports)
    open_before = psutil.Process().num_fds()
    for _ in range(3):
        with pytest.raises(Unreachable):
            connect(Connection(servers), deadline_s=0.3, patience_s=0.3)
    assert psutil.Process().num_fds() <= open_before
