"""moto's server on loopback: AWS's interfaces over HTTP, for code that takes an endpoint URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def moto_server() -> Iterator[tuple[str, int]]:
    """Its host and port; it stops at the end of the block. Servers of one process share what is in them."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield server.get_host_and_port()
    finally:
        server.stop()
