"""`asgard thor archive`: topics' records in files that outlive them, in a directory or a bucket."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from asgard.cli.command import Which, command, group
from asgard.cli.moments import parse_ms, parse_since, utc
from asgard.cli.numbers import parse_number
from asgard.cli.thor import app
from asgard.cli.thor.common import ByteRate, LimitsPath, limits_of, rate_of
from asgard.core import console, units
from asgard.core.console import Table
from asgard.core.errors import ExitCode, Refused, WrongUsage

if TYPE_CHECKING:
    from asgard.thor.archive.prune import Drop
    from asgard.thor.archive.shards import Done, Rolling

archive_app = group("Archives: the records of topics in Avro files, in a directory or an S3 bucket.")
app.add_typer(archive_app, name="archive")

Where = Annotated[str, typer.Argument(metavar="ARCHIVE", help="A directory, or s3://bucket/prefix.")]
OfTopics = Annotated[list[str] | None, typer.Argument(metavar="[TOPIC]…", help="Topics or patterns; default: all.")]
EndpointUrl = Annotated[
    str | None,
    typer.Option("--endpoint-url", metavar="URL", help="Endpoint of another S3-compatible service."),
]


@command(
    archive_app,
    example="asgard thor archive run orders 'rides.*' --to /backup/kafka\n"
    "asgard thor archive run orders --to s3://backup/kafka --follow",
)
def run(
    topics: Annotated[list[str], typer.Argument(metavar="TOPIC…", help="Topics, or patterns as in 'rides.*'.")],
    to: Annotated[str, typer.Option("--to", metavar="ARCHIVE", help="A directory, or s3://bucket/prefix.")],
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Only records since then, as in 2h or 2026-11-24.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only records before then.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Run until stopped; several processes share the partitions.")
    ] = False,
    codec: Annotated[str, typer.Option("--codec", metavar="NAME", help="zstandard or deflate.")] = "zstandard",
    roll_size: Annotated[
        str, typer.Option("--roll-size", metavar="SIZE", help="Close a file at this size.")
    ] = "128MiB",
    roll_age: Annotated[
        str, typer.Option("--roll-age", metavar="TIME", help="With --follow: close a file at this age.")
    ] = "10m",
    rate: ByteRate = None,
    endpoint_url: EndpointUrl = None,
    limits: LimitsPath = None,
    which: Which = Which(),
) -> None:
    """Archive topics: a window, everything since the last run, or continuously with --follow.

    Records count as archived once a manifest lists them. If a run is killed, start it again: nothing is lost or archived twice.
    """
    from asgard.compose import archive
    from asgard.thor.archive.model import CODECS

    if follow and (from_ or until):
        raise WrongUsage("--follow has no window", "Give either --follow or --from and --until.")
    chosen = next((c for c in CODECS if c == codec), None)
    if chosen is None:
        raise WrongUsage(f"--codec is {codec!r}; allowed are {' and '.join(CODECS)}")
    now = time.time()
    order = archive.ArchiveOrder(
        tuple(topics),
        to,
        endpoint_url,
        parse_ms(from_, now, "--from"),
        parse_ms(until, now, "--until"),
        chosen,
        _rolling(roll_size, roll_age),
        rate_of(rate, None, limits_of(limits).rate_bytes_per_s),
    )
    began = time.monotonic()
    done = archive.archive(which.pick(), order, follow=follow)
    console.emit(done, text=_told(done, to, time.monotonic() - began))


def _rolling(size: str, age: str) -> Rolling:
    from asgard.thor.archive.shards import Rolling

    allowed = "a value above 0"
    return Rolling(
        int(parse_number("--roll-size", size, units.parse_size, allowed)),
        parse_number("--roll-age", age, units.parse_duration, allowed),
    )


def _told(done: Done, to: str, seconds: float) -> str:
    gaps = ", ".join(f"{count} ({reason})" for reason, count in sorted(done.gaps.items()))
    if not done.records:
        return f"nothing new for {to}" + (f"; offsets without a record: {gaps}" if gaps else "")
    rate = units.format_size(done.raw_bytes / max(seconds, 0.001))
    text = f"{done.records:,} records in {done.files} files, {units.format_size(done.bytes)} of {units.format_size(done.raw_bytes)}, {rate}/s"
    return text + (f"\noffsets without a record: {gaps}" if gaps else "")


@command(archive_app, name="list", example="asgard thor archive list /backup/kafka")
def list_(archive: Where, topics: OfTopics = None, endpoint_url: EndpointUrl = None) -> int:
    """List what an archive holds: topics, records, the time they span, and offsets without a record. Exits with 1 if manifests are damaged."""
    from asgard.thor.archive import read
    from asgard.thor.archive.location import open_storage

    heads, damaged = read.heads(open_storage(archive, endpoint_url), read.TopicWindow(tuple(topics or ())))
    found = read.topics(heads)
    columns = ["topic", "id", "partitions", "files", "records", "size", "first", "last", "without a record"]
    rows = [
        [
            t.topic,
            t.topic_id,
            t.partitions,
            t.files,
            f"{t.records:,}",
            units.format_size(t.bytes),
            utc(t.first_ms / 1000) if t.first_ms is not None else None,
            utc(t.last_ms / 1000) if t.last_ms is not None else None,
            ", ".join(f"{n:,} ({reason})" for reason, n in sorted(t.gaps.items())) or None,
        ]
        for t in found
    ]
    for error in damaged:
        console.warn(error.what)
    right = frozenset({"partitions", "files", "records", "size"})
    console.emit(
        {"archive": archive, "topics": found, "damaged": [e.what for e in damaged]}, Table(columns, rows, right=right)
    )
    return int(ExitCode.FAILED if damaged else ExitCode.OK)


@command(archive_app, example="asgard thor archive verify s3://backup/kafka orders")
def verify(archive: Where, topics: OfTopics = None, endpoint_url: EndpointUrl = None) -> int:
    """Check every byte of an archive: manifests against their checksums, files against their manifests, records against both.

    Exits with 1 if a file or a manifest is damaged or missing; it lists each one.
    """
    from asgard.thor.archive import verify as verifying
    from asgard.thor.archive.location import open_storage

    verdict = verifying.verify(open_storage(archive, endpoint_url), topics or ())
    rows = [[name, why] for name, why in verdict.damaged]
    looked = f"{verdict.files} files ({verdict.records:,} records, {units.format_size(verdict.bytes)}) and {verdict.manifests} manifests"
    text = f"{looked}: {f'{len(rows)} damaged or missing' if rows else 'all intact'}"
    if verdict.strays:
        text += f"\n{len(verdict.strays)} files are in no manifest: a process is at work, or was killed; the next run removes them"
    console.emit(verdict, *([Table(["damaged or missing", "what is wrong"], rows)] if rows else []), text=text)
    return int(ExitCode.FAILED if rows else ExitCode.OK)


@command(
    archive_app,
    example="asgard thor archive prune /backup/kafka --older-than 90d\n"
    "asgard thor archive prune /backup/kafka --older-than 90d --confirm kafka",
)
def prune(
    archive: Where,
    older_than: Annotated[
        str,
        typer.Option("--older-than", metavar="TIME", help="Files whose newest record is older than this age or date."),
    ],
    topics: OfTopics = None,
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="NAME", help="Delete them. The archive's name is the last part of its path."),
    ] = None,
    endpoint_url: EndpointUrl = None,
) -> None:
    """Delete old files of an archive. Without --confirm NAME it only lists them."""
    from asgard.thor.archive import prune as pruning
    from asgard.thor.archive.location import open_storage

    storage = open_storage(archive, endpoint_url)
    before = parse_since(older_than, time.time(), "--older-than")
    chosen = pruning.choose(storage, round(before * 1000), topics or ())
    name = storage.url.rstrip("/").rpartition("/")[2]
    if confirm is not None and confirm != name:
        raise Refused(f"--confirm {confirm} does not name this archive", f"Its name is {name}. Nothing was deleted.")
    if confirm is not None:
        for drop in chosen:
            pruning.drop(storage, drop)
    _show_drops(archive, chosen, done=confirm is not None, name=name)


def _show_drops(archive: str, chosen: list[Drop], *, done: bool, name: str) -> None:
    rows = [
        [
            str(d.shard),
            len(d.files),
            f"{sum(f.records for f in d.files):,}",
            units.format_size(sum(f.bytes for f in d.files)),
            d.files[-1].end,
        ]
        for d in chosen
    ]
    files, size = sum(len(d.files) for d in chosen), sum(f.bytes for d in chosen for f in d.files)
    text = f"{files} files, {units.format_size(size)}: " + (
        "deleted" if done else f"nothing was deleted; add --confirm {name}"
    )
    if not chosen:
        text = "nothing is that old"
    columns = ["partition", "files", "records", "size", "begins then at offset"]
    document = {
        "archive": archive,
        "deleted": done,
        "partitions": [{"partition": str(d.shard), "files": [f.name for f in d.files]} for d in chosen],
    }
    console.emit(document, *([Table(columns, rows, right=frozenset(columns[1:]))] if rows else []), text=text)
