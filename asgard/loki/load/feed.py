"""Keys and values of records: a pool created before the load, so that creating them takes no time during the load.

The same seed gives the same pool. Values of a size are letters A to Z, like those of Kafka's own ProducerPerformance (they
compress a little); events are JSON, each with its key, and the records of a file come with their keys, in the file's order.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asgard.core.errors import WrongUsage
from asgard.kafka import lines, stamp
from asgard.loki.load.rides import rides
from asgard.loki.load.scenario import Keys, Values

POOL_BYTES = 16 * 1024 * 1024
POOL_RECORDS = 32_768
_START_MS = 1_700_000_000_000

Item = tuple[bytes | None, bytes, bytes]
"""Key, value, and the CRC-32C of the value as the stamp has it (4 bytes, big-endian)."""


def pool(keys: Keys, values: Values, seed: int) -> list[Item]:
    """Records to send in turn, again and again: POOL_RECORDS of them, fewer different values if those are large."""
    source = np.random.default_rng(seed)
    if values.file is not None:
        found = from_file(Path(values.file))
        if keys.spread == "uniform":
            return [_item(key, value) for key, value in found]
        bodies = [value for _, value in found]
    elif values.events == "rides":
        events = list(rides(POOL_RECORDS, seed, _START_MS))
        bodies = [event.value for event in events]
        if keys.spread == "uniform":
            return [_item(event.key, event.value) for event in events]
    else:
        bodies = _letters(values, source)
    names = _keys(keys, source)
    checked = [(body, stamp.checksum(body).to_bytes(4, "big")) for body in bodies]
    return [(name, *checked[i % len(checked)]) for i, name in enumerate(names)]


def from_file(path: Path) -> list[tuple[bytes | None, bytes]]:
    """Keys and values of the first records of a file of JSON lines, those without a value left out. Raises WrongUsage and InvalidFile."""
    try:
        with path.open(encoding="utf-8") as file:
            records = lines.parse(file, str(path), topic="any")
            found = [(r.key, r.value) for r in islice(records, POOL_RECORDS) if r.value is not None]
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"{path}: can't be read: {getattr(error, 'strerror', None) or error}") from error
    if not found:
        raise WrongUsage(f"{path} holds no record with a value", "Write one with `asgard heimdall peek TOPIC --json`.")
    return found


def mean_bytes(items: list[Item]) -> float:
    """The mean size of a value in the pool."""
    return sum(len(value) for _, value, _ in items) / len(items)


def _item(key: bytes | None, value: bytes) -> Item:
    return key, value, stamp.checksum(value).to_bytes(4, "big")


def _letters(values: Values, source: np.random.Generator) -> list[bytes]:
    largest = max(values.largest_bytes, 1)
    count = min(max(POOL_BYTES // largest, 16), 4096)
    sizes = source.integers(values.smallest_bytes, values.largest_bytes, count, endpoint=True)
    return [source.integers(65, 91, int(size), np.uint8).tobytes() for size in sizes]


def _keys(keys: Keys, source: np.random.Generator) -> list[bytes | None]:
    if keys.spread == "none":
        return [None] * POOL_RECORDS
    if keys.spread == "fixed":
        return [b"key-0"] * POOL_RECORDS
    drawn = _zipf(keys, source) if keys.spread == "zipf" else source.integers(0, keys.count, POOL_RECORDS)
    return [b"key-%d" % number for number in drawn.tolist()]


def _zipf(keys: Keys, source: np.random.Generator) -> npt.NDArray[np.int64]:
    """Key number k (from 0) with a probability like 1 / (k + 1) ** exponent."""
    sums = np.cumsum(np.arange(1, keys.count + 1, dtype=np.float64) ** -keys.exponent)
    drawn: npt.NDArray[np.int64] = np.searchsorted(sums, source.random(POOL_RECORDS) * sums[-1])
    return drawn
