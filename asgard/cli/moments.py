"""Times as people write and read them on the command line; internally they are seconds since 1970."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from asgard.cli.numbers import parse_number
from asgard.core import units
from asgard.core.errors import WrongUsage

Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="WHEN",
        help="Only since then: an age (2h, 7d), or a date or time (UTC) such as 2026-11-24T09:00.",
    ),
]
Last = Annotated[int, typer.Option("--last", min=1, help="At most this many, the newest; all of them with --since.")]

Every = Annotated[str, typer.Option("--every", metavar="TIME", help="Interval between two rounds.")]


def every_seconds(text: str, least: str) -> float:
    """The interval of `--every`, in seconds. Raises WrongUsage if it is shorter than `least`, as in 1s."""
    found = parse_number("--every", text, units.parse_duration)
    if found < units.parse_duration(least):
        raise WrongUsage(f"--every is {text!r}; allowed is {least} or more")
    return found


def parse_since(text: str, now: float, option: str = "--since") -> float:
    """Seconds since 1970 for `2h` (ago) or an ISO date or time, which is UTC unless it says otherwise."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now - units.parse_duration(text)
        except ValueError as error:
            raise WrongUsage(
                f"{option} is {text!r}, which is neither an age nor a date",
                "Write an age as in 2h or 7d, or a date or time (UTC) as in 2026-11-24T09:00.",
            ) from error
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def since_s(since: str | None) -> float | None:
    """The moment of `--since`; None without one. Raises WrongUsage."""
    return parse_since(since, time.time()) if since else None


def parse_ms(text: str | None, now: float, option: str) -> int | None:
    """A moment as Kafka has it, in milliseconds; None without one. Raises WrongUsage."""
    return None if text is None else round(parse_since(text, now, option) * 1000)


def utc(at: float) -> str:
    """`2026-11-24T09:00:00Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
