"""What a record's value says: JSON, Avro, MessagePack, text, or its bytes in hex. One format for all, or each as it looks.

Avro is read with a schema file, or with the schema whose id a value begins with (Confluent's wire format: a zero byte,
four bytes of id, the datum).
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from asgard.core.errors import AsgardError, WrongUsage

Format = Literal["auto", "json", "avro", "msgpack", "text", "hex"]
Encoding = Literal["null", "json", "avro", "msgpack", "text", "hex"]
_WIRE_BYTES = 5


@dataclass(frozen=True)
class Decoded:
    """A value and how it was encoded. `problem`: why it is shown in hex although another format was requested."""

    encoding: Encoding
    value: Any
    problem: str = ""

    @property
    def structured(self) -> bool:
        """Whether it has fields."""
        return self.encoding in ("json", "avro", "msgpack")


SchemaOf = Callable[[int], Any]
"""The parsed Avro schema of an id."""


@dataclass(frozen=True)
class Decoder:
    """Decodes values. `schema` is a parsed Avro schema; `schema_of` looks one up by its id."""

    format: Format = "auto"
    schema: Any = None
    schema_of: SchemaOf | None = None

    def __call__(self, value: bytes | None) -> Decoded:
        """The value of a record. Never raises for any content: what can't be read otherwise is shown in hex."""
        if value is None:
            return Decoded("null", None)
        if self.format == "auto":
            return self._guess(value)
        try:
            return self._as(self.format, value)
        except AsgardError:
            raise
        except Exception as error:
            return Decoded("hex", value.hex(), f"not {self.format}: {error}")

    def _as(self, wanted: Format, value: bytes) -> Decoded:
        match wanted:
            case "json":
                return Decoded("json", json.loads(value))
            case "msgpack":
                return Decoded("msgpack", _plain(_unpacked(value)))
            case "avro":
                return Decoded("avro", _plain(self._avro(value)))
            case "text":
                return Decoded("text", value.decode())
            case _:
                return Decoded("hex", value.hex())

    def _guess(self, value: bytes) -> Decoded:
        tries: list[Format] = []
        if self.schema is not None or (self.schema_of is not None and value[:1] == b"\0" and len(value) >= _WIRE_BYTES):
            tries.append("avro")
        if value[:1].strip() in (b"{", b"[", b'"') or value[:1] in b"-0123456789tfn \n":
            tries.append("json")
        if value[:1] and (0x80 <= value[0] <= 0x9F or 0xDC <= value[0] <= 0xDF):
            tries.append("msgpack")
        tries.append("text")
        for wanted in tries:
            try:
                found = self._as(wanted, value)
            except AsgardError:
                raise
            except Exception:
                continue
            if wanted != "text" or all(c.isprintable() or c in "\n\r\t" for c in found.value):
                return found
        return Decoded("hex", value.hex())

    def _avro(self, value: bytes) -> Any:
        if self.schema is not None:
            try:
                return _datum(value, self.schema)
            except Exception:
                if value[:1] != b"\0" or len(value) < _WIRE_BYTES:
                    raise
                return _datum(value[_WIRE_BYTES:], self.schema)
        if self.schema_of is None:
            raise WrongUsage("Avro needs a schema", "Name a schema file with --schema, or a registry with --registry.")
        if value[:1] != b"\0" or len(value) < _WIRE_BYTES:
            raise ValueError("it does not begin with the id of a schema")
        return _datum(value[_WIRE_BYTES:], self.schema_of(int.from_bytes(value[1:_WIRE_BYTES], "big")))


def read_schema(path: Path) -> Any:
    """The Avro schema of a file (.avsc). Raises WrongUsage."""
    try:
        return parse_schema(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"{path}: can't be read: {getattr(error, 'strerror', None) or error}") from error
    except ValueError as error:
        raise WrongUsage(f"{path}: is no Avro schema: {error}") from error


def parse_schema(text: str) -> Any:
    """An Avro schema from its JSON. Raises ValueError."""
    import fastavro

    try:
        return fastavro.parse_schema(json.loads(text))
    except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType) as error:
        raise ValueError(str(error)) from error


def _datum(value: bytes, schema: Any) -> Any:
    import fastavro

    stream = io.BytesIO(value)
    found = fastavro.schemaless_reader(stream, schema, None)
    if left := len(value) - stream.tell():
        raise ValueError(f"{left} bytes are left after the datum")
    return found


def _unpacked(value: bytes) -> Any:
    import msgpack

    return msgpack.unpackb(value, timestamp=3, strict_map_key=False)


def _plain(value: Any) -> Any:
    """As JSON has it: moments in ISO form, decimals as text, bytes in Base64."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal | UUID):
        return str(value)
    return value
