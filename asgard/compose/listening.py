"""A web server on an address, for the commands that serve pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgard.core.errors import Failed, WrongUsage


def listen(application: Callable[..., Any], host: str, port: int, **options: Any) -> tuple[Any, int]:
    """A waitress server that listens, and its port; of several addresses of a name (127.0.0.1 and ::1) the first one's.

    `options` are waitress's. Raises WrongUsage for a host that is not known, and Failed for an address that can't be bound.
    """
    from waitress import create_server

    try:
        server: Any = create_server(application, host=host, port=port, **options)
    except OSError as error:
        raise Failed(f"{host}:{port} can't be bound: {error.strerror}", "Choose another port: --port N.") from error
    except ValueError as error:
        raise WrongUsage(f"--host is {host!r}, which has no address", "Name an address of this machine.") from error
    listens = getattr(server, "effective_listen", None)
    return server, int(listens[0][1] if listens else server.effective_port)
