"""Kafka messages whose bytes Asgard reads and writes itself: answers about hundreds of thousands of partitions.

kafka-python turns each partition of an answer into an object, which takes seconds for what a broker sends in
milliseconds. A `RawRequest` uses the same connections, deadlines and logins (`wire`), and decodes into arrays. All
versions used are flexible ones (KIP-482) that every Kafka since 3.9 supports.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

_I16, _I32, _I64 = struct.Struct(">h"), struct.Struct(">i"), struct.Struct(">q")


class Reader:
    """Reads one message from the start. The names are those of Kafka's protocol guide; lengths are compact ones."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes | memoryview, at: int = 0) -> None:
        self.data = data
        self.at = at

    def i8(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def i16(self) -> int:
        self.at += 2
        return int(_I16.unpack_from(self.data, self.at - 2)[0])

    def i32(self) -> int:
        self.at += 4
        return int(_I32.unpack_from(self.data, self.at - 4)[0])

    def i64(self) -> int:
        self.at += 8
        return int(_I64.unpack_from(self.data, self.at - 8)[0])

    def uvarint(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def count(self) -> int:
        """The number of elements of an array; null counts as 0."""
        return max(self.uvarint() - 1, 0)

    def raw(self) -> bytes:
        """A string or bytes; null is empty."""
        size = self.count()
        self.at += size
        return bytes(self.data[self.at - size : self.at])

    def text(self) -> str:
        return self.raw().decode()

    def skip(self, size: int) -> None:
        self.at += size

    def tags(self) -> None:
        """Skip tagged fields."""
        for _ in range(self.uvarint()):
            self.uvarint()
            size = self.uvarint()
            self.at += size


def uvarint(value: int) -> bytes:
    """An unsigned number as the flexible versions write lengths."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def text(value: str) -> bytes:
    """A compact string."""
    data = value.encode()
    return uvarint(len(data) + 1) + data


def array(count: int) -> bytes:
    """The head of a compact array."""
    return uvarint(count + 1)


class _Header:
    """What kafka-python's connection reads from the header of a request in flight."""

    def __init__(self, correlation_id: int, decode: Callable[[Reader], Any], api_key: int, version: int) -> None:
        self.correlation_id = correlation_id
        self.api_key = self.request_api_key = api_key
        self.api_version = self.request_api_version = version
        self._decode = decode

    def get_response_class(self) -> _Header:
        return self

    def parse_header(self, data: Any) -> _Header:
        reader = Reader(data.read())
        answered = _Header(reader.i32(), self._decode, self.api_key, self.api_version)
        reader.tags()
        data.seek(reader.at)
        return answered

    def decode(self, data: Any) -> Any:
        try:
            return self._decode(Reader(data.read()))
        except (IndexError, UnicodeDecodeError) as error:
            raise ValueError(f"the answer is cut short: {error}") from error


class RawRequest:
    """A request with its body in bytes, or a function that builds them, and the reader of the answer. The connection
    treats it as one of kafka-python's."""

    def __init__(
        self, api_key: int, version: int, body: bytes | Callable[[], bytes], decode: Callable[[Reader], Any]
    ) -> None:
        self.API_KEY = api_key
        self.API_VERSION = version
        self.header: _Header | None = None
        self._body = body
        self._decode = decode
        self._head = b""

    def expect_response(self) -> bool:
        return True

    def with_header(self, correlation_id: int = 0, client_id: str = "") -> None:
        name = client_id.encode()
        self.header = _Header(correlation_id, self._decode, self.API_KEY, self.API_VERSION)
        head = struct.pack(">hhih", self.API_KEY, self.API_VERSION, correlation_id, len(name))
        self._head = head + name + b"\x00"

    def encode(self, *, framed: bool = False, header: bool = False) -> bytes:
        body = self._body if isinstance(self._body, bytes) else self._body()
        return _I32.pack(len(self._head) + len(body)) + self._head + body
