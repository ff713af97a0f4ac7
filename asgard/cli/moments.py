"""Times as people write and read them on the command line; internally they are seconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime

from asgard.core import units
from asgard.core.errors import WrongUsage


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


def utc(at: float) -> str:
    """`2026-11-24T09:00:00Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
