"""Which records are copied: by key, by header, by a field of a JSON value. A record must match all filters given.

Patterns are shell patterns (`order-1*`), matched against the text of the key, header or field; one of several keys is enough.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from asgard.core import jsonpath
from asgard.core.errors import WrongUsage
from asgard.kafka.data import Headers, Read


@dataclass(frozen=True)
class Filter:
    """What a record must match, as the user writes it: `order-*`, `type=created`, `$.country=DE`.

    Its text, with the class's name, is part of a request's identity in the journal (`plan.request_of`).
    """

    keys: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.keys or self.headers or self.fields)


Matches = Callable[[Read], bool]


def matcher(wanted: Filter) -> Matches | None:
    """A function that says whether a record matches; None if all do. Raises WrongUsage for an invalid filter."""
    tests = [_of_header(text) for text in wanted.headers] + [_of_field(text) for text in wanted.fields]
    if wanted.keys:
        tests.insert(0, _of_keys(wanted.keys))
    if not tests:
        return None
    return tests[0] if len(tests) == 1 else lambda record: all(test(record) for test in tests)


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "replace")


def _of_keys(patterns: Sequence[str]) -> Matches:
    def test(record: Read) -> bool:
        key = _text(record.key)
        return key is not None and any(fnmatchcase(key, pattern) for pattern in patterns)

    return test


def _of_header(text: str) -> Matches:
    name, equals, pattern = text.partition("=")
    if not name:
        raise WrongUsage(f"--header is {text!r}; allowed is a header's name, or NAME=PATTERN, as in type=created*")

    def test(record: Read) -> bool:
        values = [value for found, value in record.headers if found == name]
        return any(fnmatchcase(_text(v) or "", pattern) for v in values) if equals else bool(values)

    return test


def _of_field(text: str) -> Matches:
    path, equals, pattern = text.partition("=")
    if not equals:
        raise WrongUsage(f"--field is {text!r}; allowed is PATH=PATTERN, as in '$.customer.country=DE'")
    try:
        wanted = jsonpath.parse(path.strip())
    except ValueError as error:
        raise WrongUsage(f"--field {error}") from error

    def test(record: Read) -> bool:
        if not record.value:
            return False
        try:
            document = json.loads(record.value)
        except ValueError:
            return False
        return any(fnmatchcase(_shown(value), pattern) for value in jsonpath.find(wanted, document))

    return test


def _shown(value: Any) -> str:
    """A string as it is; numbers, true, false and null as in JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def last(headers: Headers, name: str) -> bytes | None:
    """The value of a header; the last one counts, as in Kafka's own clients."""
    return next((value for found, value in reversed(headers) if found == name), None)
