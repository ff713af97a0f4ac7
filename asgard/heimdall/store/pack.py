"""Named arrays as bytes and back. Pure. The format is a JSON line that names the arrays, then their bytes, deflated."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
FORMAT = 1


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays of one dimension. Numbers are little-endian; int64 are narrowed if their values allow it."""
    parts, heads = [], []
    for name, array in arrays.items():
        small = _narrow(array)
        heads.append([name, small.dtype.str, len(small), array.dtype.str])
        parts.append(small.tobytes())
    head = json.dumps({"format": FORMAT, "arrays": heads}).encode() + b"\n"
    return zlib.compress(head + b"".join(parts), 1)


def unpack(data: bytes) -> Arrays:
    """What `pack` packed. Raises ValueError for another format."""
    raw = zlib.decompress(data)
    end = raw.index(b"\n")
    head = json.loads(raw[:end])
    if head["format"] != FORMAT:
        raise ValueError(f"format {head['format']}")
    found: Arrays = {}
    at = end + 1
    for name, dtype, count, original in head["arrays"]:
        array = np.frombuffer(raw, np.dtype(dtype), count, at)
        at += array.nbytes
        found[name] = array.astype(np.dtype(original))
    return found


def _narrow(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype != np.int64 or not len(array):
        return array
    low, high = array.min(), array.max()
    return array.astype(np.int32) if low >= -(2**31) and high < 2**31 else array
