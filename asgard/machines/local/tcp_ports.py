"""Free ports on loopback, outside the range that the system gives to outgoing connections."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection
from contextlib import ExitStack

from asgard.core.errors import Failed
from asgard.machines.local.spec import HOST

_LOWEST, _HIGHEST = 20000, 32000
_TRIES = 2000


def free_ports(count: int, taken: Collection[int] = ()) -> list[int]:
    """The requested number of distinct ports that are free now and not `taken`. Raises `Failed`."""
    found: list[int] = []
    with ExitStack() as held:
        for _ in range(_TRIES):
            if len(found) == count:
                return found
            port = random.randint(_LOWEST, _HIGHEST)
            if port in found or port in taken:
                continue
            candidate = held.enter_context(socket.socket())
            try:
                candidate.bind((HOST, port))
            except OSError:
                continue
            found.append(port)
    raise Failed(f"there are no {count} free ports between {_LOWEST} and {_HIGHEST} on {HOST}", "What listens there?")
