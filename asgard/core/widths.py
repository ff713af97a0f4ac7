"""Widths of a table's columns, and shortening of long names. Pure. Widths are displayed characters.

Kafka allows names of 249 characters. A name that is too long loses its middle: names of one cluster mostly differ at
one end, and a partition's number is at the end. Text with spaces can be wrapped, and a path is useless unless complete,
so neither is shortened.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

ELSEWHERE = 80
"""The longest name if there is no terminal width to fit."""
_SMALLEST = 12
"""The minimum width of a column: what is left of a name must still be useful."""
_WORD = re.compile(r"\S+")


def shortened(text: str, most: int) -> str:
    """The text with the middle of each name that has more than `most` characters cut out. Coloured text stays as it is."""
    if len(text) <= most or "\033" in text:
        return text
    return _WORD.sub(lambda found: _cut(found[0], most), text)


def _cut(word: str, most: int) -> str:
    if len(word) <= most or "/" in word:
        return word
    ahead = most // 2
    return f"{word[:ahead]}…{word[len(word) - (most - ahead - 1) :]}"


def widest_column(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, *, between: int) -> int:
    """How wide a column may be so that the table fits into `width`, with `between` characters between two columns.

    Narrow columns keep their width; the wide ones share the rest.
    """
    needed = sorted(max([len(head), *(_line(row[i]) for row in rows)]) for i, head in enumerate(columns))
    left = width - between * (len(columns) - 1)
    for i, need in enumerate(needed):
        share = left // (len(needed) - i)
        if need > share:
            return max(share, _SMALLEST)
        left -= need
    return max(needed, default=width)


def _line(cell: str) -> int:
    return max((len(line) for line in cell.split("\n")), default=0)
