"""Which dead letters of a partition were already sent. Small enough to commit with every transaction, as text.

Everything below `head` was sent, except `pending`; above it, only `ahead` was. Pure.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from asgard.core.errors import Failed
from asgard.thor.replay.slots import MAX_NOTE


@dataclass
class Ledger:
    """A partition of a dead letter topic. Mutable: updated as records are sent, and read again after an aborted transaction."""

    head: int
    pending: set[int] = field(default_factory=set)
    ahead: set[int] = field(default_factory=set)

    def sent(self, offset: int) -> bool:
        """Whether this one was sent."""
        return offset not in self.pending if offset < self.head else offset in self.ahead

    @property
    def first(self) -> int:
        """The first offset that may not have been sent."""
        return min(self.pending, default=self.head)

    def note_sent(self, offset: int, *, scan: bool) -> None:
        """Note one as sent; with `scan`, all before it were looked at."""
        if offset < self.head:
            self.pending.discard(offset)
        elif scan:
            self._up_to(offset)
        else:
            self.ahead.add(offset)

    def note_left(self, offset: int, *, scan: bool) -> None:
        """Note one as left behind."""
        if scan and offset >= self.head:
            self._up_to(offset)
            self.pending.add(offset)

    def note_seen(self, offset: int) -> None:
        """Note that a scan met one that was already sent."""
        if offset >= self.head:
            self._up_to(offset)

    def _up_to(self, offset: int) -> None:
        self.head = offset + 1
        self.ahead.discard(offset)

    def text(self) -> str:
        """As text, for the commit. Raises Failed if the sent offsets are too scattered."""
        parts = [str(self.head), _packed(self.pending), _packed(self.ahead)]
        text = ",".join(parts)
        if len(text) > MAX_NOTE:
            raise Failed(
                f"{len(self.pending) + len(self.ahead)} dead letters scattered over a partition are too many to keep track of",
                "Redrive with fewer filters, so that fewer stay.",
            )
        return text


def read(text: str) -> Ledger:
    """The ledger of a commit."""
    head, pending, ahead = text.split(",")
    return Ledger(int(head), _unpacked(pending), _unpacked(ahead))


def _packed(offsets: Iterable[int]) -> str:
    """Differences as text, deflated: thousands of adjacent offsets take a few bytes."""
    ordered = sorted(offsets)
    if not ordered:
        return ""
    differences = [b - a for a, b in zip([0, *ordered], ordered, strict=False)]
    raw = zlib.compress(" ".join(map(str, differences)).encode(), 9)
    return base64.urlsafe_b64encode(raw).decode()


def _unpacked(text: str) -> set[int]:
    if not text:
        return set()
    at, found = 0, set()
    for difference in zlib.decompress(base64.urlsafe_b64decode(text)).split():
        at += int(difference)
        found.add(at)
    return found
