"""One record as it is shown: filtered by its real content, then masked, as a JSON line and as a line for people."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from asgard.core.text import legible
from asgard.heimdall.tail.decode import Decoder
from asgard.heimdall.tail.filters import RecordFilter
from asgard.heimdall.tail.masks import Masks
from asgard.kafka import lines
from asgard.kafka.data import Read


@dataclass(frozen=True)
class ShownRecord:
    """A record for programs and for people."""

    document: dict[str, Any]
    text: str


@dataclass(frozen=True)
class Shown:
    """What is done to each record before it is shown."""

    decoder: Decoder = field(default_factory=Decoder)
    wanted: RecordFilter = field(default_factory=RecordFilter)
    masks: Masks = field(default_factory=Masks)

    def __call__(self, record: Read) -> ShownRecord | None:
        """The line of a record; None if it is filtered out."""
        if not self.wanted.wants(record):
            return None
        decoded = self.decoder(record.value)
        if not self.wanted.wants_value(decoded):
            return None
        headers = tuple((name, self.masks.header(name, value) or b"") for name, value in record.headers)
        masked = record._replace(key=self.masks.of_key(record.key), headers=headers)
        seen = self.masks.value(decoded)
        document = lines.line(masked, seen.encoding, seen.value, seen.problem)
        value = document["value"]
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        where = f"{record.topic}-{record.partition}@{record.offset}"
        key = document["key"] if isinstance(document["key"], str) else json.dumps(document["key"])
        return ShownRecord(document, legible(f"{document['timestamp']}  {where}  {key}  {text}"))
