"""Numbers as people write them on the command line: times, sizes and rates with their units."""

from __future__ import annotations

from collections.abc import Callable

from asgard.core.errors import WrongUsage


def parse_number(option: str, text: str, parse: Callable[[str], float], above_0: str | None = None) -> float:
    """What an option gives, read by a function of `core.units`. `above_0`: 0 is refused, and this is what is allowed.

    Raises WrongUsage.
    """
    try:
        found = parse(text)
        if above_0 is not None and found <= 0:
            raise ValueError(f"is {text!r}; allowed is {above_0}")
    except ValueError as error:
        raise WrongUsage(f"{option} {error}") from error
    return found
