"""`asgard heimdall tail`, `peek` and `trace`: records for people, and the path of one event."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asgard.cli.command import Which, command
from asgard.cli.heimdall import app
from asgard.cli.moments import parse_ms
from asgard.core import console
from asgard.core.console import Table
from asgard.core.errors import ExitCode, WrongUsage

if TYPE_CHECKING:
    from asgard.heimdall.tail.decode import Decoder
    from asgard.heimdall.tail.show import Shown
    from asgard.heimdall.trace.find import FoundRecords
    from asgard.heimdall.trace.way import Way
    from asgard.kafka.target import Target

Format = Annotated[str, typer.Option("--format", metavar="FORMAT", help="auto, json, avro, msgpack, text or hex.")]
SchemaFile = Annotated[
    Path | None, typer.Option("--schema", metavar="FILE", help="An Avro schema (.avsc) that the values have.")
]
Registry = Annotated[
    str | None,
    typer.Option("--registry", metavar="URL", help="A schema registry, for values in Confluent's wire format."),
]
MasksPath = Annotated[
    Path | None, typer.Option("--masks", metavar="FILE", help="Hash or redact personal data before it is shown.")
]
Key = Annotated[str | None, typer.Option("--key", metavar="KEY", help="Only records with this key.")]
Header = Annotated[
    list[str] | None, typer.Option("--header", metavar="NAME=VALUE", help="Only records with this header.")
]
Where = Annotated[
    list[str] | None, typer.Option("--where", metavar="PATH=VALUE", help="Only values with this field: customer.id=42.")
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Stop after this many records.")]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="WHEN", help="Only records since then: an age (2h, 7d), or a date or time (UTC)."),
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="WHEN", help="Only records before then; same formats as --from.")
]


@dataclass(frozen=True)
class Reading:
    """The options that `tail` and `peek` share: which records, and how to show them."""

    key: Key = None
    header: Header = None
    where: Where = None
    limit: Limit = None
    format_: Format = "auto"
    schema: SchemaFile = None
    registry: Registry = None
    masks: MasksPath = None

    def shown(self, chosen: Target) -> Shown:
        """Formats records as lines; None for those filtered out."""
        from asgard.heimdall.tail import filters
        from asgard.heimdall.tail import masks as masking
        from asgard.heimdall.tail.show import Shown

        wanted = filters.parse(self.key, self.header or [], self.where or [])
        masks = masking.read(self.masks) if self.masks else masking.Masks()
        return Shown(self._decoder(chosen), wanted, masks)

    def _decoder(self, chosen: Target) -> Decoder:
        from typing import get_args

        from asgard.heimdall.tail import decode, registry

        if self.format_ not in get_args(decode.Format):
            raise WrongUsage(f"--format is {self.format_!r}; allowed are {', '.join(get_args(decode.Format))}")
        url = self.registry or chosen.connection.properties.get(registry.URL)
        schema_of = registry.schemas(url, chosen.connection.properties) if url else None
        return decode.Decoder(self.format_, decode.read_schema(self.schema) if self.schema else None, schema_of)  # type: ignore[arg-type]


@command(app, example="asgard heimdall tail orders --where status=refused --masks masks.yaml --json")
def tail(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic to follow.")],
    last: Annotated[
        int, typer.Option("--last", min=0, metavar="N", help="Start with this many existing records.")
    ] = 10,
    *,
    reading: Reading,
    which: Which = Which(),
) -> None:
    """Show the newest records of a topic and then each new one, until Ctrl-C. With --json: JSON lines that can be read back."""
    from asgard.heimdall.tail import read

    chosen = which.pick()
    show = reading.shown(chosen)
    with closing(chosen.connect()) as control:
        offsets = read.spans(control, [topic], read.Stretch(last=last))
    before = read.newest(chosen.connection, offsets, last) if last else []
    left = _emit(show, before, reading.limit)
    if left != 0:
        for record in read.follow(chosen.connection, {place: span.end for place, span in offsets.items()}):
            if (left := _emit(show, [record], left)) == 0:
                break


@command(
    app,
    example="asgard heimdall peek orders --last 20\nasgard heimdall peek orders --from 2h --until 1h --key 42 --json > records.jsonl",
)
def peek(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic to look into.")],
    last: Annotated[
        int | None, typer.Option("--last", min=1, metavar="N", help="The newest; 10 by default, all with --from.")
    ] = None,
    from_: From = None,
    until: Until = None,
    *,
    reading: Reading,
    which: Which = Which(),
) -> None:
    """Show records that are in a topic and stop. With --json: JSON lines that can be read back.

    --last counts before the filters: it shows the records that match among the newest N.
    """
    from asgard.heimdall.tail import read

    chosen = which.pick()
    show, limit = reading.shown(chosen), reading.limit
    count = last if last is not None or from_ else 10
    with closing(chosen.connect()) as control:
        offsets = read.spans(control, [topic], _stretch(from_, until, count))
    if count is not None:
        _emit(show, read.newest(chosen.connection, offsets, count), limit)
        return
    for batch in read.stretch(chosen.connection, offsets):
        if (limit := _emit(show, batch, limit)) == 0:
            break


@command(
    app,
    example="asgard heimdall trace customer-42 orders.raw orders.created --from 2h\n"
    "asgard heimdall trace 00112233445566778899aabbccddeeff:7:258 orders.raw orders.created --otlp http://localhost:4318/v1/traces",
)
def trace(
    wanted: Annotated[
        str, typer.Argument(metavar="KEY|EVENT-ID", help="A key, a stamp's RUN:PRODUCER:SEQUENCE, or a trace id.")
    ],
    topics: Annotated[list[str], typer.Argument(metavar="TOPIC…", help="The topics to look in.")],
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="WHAT",
            help="key, event, trace, header:NAME or field:PATH; default: guessed from the value.",
        ),
    ] = None,
    from_: From = "24h",
    until: Until = None,
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="Read every partition, even those the key does not hash to.")
    ] = False,
    otlp: Annotated[
        str | None, typer.Option("--otlp", metavar="URL", help="Send each hop as a span to this OTLP/HTTP endpoint.")
    ] = None,
    which: Which = Which(),
) -> int:
    """Find one event in several topics, and show its path with the time of each hop. Exits with 1 if nothing was found."""
    from asgard.heimdall.trace import find, query
    from asgard.heimdall.trace import otlp as spans
    from asgard.heimdall.trace.way import ways

    asked = query.parse(wanted, by)
    chosen = which.pick()
    with closing(chosen.connect()) as control:
        stretch = _stretch(from_, until, None)
        found = find.find(control, chosen.connection, topics, asked, stretch, everywhere=everywhere)
        cluster = control.cluster().cluster_id
    seen = ways(found.records)
    _show_ways(seen, found)
    if otlp and seen:
        console.say(f"{spans.send(seen, otlp, cluster)} spans were sent to {otlp}")
    return int(ExitCode.OK if seen else ExitCode.FAILED)


def _stretch(from_: str | None, until: str | None, last: int | None) -> Any:
    import time

    from asgard.heimdall.tail.read import Stretch

    now = time.time()
    return Stretch(parse_ms(from_, now, "--from"), parse_ms(until, now, "--until"), last)


def _emit(show: Shown, records: Any, limit: int | None) -> int | None:
    """Show those that match. Returns how many more may be shown (None: any number)."""
    for record in records:
        if limit == 0:
            break
        if (line := show(record)) is not None:
            console.emit_line(line.document, line.text)
            limit = None if limit is None else limit - 1
    return limit


def _show_ways(seen: list[Way], found: FoundRecords) -> None:
    document = {
        "events": [
            {
                "event": way.event,
                "trace": way.trace,
                "due": _moment(way.due_ms) if way.due_ms is not None else None,
                "total_ms": way.total_ms,
                "hops": [_hop(hop) for hop in way.hops],
            }
            for way in seen
        ],
        "records_read": found.read,
        "partitions_read": found.partitions,
        "partitions": found.of_partitions,
        "cut": found.cut,
    }
    tables = []
    for way in seen:
        title = way.event or (f"trace {way.trace}" if way.trace else "a record without stamp or trace")
        rows = [
            (f"{hop.topic}-{hop.partition}", hop.offset, _moment(hop.at_ms), _ms(hop.after_ms), _word(hop.intact))
            for hop in way.hops
        ]
        due = [("due", None, _moment(way.due_ms), None, None)] if way.due_ms is not None else []
        columns = ("hop", "offset", "time (UTC)", "after", "value")
        tables.append(Table(columns, [*due, *rows], title=title, right=frozenset({"offset", "after"})))
    looked = f"{found.read:,} records read in {found.partitions} of {found.of_partitions} partitions"
    cut = "; there are more, which are not shown: narrow it with --from and --until" if found.cut else ""
    nothing = "" if seen else "nothing was found; "
    console.emit(document, *tables, text=f"{nothing}{looked}{cut}")


def _hop(hop: Any) -> dict[str, Any]:
    plain = {name: getattr(hop, name) for name in ("topic", "partition", "offset", "after_ms", "intact")}
    key = hop.key.decode(errors="replace") if hop.key is not None else None
    return plain | {"at": _moment(hop.at_ms), "key": key}


def _moment(at_ms: float) -> str:
    from asgard.kafka.lines import moment

    return moment(round(at_ms))


def _ms(value: float | None) -> str | None:
    return None if value is None else f"{value:+,.0f} ms"


def _word(intact: bool | None) -> str | None:
    return None if intact is None else "intact" if intact else "changed"
