"""Durations, sizes and rates as people write them: `7d`, `256MiB`, `50MB/s`. Internally bytes, seconds, per second."""

from __future__ import annotations

import re

_SIZES = {"": 1, "B": 1}
for _power, _letter in enumerate("KMGTP", start=1):
    _SIZES[f"{_letter}B"] = 1000**_power
    _SIZES[f"{_letter}iB"] = 1024**_power
_SIZES["kB"] = 1000

_DURATIONS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_NUMBER_AND_UNIT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*$")


def _parse(text: str, units: dict[str, float] | dict[str, int], example: str) -> float:
    match = _NUMBER_AND_UNIT.match(text)
    if not match or match[2] not in units:
        raise ValueError(
            f"is {text!r}; allowed is a number with one of {', '.join(u for u in units if u)}, as in {example}"
        )
    return float(match[1]) * units[match[2]]


def parse_size(text: str | int) -> int:
    """Bytes of `256MiB`, `10MB`, `512`. Raises ValueError."""
    return text if isinstance(text, int) else round(_parse(text, _SIZES, "256MiB"))


def parse_duration(text: str | int | float) -> float:
    """Seconds of `7d`, `250ms`, `1.5h`; a bare number is seconds. Raises ValueError."""
    if isinstance(text, int | float):
        return float(text)
    return _parse(text, {**_DURATIONS, "": 1}, "7d")


def parse_rate(text: str | int | float) -> float:
    """Units per second of `50MB/s`, `2000/s`, `10MB/s`; a bare number is per second. Raises ValueError."""
    if isinstance(text, int | float):
        return float(text)
    amount, slash, per = text.partition("/")
    if slash and per.strip() != "s":
        raise ValueError(f"is {text!r}; allowed is a rate per second, as in 50MB/s")
    return _parse(amount, _SIZES, "50MB/s")


def format_size(size_bytes: float) -> str:
    """`1.5 GiB`: three digits at most, binary units."""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} PiB"


def format_duration(seconds: float) -> str:
    """`1.5 s`, `4 m 10 s`, `2 h 5 m`, `7 d`: two units at most."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    parts = []
    rest = int(seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def exact_duration(milliseconds: int) -> str:
    """`7d`, `36h`, `1500ms`: a duration in one unit, which `parse_duration` reads back as the same."""
    for unit in ("d", "h", "m", "s"):
        size = round(_DURATIONS[unit] * 1000)
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"
