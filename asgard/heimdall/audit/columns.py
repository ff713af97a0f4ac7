"""A batch of messages as columns, topic by topic: as little Python per record as possible, the rest in numpy.

Times are µs since 1970 (UTC). A record without a stamp, or with an unreadable one, counts by its own time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asgard.kafka import stamp
from asgard.kafka.stamps import NO_STAMP, STAMP

Ints = npt.NDArray[np.int64]
_FAR_US = 1 << 62
_HIGHEST = 1 << 62


@dataclass(frozen=True)
class Columns:
    """Records of one topic. `stamped`: which of them carry a stamp; `event_us`: intended send time, else the record's time.

    `who` numbers the producers of this batch (rows without a stamp: 0), and `names` has their names.
    """

    partition: Ints
    at_us: Ints
    event_us: Ints
    stamped: npt.NDArray[np.bool_]
    sequence: Ints
    who: Ints
    names: Sequence[tuple[bytes, int]]


def of_messages(messages: Sequence[Any]) -> dict[str, Columns]:
    """The columns of confluent-kafka's messages, by topic."""
    by_topic: dict[str, list[Any]] = {}
    for message in messages:
        by_topic.setdefault(message.topic(), []).append(message)
    return {topic: _columns(given) for topic, given in by_topic.items()}


def _columns(messages: list[Any]) -> Columns:
    partition = np.array([message.partition() for message in messages], np.int64)
    at_us = np.array([message.timestamp()[1] for message in messages], np.int64) * 1000
    return of_stamps(partition, at_us, b"".join([_stamp(message.headers()) for message in messages]))


def _stamp(headers: list[tuple[str, bytes | None]] | None) -> bytes:
    """The bytes of the last stamp among the headers, NO_STAMP if there is none of the right length."""
    if headers is not None:
        for name, data in reversed(headers):
            if name == stamp.HEADER:
                return data if data is not None and len(data) == stamp.SIZE else NO_STAMP
    return NO_STAMP


def of_stamps(partition: Ints, at_us: Ints, stamps: bytes) -> Columns:
    """The columns of records whose stamps are concatenated."""
    found = np.frombuffer(stamps, STAMP)
    stamped = (found["version"] == stamp.VERSION) & (found["intended_us"] < _FAR_US) & (found["sequence"] < _HIGHEST)
    event_us = np.where(stamped, found["intended_us"], 0).astype(np.int64)
    event_us = np.where(stamped, event_us, at_us)
    sequence = np.where(stamped, found["sequence"], 0).astype(np.int64)
    who, names = _producers(found)
    return Columns(partition, at_us, event_us, stamped, sequence, who, names)


def _producers(found: npt.NDArray[np.void]) -> tuple[Ints, list[tuple[bytes, int]]]:
    """A number for each run and producer, and what each number stands for."""
    raw = np.frombuffer(found.tobytes(), np.uint8).reshape(len(found), stamp.SIZE)[:, 1:21]
    if (raw == raw[0]).all():
        codes = np.zeros(len(found), np.int64)
        rows = np.zeros(1, np.int64)
    else:
        codes = np.zeros(len(found), np.int64)
        for start in (0, 8, 16):
            width = min(8, 20 - start)
            part = np.ascontiguousarray(raw[:, start : start + width]).view(f"<u{width}").ravel()
            values, inverse = np.unique(part, return_inverse=True)
            _, codes = np.unique(codes * len(values) + inverse, return_inverse=True)
        _, rows = np.unique(codes, return_index=True)
    names = [(bytes(raw[row, :16]), int.from_bytes(bytes(raw[row, 16:]), "big")) for row in rows.tolist()]
    return codes.astype(np.int64), names
