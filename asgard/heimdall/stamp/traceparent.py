"""The W3C header `traceparent`: which trace a record belongs to, and which span sent it. Version 00, lower-case hex.

00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

TRACEPARENT = "traceparent"
_FORM = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z")


@dataclass(frozen=True, slots=True)
class TraceParent:
    """`trace_id` has 32 hex digits, `span_id` 16; `flags` bit 0: sampled."""

    trace_id: str
    span_id: str
    flags: int = 1

    def encode(self) -> bytes:
        """The header's value."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}".encode()

    def child(self, span_id: str) -> TraceParent:
        """The same trace, sent on by another span."""
        return replace(self, span_id=span_id)


def parse(value: bytes | None) -> TraceParent | None:
    """The trace of a header's value; None if it is not one (the standard requires that it is then ignored)."""
    match = _FORM.match(value or b"")
    if not match or match[1] == b"ff" or (match[1] == b"00" and match[5]):
        return None
    if not match[2].strip(b"0") or not match[3].strip(b"0"):
        return None
    return TraceParent(match[2].decode(), match[3].decode(), int(match[4], 16))
