"""Which records are shown: by key, header or a field of the value. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asgard.core import jsonpath
from asgard.core.errors import WrongUsage
from asgard.heimdall.tail.decode import Decoded
from asgard.kafka.data import Read

if TYPE_CHECKING:
    from jsonpath import JSONPath


@dataclass(frozen=True)
class FieldIs:
    """A field of the value, by its path, has this value."""

    path: JSONPath
    wanted: str

    def holds(self, decoded: Decoded) -> bool:
        """Whether any value at the path is the wanted one, as text or as JSON."""
        return decoded.structured and any(same(found, self.wanted) for found in jsonpath.find(self.path, decoded.value))


@dataclass(frozen=True)
class RecordFilter:
    """All that is given must hold."""

    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    fields: Sequence[FieldIs] = ()

    def wants(self, record: Read) -> bool:
        """Whether key and headers fit, which is known without decoding the value."""
        if self.key is not None and record.key != self.key:
            return False
        return all(pair in [(name, value) for name, value in record.headers] for pair in self.headers)

    def wants_value(self, decoded: Decoded) -> bool:
        """Whether the fields fit."""
        return all(wanted.holds(decoded) for wanted in self.fields)


def same(found: Any, wanted: str) -> bool:
    """Whether a value is what a person wrote: text as it is, anything else as JSON writes it."""
    return found == wanted if isinstance(found, str) else json.dumps(found) == wanted


def parse(key: str | None, headers: Sequence[str], fields: Sequence[str]) -> RecordFilter:
    """The filter of `--key K`, `--header NAME=VALUE` and `--where PATH=VALUE`. Raises WrongUsage."""
    pairs = []
    for text in headers:
        name, separator, value = text.partition("=")
        if not separator:
            raise WrongUsage(f"--header is {text!r}; allowed is NAME=VALUE")
        pairs.append((name, value.encode()))
    wanted = []
    for text in fields:
        path, separator, value = text.rpartition("=")
        if not separator:
            raise WrongUsage(f"--where is {text!r}; allowed is PATH=VALUE, as in '$.customer.id=42'")
        wanted.append(FieldIs(path_of(path, "--where"), value))
    return RecordFilter(key.encode() if key is not None else None, tuple(pairs), tuple(wanted))


def path_of(text: str, option: str) -> JSONPath:
    """A path; `customer.id` is `$.customer.id`. Raises WrongUsage."""
    try:
        return jsonpath.parse(text if text.startswith("$") else f"$.{text}")
    except ValueError as error:
        raise WrongUsage(f"{option} {error}") from error
