"""Blocks of an Avro container file, put together from the records' own bytes.

The schema is fixed, so a record is a handful of lengths between bytes that are there already: fastavro's writer, which looks at each
record's types, takes four times as long for it and would be most of an archive's work. Reading is fastavro's.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from asgard.core.errors import Failed
from asgard.thor.archive.model import Codec

_NULL, _BYTES, _NOTHING = b"\x00", b"\x02", b"\x00"


def varint(number: int) -> bytes:
    """Avro's int and long: zigzag, seven bits a byte, the lowest first."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append((rest & 0x7F) | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


_SMALL = [varint(n) for n in range(1 << 14)]
_BITS = 13
_LOW = [bytes((((n << 1) & 0x7F) | 0x80, (n >> 6) | 0x80)) for n in range(1 << _BITS)]
"""The first two bytes of the offsets whose lowest 13 bits are these, where more bytes follow."""
_MOST_NAMES = 10_000


def _length(size: int) -> bytes:
    return _SMALL[size] if size < len(_SMALL) else varint(size)


class Block:
    """The records of the next block, encoded. `bytes` is their size, `raw` that of keys, values and headers alone."""

    def __init__(self, partition: int) -> None:
        self.count = self.bytes = self.raw = 0
        self.first_ms: int | None = None
        self.last_ms: int | None = None
        self._partition = varint(partition)
        self._parts: list[bytes] = []
        self._time: int | None = None
        self._time_bytes = b""
        self._high, self._high_bytes = -1, b""
        self._names: dict[str, bytes] = {}

    def add(self, message: Any) -> None:
        """Add a message of confluent-kafka. Called for each record: what repeats from one to the next is encoded once."""
        at: int = message.timestamp()[1]
        if at != self._time:
            self._time, self._time_bytes = at, self._timed(at)
        append = self._parts.append
        append(self._partition)
        offset = message.offset()
        if offset < 1 << _BITS:
            append(_SMALL[offset])
        else:
            if offset >> _BITS != self._high:
                self._high = offset >> _BITS
                self._high_bytes = _unsigned(self._high)
            append(_LOW[offset & ((1 << _BITS) - 1)])
            append(self._high_bytes)
        append(self._time_bytes)
        size = 0
        content = message.key()
        if content is None:
            append(_NULL)
        else:
            size = len(content)
            append(_BYTES)
            append(_length(size))
            append(content)
        content = message.value()
        if content is None:
            append(_NULL)
        else:
            length = len(content)
            size += length
            append(_BYTES)
            append(_length(length))
            append(content)
        given = message.headers()
        if given:
            size += self._headers(given)
        else:
            append(_NOTHING)
        self.raw += size
        self.bytes += size + 16
        self.count += 1

    def _timed(self, at: int) -> bytes:
        self.first_ms = at if self.first_ms is None or at < self.first_ms else self.first_ms
        self.last_ms = at if self.last_ms is None or at > self.last_ms else self.last_ms
        return varint(at)

    def _headers(self, given: list[tuple[str, bytes | None]]) -> int:
        """The array of a record's headers, in its order; its size."""
        append, size = self._parts.append, 0
        append(_length(len(given)))
        for name, content in given:
            named = self._names.get(name)
            if named is None:
                named = name.encode()
                named = _length(len(named)) + named
                if len(self._names) < _MOST_NAMES:
                    self._names[name] = named
            append(named)
            size += len(named)
            if content is None:
                append(_NULL)
            else:
                append(_BYTES)
                append(_length(len(content)))
                append(content)
                size += len(content)
        append(_NOTHING)
        return size

    def take(self, compress: Callable[[bytes], bytes], sync: bytes) -> bytes:
        """The block as it stands in the file; the next one is empty."""
        data = compress(b"".join(self._parts))
        block = b"".join((varint(self.count), varint(len(data)), data, sync))
        self.count = self.bytes = self.raw = 0
        self._parts = []
        return block


def _unsigned(number: int) -> bytes:
    """Seven bits a byte, the lowest first, without a sign."""
    out = bytearray()
    while number > 0x7F:
        out.append((number & 0x7F) | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def compressor(codec: Codec) -> Callable[[bytes], bytes]:
    """The codec at its fastest level. Raises Failed where its package is missing."""
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
