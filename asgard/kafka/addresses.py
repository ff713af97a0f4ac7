"""Addresses of brokers as text: `host:port`, with an IPv6 address in brackets."""

from __future__ import annotations

import re

from asgard.core.errors import WrongUsage

_SERVER = re.compile(r"(?:\[([0-9a-fA-F:.]+(?:%[A-Za-z0-9_.-]+)?)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})\Z")
_BARE_IPV6 = re.compile(r"([0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(?:%[A-Za-z0-9_.-]+)?)(?::([0-9]{4,5}))\Z")


def address(host: str, port: int | str) -> str:
    """`kafka-1:9092`, `[2001:db8::7]:9092`."""
    bare = host.strip("[]")
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def wrong_servers(text: str) -> str | None:
    """Why a text is not a list of bootstrap servers; None if it is one."""
    for server in text.split(","):
        match = _SERVER.match(server.strip())
        if match and 1 <= int(match[3]) <= 65535:
            continue
        bare = _BARE_IPV6.match(server.strip())
        if bare:
            return f"is {text!r}; allowed is an IPv6 address in brackets, as in {address(bare[1], bare[2])}"
        return f"is {text!r}; allowed is HOST:PORT, with commas between, as in kafka-1:9092,kafka-2:9092"
    return None


def check_servers(text: str, what: str) -> None:
    """Raise WrongUsage if a text is not a list of bootstrap servers; `what` names the option."""
    if wrong := wrong_servers(text):
        raise WrongUsage(f"{what} {wrong}")


def split(text: str) -> list[tuple[str, int]]:
    """Host and port of each server of a valid list."""
    found = []
    for server in text.split(","):
        host, _, port = server.strip().rpartition(":")
        found.append((host.strip("[]"), int(port)))
    return found
