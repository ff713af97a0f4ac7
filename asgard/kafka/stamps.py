"""Stamps of many records at once, as numpy reads them (layout: docs/record-header.md; one at a time: `stamp`)."""

from __future__ import annotations

import numpy as np

from asgard.kafka import stamp

STAMP = np.dtype(
    [
        ("version", "u1"),
        ("run", "V16"),
        ("producer", ">u4"),
        ("sequence", ">u8"),
        ("intended_us", ">u8"),
        ("crc32c", ">u4"),
    ]
)
"""A stamp as numpy sees it (docs/record-header.md)."""
assert STAMP.itemsize == stamp.SIZE

NO_STAMP = bytes(stamp.SIZE)
"""The replacement for a missing or malformed stamp: version 0."""
