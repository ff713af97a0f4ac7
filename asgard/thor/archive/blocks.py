"""Blocks of an Avro container file, assembled from the records' own bytes.

The schema is fixed, so a record is just a few lengths between bytes that already exist. fastavro's writer checks each record's types:
it takes four times as long and would be most of an archive's work. Its reader creates a dictionary per record, which would be a third
of a restore's. fastavro still reads the rest of a file (header, schema, codec, markers), and can read the records too.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from operator import add
from typing import Any

from asgard.core.errors import Failed
from asgard.kafka.data import Headers, Read
from asgard.thor.archive.model import Codec

_NULL, _BYTES, _NOTHING = b"\x00", b"\x02", b"\x00"


def varint(number: int) -> bytes:
    """Avro's int and long: zigzag, seven bits a byte, lowest first."""
    return _unsigned((number << 1) ^ (number >> 63))


def _unsigned(number: int) -> bytes:
    """Seven bits a byte, lowest first, without a sign."""
    out = bytearray()
    while number > 0x7F:
        out.append((number & 0x7F) | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_BITS = 13
_LEAST, _MASK = 1 << _BITS, (1 << _BITS) - 1
_LOW = [bytes((((n << 1) & 0x7F) | 0x80, (n >> 6) | 0x80)) for n in range(_LEAST)]
"""The first two bytes of the numbers with these lowest 13 bits, when more bytes follow."""
_LENGTHS = [varint(n) for n in range(1 << 14)]
_PREFIXES = [_BYTES + length for length in _LENGTHS]
"""The prefix for this many bytes of a field that may be null."""
_COLUMNS = 10
_MOST_NAMES = 10_000


def _length(size: int) -> bytes:
    return _LENGTHS[size] if size < len(_LENGTHS) else varint(size)


def _prefix(size: int) -> bytes:
    return _PREFIXES[size] if size < len(_PREFIXES) else _BYTES + varint(size)


def _numbers(values: list[int]) -> tuple[list[bytes], list[bytes]]:
    """Numbers as two columns of bytes: the high bits of offsets and times hardly change from one record to the next."""
    if min(values) < _LEAST:
        return [varint(n) for n in values], [b""] * len(values)
    highs = [n >> _BITS for n in values]
    encoded = {high: _unsigned(high) for high in set(highs)}
    return [_LOW[n & _MASK] for n in values], [encoded[high] for high in highs]


def _in_a_row(first: int, count: int) -> tuple[list[bytes], list[bytes]]:
    """The same for `count` consecutive numbers."""
    if first < _LEAST:
        return _numbers(list(range(first, first + count)))
    lows: list[bytes] = []
    highs: list[bytes] = []
    while len(lows) < count:
        at = first + len(lows)
        low = _LOW[at & _MASK : (at & _MASK) + count - len(lows)]
        lows += low
        highs += [_unsigned(at >> _BITS)] * len(low)
    return lows, highs


def _contents(values: list[bytes | None]) -> tuple[list[bytes], list[bytes], list[int]]:
    """Keys or values as two columns (prefixes and contents), and their sizes."""
    if None in values:
        before = [_NULL if content is None else _prefix(len(content)) for content in values]
        given = [content or b"" for content in values]
        return before, given, list(map(len, given))
    sizes = list(map(len, values))  # type: ignore[arg-type]
    if max(sizes) < len(_PREFIXES):
        return [_PREFIXES[size] for size in sizes], values, sizes  # type: ignore[return-value]
    return [_prefix(size) for size in sizes], values, sizes  # type: ignore[return-value]


class Block:
    """The records of the next block, encoded. `bytes` is their size, `raw` that of keys, values and headers alone.

    `first_ms`, `last_ms` and `largest` (keys, values and headers of the largest record) cover all blocks so far.
    """

    def __init__(self, partition: int) -> None:
        self.count = self.bytes = self.raw = self.largest = 0
        self.first_ms: int | None = None
        self.last_ms: int | None = None
        self._partition = varint(partition)
        self._parts: list[bytes] = []
        self._names: dict[str, bytes] = {}

    def add(self, messages: Sequence[Any], *, in_a_row: bool = False) -> None:
        """Add confluent-kafka messages, at least one; `in_a_row`: they have consecutive offsets.

        Column by column: a loop over records would be most of an archive's work.
        """
        count = len(messages)
        offsets = _in_a_row(messages[0].offset(), count) if in_a_row else _numbers([m.offset() for m in messages])
        times = [m.timestamp()[1] for m in messages]
        keys, key_bytes, key_sizes = _contents([m.key() for m in messages])
        values, value_bytes, value_sizes = _contents([m.value() for m in messages])
        headers, header_sizes = self._headers([m.headers() for m in messages])
        parts: list[Any] = [self._partition] * (count * _COLUMNS)
        columns = (
            *offsets, *_numbers(times), keys, key_bytes, values, value_bytes, headers
        )  # fmt: skip
        for place, column in enumerate(columns, 1):
            parts[place::_COLUMNS] = column
        self._parts += parts
        first, last = min(times), max(times)
        self.first_ms = first if self.first_ms is None or first < self.first_ms else self.first_ms
        self.last_ms = last if self.last_ms is None or last > self.last_ms else self.last_ms
        sizes = list(map(add, map(add, key_sizes, value_sizes), header_sizes))
        size = sum(sizes)
        self.largest = max(self.largest, max(sizes))
        self.raw += size
        self.bytes += size + 16 * count
        self.count += count

    def _headers(self, given: list[list[tuple[str, bytes | None]] | None]) -> tuple[list[bytes], list[int]]:
        """The arrays of the records' headers, and their sizes."""
        if not any(given):
            return [_NOTHING] * len(given), [0] * len(given)
        found = [self._array(headers) if headers else (_NOTHING, 0) for headers in given]
        return [encoded for encoded, _ in found], [size for _, size in found]

    def _array(self, given: list[tuple[str, bytes | None]]) -> tuple[bytes, int]:
        """The array of a record's headers, in their order."""
        parts, size = [_length(len(given))], 0
        for name, content in given:
            named = self._names.get(name)
            if named is None:
                named = name.encode()
                named = _length(len(named)) + named
                if len(self._names) < _MOST_NAMES:
                    self._names[name] = named
            parts.append(named)
            size += len(named)
            if content is None:
                parts.append(_NULL)
            else:
                parts += (_prefix(len(content)), content)
                size += len(content)
        parts.append(_NOTHING)
        return b"".join(parts), size

    def take(self) -> tuple[int, list[bytes]]:
        """The block's number of records and its bytes in pieces; starts an empty block."""
        taken = self.count, self._parts
        self.count = self.bytes = self.raw = 0
        self._parts = []
        return taken


def decode(data: bytes, count: int, topic: str) -> list[Read]:
    """The records of a block. Raises ValueError or IndexError if its bytes aren't what `Block` makes of `count` records.

    One loop without calls: it guesses a record's first bytes from the previous record, and assumes the usual forms of times, lengths
    and empty headers. Everything else takes the slow path.
    """
    found: list[Read] = []
    add_, make, from_bytes = found.append, tuple.__new__, int.from_bytes
    at = partition = offset = 0
    lead = guess = high_bytes = b""
    high = -1
    for _ in range(count):
        if guess and data.startswith(guess, at):
            at += len(guess)
            offset += 1
        else:
            partition, after = _signed_at(data, at)
            lead = data[at:after]
            offset, at = _signed_at(data, after)
        following = offset + 1
        if following >= _LEAST:
            if following >> _BITS != high:
                high = following >> _BITS
                high_bytes = _unsigned(high)
            guess = lead + _LOW[following & _MASK] + high_bytes
        else:
            guess = lead + varint(following)
        packed = from_bytes(data[at : at + 6], "little")
        if packed & _SIX_BYTES == _SIX_BYTES_MARKS and not packed & 1:
            # six bytes: until the year 2039, in milliseconds
            timestamp = (
                packed >> 1 & 0x3F
                | packed >> 2 & 0x1FC0
                | packed >> 3 & 0xFE000
                | packed >> 4 & 0x7F00000
                | packed >> 5 & 0x3F8000000
                | packed >> 6 & 0x1FC00000000
            )
            at += 6
        else:
            timestamp, at = _signed_at(data, at)
        key, value = None, None
        kind = data[at]
        if kind == 2:
            size = data[at + 1]
            if size < 0x80:
                at += 2
            else:
                size, at = _number_at(data, at + 1)
            key = data[at : at + (size >> 1)]
            at += size >> 1
        elif kind == 0:
            at += 1
        else:
            raise ValueError(f"a key is neither null nor bytes but {kind}")
        kind = data[at]
        if kind == 2:
            size, more = data[at + 1], data[at + 2]
            if size < 0x80:
                at += 2
            elif more < 0x80:
                size = size & 0x7F | more << 7
                at += 3
            else:
                size, at = _number_at(data, at + 1)
            value = data[at : at + (size >> 1)]
            at += size >> 1
        elif kind == 0:
            at += 1
        else:
            raise ValueError(f"a value is neither null nor bytes but {kind}")
        if data[at] == 0:
            headers: Headers = ()
            at += 1
        else:
            headers, at = _headers_at(data, at)
        add_(make(Read, (topic, partition, offset, timestamp, key, value, headers)))
    if at != len(data):
        raise ValueError(f"the records end at byte {at} of {len(data)}")
    return found


_SIX_BYTES, _SIX_BYTES_MARKS = 0x808080808080, 0x008080808080
"""The continuation bits of a number, and their value in one of six bytes."""


def _number_at(data: bytes, at: int) -> tuple[int, int]:
    """A number without a sign, and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than 64 bits")


def _signed_at(data: bytes, at: int) -> tuple[int, int]:
    number, at = _number_at(data, at)
    return (number >> 1) ^ -(number & 1), at


def _bytes_at(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = _signed_at(data, at)
    if size < 0 or at + size > len(data):
        raise ValueError(f"bytes have the length {size}")
    return data[at : at + size], at + size


def _headers_at(data: bytes, at: int) -> tuple[Headers, int]:
    found: list[Any] = []
    count, at = _signed_at(data, at)
    while count:
        if count < 0:
            count, (_, at) = -count, _signed_at(data, at)
        for _ in range(count):
            name, at = _bytes_at(data, at)
            kind, at = _signed_at(data, at)
            if kind == 0:
                found.append((name.decode(), None))
            elif kind == 1:
                content, at = _bytes_at(data, at)
                found.append((name.decode(), content))
            else:
                raise ValueError(f"a header is neither null nor bytes but {kind}")
        count, at = _signed_at(data, at)
    return tuple(found), at


def compressor(codec: Codec) -> Callable[[bytes], bytes]:
    """The codec at its fastest level. Raises Failed if its package is missing."""
    if codec == "deflate":

        def deflate(data: bytes) -> bytes:
            stream = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
            return stream.compress(data) + stream.flush()

        return deflate
    try:
        from backports import zstd
    except ImportError:
        try:
            from compression import zstd  # type: ignore[import-not-found,no-redef]
        except ImportError as error:
            raise Failed("archives in zstandard need backports.zstd", "pip install 'asgard-kafka[archive]', or --codec deflate") from error  # fmt: skip
    return lambda data: bytes(zstd.compress(data, level=1))
