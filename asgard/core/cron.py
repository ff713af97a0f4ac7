"""Whether cron understands a schedule. Five fields, or a word such as @daily: the syntax common to cron daemons."""

from __future__ import annotations

import re
from calendar import monthrange

WORDS = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_PART = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>[0-9]{1,4}))?\Z")


def check(text: str) -> str:
    """The expression with single spaces. Raises ValueError with what is wrong and what is allowed."""
    fields = text.split()
    if len(fields) == 1 and fields[0].startswith("@"):
        if fields[0] in WORDS:
            return fields[0]
        raise ValueError(f"is {text!r}; allowed are five fields, as in '*/5 * * * *', or {', '.join(WORDS)}")
    if len(fields) != 5:
        raise ValueError(
            f"has {len(fields)} fields; allowed are five (minute, hour, day of month, month, day of week), as in '*/5 * * * *'"
        )
    months, days = (_values(fields[i], *_FIELDS[i]) for i in (3, 2))
    for i in (0, 1, 4):
        _values(fields[i], *_FIELDS[i])
    # cron runs when either of the two day fields matches, if both are restricted
    if fields[4].startswith("*") and min(days) > max(monthrange(2024, month)[1] for month in months):
        raise ValueError(f"never comes: no month of {fields[3]!r} has a day {fields[2]}")
    return " ".join(fields)


def _values(text: str, name: str, low: int, high: int, words: dict[str, int]) -> set[int]:
    values: set[int] = set()
    for part in text.split(","):
        match = _PART.match(part)
        example = f"{low}-{high}" + (f" or {', '.join(words)}" if words else "")
        if not match:
            raise ValueError(f"has {part!r} as {name}; allowed are *, numbers of {example}, ranges, lists and /steps")
        if match["first"] is None:
            first, last = low, high
        else:
            first = _number(match["first"], name, low, high, words, example)
            last = first if match["last"] is None else _number(match["last"], name, low, high, words, example)
            if match["step"] and match["last"] is None:
                raise ValueError(f"has {part!r} as {name}; a step goes with * or a range, as in {first}-{high}/5")
        if last < first:
            raise ValueError(f"has {part!r} as {name}; a range goes upwards")
        step = int(match["step"] or 1)
        if not 1 <= step <= high:
            raise ValueError(f"has {part!r} as {name}; allowed is a step of 1 to {high}")
        values.update(range(first, last + 1, step))
    return values


def _number(text: str, name: str, low: int, high: int, words: dict[str, int], example: str) -> int:
    value = words.get(text.lower(), int(text) if text.isdecimal() else -1)
    if not low <= value <= high:
        raise ValueError(f"has {text!r} as {name}; allowed is {example}")
    return value
