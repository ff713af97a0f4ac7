"""Containers of a Docker engine: those with given labels, and kill (SIGKILL) and start.

Over the engine's unix socket, or the one in DOCKER_HOST. Only containers that could serve are listed: created, running,
paused and restarting ones; an exited one is no longer a member. A container is healthy if it runs and does not fail its
health check.

An engine does not restart a container that was killed through its API, whatever its restart policy says (it counts as
stopped by hand): an orchestrator or `start_container` must.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from asgard.core.errors import AsgardError, Failed, Refused, Unreachable, WrongUsage
from asgard.machines.member import Member, Population, opted_in

DEADLINE_S = 20
_SERVING = ("created", "running", "paused", "restarting")


def members(labels: Mapping[str, tuple[str, ...]], socket: str | None = None) -> Population:
    """The containers that have all these labels, each with one of its values. One call, however many there are."""
    with _engine(socket, "listing containers") as engine:
        # The engine requires every filter to match, so a label with several values is checked here.
        wanted = [f"{name}={values[0]}" if len(values) == 1 else name for name, values in sorted(labels.items())]
        found = engine.api.containers(all=True, filters={"label": wanted, "status": list(_SERVING)})
    listed = [c for c in found if c.get("State") in _SERVING and opted_in(c.get("Labels") or {}, labels)]
    return Population(tuple(_member(c) for c in listed))


def kill_container(container: str, socket: str | None = None) -> str:
    """SIGKILL to the main process of a container."""
    with _engine(socket, f"killing container {container[:12]}") as engine:
        engine.api.kill(container, "SIGKILL")
    return f"container {container[:12]} was killed"


def start_container(container: str, socket: str | None = None) -> str:
    """Start a killed container; a running one stays as it is. Says so if it was removed meanwhile."""
    short = container[:12]
    with _engine(socket, f"starting container {short}") as engine:
        import docker

        try:
            engine.api.start(container)
        except docker.errors.NotFound:
            return f"container {short} was removed meanwhile; it can't be started again"
    return f"container {short} is running"


def is_local(socket: str | None = None) -> bool:
    """Whether the engine is this machine's: not if DOCKER_HOST names one over the network."""
    return socket is not None or os.environ.get("DOCKER_HOST", "unix://").startswith("unix://")


@contextlib.contextmanager
def _engine(socket: str | None, doing: str) -> Iterator[Any]:
    """A client of the engine; its errors as Asgard's."""
    try:
        import docker
        import requests
    except ImportError as error:
        raise WrongUsage(
            "containers need the package docker, which is not installed",
            "Install it with: pip install 'asgard-kafka[docker]'",
        ) from error
    client = None
    try:
        if socket is None:
            client = docker.from_env(timeout=DEADLINE_S)
        else:
            client = docker.DockerClient(f"unix://{socket}", timeout=DEADLINE_S)
        yield client
    except docker.errors.APIError as error:
        raise _of_answer(doing, error) from error
    except docker.errors.InvalidVersion as error:
        raise WrongUsage(f"{doing}: {error}", "The engine is too old for the package docker.") from error
    except (docker.errors.DockerException, requests.RequestException) as error:
        where = socket or "DOCKER_HOST, or /var/run/docker.sock"
        reason = "permission denied" if "Permission denied" in str(error) else str(error)
        raise Unreachable(
            f"{doing}: no Docker engine answers at {where}: {reason}",
            "Check that it runs, and that this user may use its socket (cron runs as its own user).",
        ) from error
    finally:
        if client is not None:
            client.close()


def _of_answer(doing: str, error: Any) -> AsgardError:
    said = str(error.explanation or error)
    if error.status_code == 404:
        return WrongUsage(f"{doing}: {said}", "`docker ps` shows the names and ids.")
    if error.status_code == 409:
        return Failed(f"{doing}: {said}", "It has stopped by itself in the meantime.")
    if error.status_code == 403:
        return Refused(f"{doing}: {said}", "The engine's authorization plug-in denied it.")
    return Failed(f"{doing}: the engine answers {error.status_code}: {said}")


def _member(container: dict[str, Any]) -> Member:
    state, status = str(container["State"]), str(container.get("Status", ""))
    ailing = "(unhealthy)" in status or "(health: starting)" in status
    names = container.get("Names") or [""]
    told = state if not ailing else f"{state}, {status.partition('(')[2].rstrip(')')}"
    healthy = state == "running" and not ailing
    return Member(container["Id"], "container", "", container.get("Labels") or {}, told, healthy, names[0].lstrip("/"))
