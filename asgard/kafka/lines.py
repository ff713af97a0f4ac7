"""A record as one JSON line, and back. Form `asgard.records/v1` (docs/heimdall-trace.md):

    {"topic": "orders", "partition": 3, "offset": 1042, "timestamp": "2026-11-24T09:00:00.123Z", "key": "42",
     "headers": [["source", "web"]], "encoding": "json", "value": {"id": 42}}

Keys and headers are text, or {"hex": "…"} if they are not UTF-8. `encoding` says how to read `value`: json, msgpack and
avro as the document they hold, text as it is, hex as digits, null as no value. Lines of other tools with only `key` and
`value` can be read too: a text value is taken as it is, anything else is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from asgard.core.errors import InvalidFile, Problem
from asgard.kafka.data import Read, Record

_MS = " ms"


def line(record: Read, encoding: str, value: Any, problem: str = "") -> dict[str, Any]:
    """The document of a record: its place, key and headers, with `encoding` and `value` as its value was decoded."""
    found = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": moment(record.timestamp_ms),
        "key": _text(record.key),
        "headers": [[name, _text(value)] for name, value in record.headers],
        "encoding": encoding,
        "value": value,
    }
    return found | ({"problem": problem} if problem else {})


def moment(timestamp_ms: int) -> str:
    """`2026-11-24T09:00:00.123Z`, or `1790000000000000 ms` if the year has more than four digits (a producer wrote microseconds)."""
    try:
        at = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{timestamp_ms}{_MS}"
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(value: bytes | None) -> Any:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"hex": value.hex()}


def parse(lines: Iterable[str], file: str, *, topic: str | None = None) -> Iterator[Record]:
    """The records of such lines; `topic` replaces theirs. Empty lines are skipped.

    Raises InvalidFile at the first invalid line. Kafka assigns offsets and partitions, so they are not read.
    """
    for number, text in enumerate(lines, 1):
        if text.strip():
            try:
                yield _record(json.loads(text), topic)
            except (ValueError, TypeError, KeyError) as error:
                raise InvalidFile([Problem(file, number, 1, "", f"is not a record: {error}")]) from error


def _record(found: Any, topic: str | None) -> Record:
    if not isinstance(found, dict):
        raise ValueError("allowed is a JSON object with key and value")
    where = topic or found.get("topic")
    if not isinstance(where, str):
        raise ValueError("it names no topic")
    headers = tuple((str(name), _bytes(value) or b"") for name, value in found.get("headers") or ())
    return Record(where, _value(found), _bytes(found.get("key")), headers, _at_ms(found.get("timestamp")))


def _at_ms(value: Any) -> int:
    if not isinstance(value, str):
        return int(value or 0)
    if value.endswith(_MS):
        return int(value.removesuffix(_MS))
    return round(datetime.fromisoformat(value).timestamp() * 1000)


def _bytes(value: Any) -> bytes | None:
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    return None if value is None else str(value).encode()


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a half of a surrogate pair, which only an escape can hold
        return json.dumps(value).encode()


def _value(found: dict[str, Any]) -> bytes | None:
    value = found.get("value")
    match found.get("encoding", "text" if isinstance(value, str) else "json"):
        case "null":
            return None
        case "text":
            return str(value).encode()
        case "hex":
            return bytes.fromhex(str(value))
        case "json":
            return None if "encoding" not in found and value is None else _json(value)
        case "msgpack":
            import msgpack

            packed: bytes = msgpack.packb(value)
            return packed
        case other:
            raise ValueError(f"its encoding is {other!r}; to copy such records write them with --format hex")
