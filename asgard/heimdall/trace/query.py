"""What is looked for: a key, the id of a stamped event, a trace, a header, or a field of the value. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from asgard.core.errors import WrongUsage
from asgard.heimdall.stamp import TRACEPARENT
from asgard.heimdall.tail.decode import Decoder
from asgard.heimdall.tail.filters import FieldIs, path_of
from asgard.kafka import stamp
from asgard.kafka.data import Read

Kind = Literal["key", "event", "trace", "header", "field"]
_EVENT = re.compile(r"([0-9a-f]{32}):([0-9]+):([0-9]+)\Z")
_TRACE = re.compile(r"(?:00-)?([0-9a-f]{32})(?:-[0-9a-f]{16}-[0-9a-f]{2})?\Z")
_IDS_AT, _IDS_UNTIL = 1, 29  # run, producer and sequence within a stamp


@dataclass(frozen=True)
class Query:
    """`text` as it was written; `name` is that of the header, or the path of the field."""

    kind: Kind
    text: str
    name: str = ""

    @property
    def key(self) -> bytes | None:
        """The key, if it is known: its partition is then computed, and only that one read."""
        return self.text.encode() if self.kind == "key" else None

    def matcher(self, decoder: Decoder) -> Callable[[Read], bool]:
        """Whether a record is one that is looked for."""
        wanted = self.text.encode()
        match self.kind:
            case "key":
                return lambda record: record.key == wanted
            case "header":
                return lambda record: (self.name, wanted) in [(n, v) for n, v in record.headers]
            case "trace":
                trace = _found(_TRACE, self.text)[1].encode()
                return lambda record: any(n == TRACEPARENT and v and v[3:35] == trace for n, v in record.headers)
            case "event":
                run, producer, sequence = _found(_EVENT, self.text).groups()
                ids = bytes.fromhex(run) + int(producer).to_bytes(4, "big") + int(sequence).to_bytes(8, "big")
                return lambda record: any(
                    n == stamp.HEADER and v and v[_IDS_AT:_IDS_UNTIL] == ids for n, v in record.headers
                )
            case _:
                field = FieldIs(path_of(self.name, "--by field"), self.text)
                return lambda record: record.value is not None and field.holds(decoder(record.value))


def parse(text: str, by: str | None) -> Query:
    """What `TEXT` and `--by` mean; without `--by` a stamp's id and a trace id are recognised by their form. Raises WrongUsage."""
    if by is None:
        kind: Kind = "event" if _EVENT.match(text) else "trace" if _TRACE.match(text) else "key"
        return Query(kind, text)
    kind_text, _, name = by.partition(":")
    if kind_text in ("header", "field") and name:
        return Query("header" if kind_text == "header" else "field", text, name)
    match by:
        case "key":
            return Query("key", text)
        case "event":
            _found(_EVENT, text)
            return Query("event", text)
        case "trace":
            _found(_TRACE, text)
            return Query("trace", text)
    raise WrongUsage(f"--by is {by!r}; allowed are key, event, trace, header:NAME and field:PATH")


def _found(form: re.Pattern[str], text: str) -> re.Match[str]:
    match = form.match(text)
    if match is None:
        raise WrongUsage(
            f"{text!r} is not an id of this kind",
            "An event is RUN:PRODUCER:SEQUENCE (run: 32 hex digits); a trace is 32 hex digits, or a whole traceparent.",
        )
    return match
