"""`asgard thor replay` and `replays`: copy a window of records to where it is missing, each exactly once."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from asgard.cli.command import Confirm, Which, Yes, command
from asgard.cli.moments import parse_since, utc
from asgard.cli.thor import app
from asgard.cli.thor.common import CALL_DEADLINE_S, ByteRate, DryRun, LimitsPath, limits_of, rate_of
from asgard.core import console, units
from asgard.core.console import Table
from asgard.core.errors import ExitCode, WrongUsage

if TYPE_CHECKING:
    from asgard.kafka.target import Target
    from asgard.thor.replay.filters import Filter
    from asgard.thor.replay.model import Copied, TopicPartition
    from asgard.thor.replay.pace import Rate
    from asgard.thor.replay.replay import PreparedReplay

Keys = Annotated[
    list[str] | None, typer.Option("--key", metavar="PATTERN", help="Only records whose key matches, as in 'order-1*'.")
]
HeaderFilters = Annotated[
    list[str] | None, typer.Option("--header", metavar="NAME[=PATTERN]", help="Only records with this header.")
]
Fields = Annotated[
    list[str] | None,
    typer.Option("--field", metavar="PATH=PATTERN", help="Only JSON values with this field, as in '$.country=DE'."),
]
RecordRate = Annotated[
    str | None, typer.Option("--records", metavar="RATE", help="Maximum records a second, as in 2000/s.")
]


@command(
    app,
    example="asgard thor replay orders --to orders.replayed --from 2h --until 1h --dry-run\nasgard thor replay 'orders.*' --to-context dr --from 2026-11-24T09:00 --rate 20MB/s --yes\nasgard thor replay orders --from-archive s3://backup/kafka --create --groups --yes",
)
def replay(
    topics: Annotated[
        list[str] | None, typer.Argument(metavar="TOPIC...", help="Topics to copy; * and ? are wild.")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="TOPIC", help="The target topic; {topic} is the source's name, the default."),
    ] = None,
    to_context: Annotated[
        str | None, typer.Option("--to-context", metavar="NAME", help="Context of another cluster to copy to.")
    ] = None,
    to_bootstrap_server: Annotated[
        str | None,
        typer.Option(
            "--to-bootstrap-server", metavar="HOST:PORT", help="Another cluster to copy to, without a context."
        ),
    ] = None,
    to_command_config: Annotated[
        str | None,
        typer.Option("--to-command-config", metavar="FILE", help="Client properties, with --to-bootstrap-server."),
    ] = None,
    begin: Annotated[
        str | None,
        typer.Option("--from", metavar="WHEN", help="An age, a date (UTC), start, or PARTITION:OFFSET,… (included)."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="WHEN", help="An age, a date (UTC), end, or PARTITION:OFFSET,… (not included)."
        ),
    ] = None,
    key: Keys = None,
    header: HeaderFilters = None,
    field: Fields = None,
    rate: ByteRate = None,
    records: RecordRate = None,
    create: Annotated[
        bool, typer.Option("--create", help="Create missing target topics with the settings of their sources.")
    ] = False,
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss",
            help="Go ahead even if the target's retention, clock or size limit may not keep every record as it was.",
        ),
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Replay again what was already replayed.")] = False,
    from_archive: Annotated[
        str | None,
        typer.Option(
            "--from-archive",
            metavar="ARCHIVE",
            help="Restore records from an archive (a directory or s3://bucket/prefix) instead of copying a cluster's topics.",
        ),
    ] = None,
    endpoint_url: Annotated[
        str | None,
        typer.Option(
            "--endpoint-url",
            metavar="URL",
            help="With --from-archive s3://…: endpoint of another S3-compatible service.",
        ),
    ] = None,
    groups: Annotated[
        bool,
        typer.Option(
            "--groups",
            help="With --from-archive: restore the groups' committed offsets, translated to the new offsets.",
        ),
    ] = False,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="With --from-archive: skip damaged or missing files.")
    ] = False,
    thaw: Annotated[
        bool,
        typer.Option(
            "--thaw", help="With --from-archive: ask S3 for files in Glacier or Deep Archive; exits with 75 meanwhile."
        ),
    ] = False,
    dry_run: DryRun = False,
    limits: LimitsPath = None,
    which: Which = Which(),
    confirm: Confirm = None,
    yes: Yes = False,
) -> int:
    """Copy a window of topics to another topic or cluster: each record exactly once, in order, with its key, headers and time.

    If it is interrupted or killed, the same command continues; once it is complete, it says so and copies nothing. Exits with
    1 if records were deleted before they could be read. With --from-archive it restores what is missing from an archive, and
    verifies each file before it copies from it; exits with 1 if a file is damaged or missing.
    """
    from asgard.journal.store.database import open_journal
    from asgard.kafka import target
    from asgard.thor.replay import filters, window
    from asgard.thor.replay import replay as replaying
    from asgard.thor.replay.model import Endpoint

    now = time.time()
    given = limits_of(limits)
    pace = rate_of(rate, records, given.rate_bytes_per_s)
    wanted = filters.Filter(tuple(key or ()), tuple(header or ()), tuple(field or ()))
    filters.matcher(wanted)
    if from_archive is not None:
        from asgard.cli.thor import restore

        where = restore.ArchiveOptions(from_archive, endpoint_url, groups=groups, skip_damaged=skip_damaged, thaw=thaw)
        asked = restore.ReplayOptions(
            tuple(topics or ()), to, (begin, until), wanted, create=create, accept_loss=accept_loss, again=again
        )
        if to_context or to_bootstrap_server:
            raise WrongUsage("--from-archive has one cluster", "Name the target with --context or --bootstrap-server.")
        into = which.pick()
        return restore.run(where, asked, into, limits=given, rate=pace, confirm=confirm, now=now, dry_run=dry_run)
    if not topics or endpoint_url or groups or skip_damaged or thaw:
        raise WrongUsage(
            "no topic is named"
            if not topics
            else "--endpoint-url, --groups, --skip-damaged and --thaw go with --from-archive",
            "As in: asgard thor replay orders --to orders.replayed --from 2h",
        )
    request = replaying.ReplayRequest(
        tuple(topics),
        to,
        window.parse(begin, "start", "--from", lambda text: parse_since(text, now)),
        window.parse(until, "end", "--until", lambda text: parse_since(text, now)),
        (begin, until),
        wanted,
        again,
        create,
        accept_loss,
    )
    source = which.pick()
    elsewhere = to_context or to_bootstrap_server
    goal = target.pick(to_context, to_bootstrap_server, to_command_config) if elsewhere else source
    with (
        open_journal() as journal,
        closing(source.connect(deadline_s=CALL_DEADLINE_S)) as reads,
        closing(goal.connect(deadline_s=CALL_DEADLINE_S)) as writes,
    ):
        prepared = replaying.prepare(reads, writes, request, journal, given, now)
        if dry_run or prepared.standing == "finished":
            return _show(prepared, dry_run)
        console.say(_words(prepared, goal, wanted))
        replaying.refuse(prepared)
        console.ask(f"Replay it into {goal.name}, at most {_pace(pace)}?")
        ends = Endpoint(source.connection, reads), Endpoint(goal.connection, writes)
        copied, expired = replaying.run(prepared, *ends, journal, pace, confirm)
    return _report(prepared, copied, expired)


@command(app, example="asgard thor replays")
def replays() -> None:
    """List the replays, redrives and restores in the journal: what they copy, and their progress."""
    from asgard.journal.store.database import open_journal
    from asgard.thor.replay import history

    kinds: tuple[history.Kind, ...] = ("replay", "redrive", "restore")
    with open_journal() as journal:
        found = [(kind, known) for kind in kinds for known in history.known(journal, kind)]
    found.sort(key=lambda pair: pair[1].began_at)
    rows = [
        [k.id, kind, k.state, utc(k.began_at), utc(k.last_at), k.last.get("sent"), k.plan.get("words")]
        for kind, k in found
    ]
    document = [{"kind": kind, **console.to_plain(known)} for kind, known in found]
    columns = ["id", "kind", "state", "began", "last heard of", "records sent", "what"]
    console.emit(document, Table(columns, rows, right=frozenset({"records sent"})))


def _pace(rate: Rate) -> str:
    parts = [f"{units.format_size(rate.bytes_per_s)}/s"] if rate.bytes_per_s else []
    parts += [f"{rate.records_per_s:.0f} records/s"] if rate.records_per_s else []
    return " and ".join(parts) or "as fast as it goes"


def _words(prepared: PreparedReplay, goal: Target, wanted: Filter) -> str:
    plan = prepared.plan
    size = f", about {units.format_size(prepared.size_bytes)}" if prepared.size_bytes is not None else ""
    only = " (filters may leave fewer)" if wanted else ""
    word = "continues" if prepared.standing == "unfinished" else "begins"
    return f"replay {plan.id} {word}: {plan.words} in {goal.name}, {plan.offsets} records at most{size}{only}"


def _show(prepared: PreparedReplay, dry_run: bool) -> int:
    plan = prepared.plan
    to = {route.topic: route.to for route in plan.routes}
    document = {
        "id": plan.id,
        "standing": prepared.standing,
        "records_at_most": plan.offsets,
        "size_bytes": prepared.size_bytes,
        "filtered": bool(prepared.request.wanted),
        "partitions": [
            {"topic": t, "partition": p, "to": to[t], "start": start, "end": end}
            for (t, p), (start, end) in sorted(plan.window.items())
        ],
        "create": [new.name for new in prepared.to_create],
        "objections": prepared.objections,
    }
    if prepared.standing == "finished" and not dry_run:
        console.emit(
            document, text=f"Replayed already, as {plan.id}: nothing was copied. --again replays it once more."
        )
        return int(ExitCode.OK)
    columns = ["topic", "partition", "from", "until", "records at most", "to"]
    rows = [[t, p, s, e, e - s, to[t]] for (t, p), (s, e) in sorted(plan.window.items()) if e > s]
    lines = [f"{plan.offsets} records at most" + _about(prepared) + ", none was read."]
    if prepared.request.wanted:
        lines.append("How many of them the filters let through is known only when they are read.")
    if prepared.standing != "new":
        lines.append(f"It is {prepared.standing}, as {plan.id}.")
    lines += [f"objection: {o.text}\n  {o.hint}" for o in prepared.objections]
    table = Table(columns, rows, right=frozenset(columns[1:5]))
    console.emit(document, table, text="\n".join(lines))
    return int(ExitCode.REFUSED if prepared.objections else ExitCode.OK)


def _about(prepared: PreparedReplay) -> str:
    return f" (about {units.format_size(prepared.size_bytes)})" if prepared.size_bytes is not None else ""


def _report(prepared: PreparedReplay, copied: Copied, expired: dict[TopicPartition, int]) -> int:
    gone = sum(expired.values())
    document = {
        "id": prepared.plan.id,
        "sent": copied.total_sent,
        "sent_in_this_run": copied.sent,
        "bytes_in_this_run": copied.sent_bytes,
        "left_in_this_run": copied.left,
        "undone": copied.redone,
        "slowed": copied.slowed,
        "expired": gone,
        "seconds": round(copied.seconds, 3),
    }
    rate = copied.sent / max(copied.seconds, 0.001)
    lines = [
        f"replay {prepared.plan.id}: {copied.total_sent} records copied{', each once' if copied.total_sent else ''}"
        + (f" ({copied.sent} of them in this run)" if copied.sent != copied.total_sent else "")
        + f"; {units.format_size(copied.sent_bytes)} in {units.format_duration(copied.seconds)}, {rate:.0f} records/s"
    ]
    words = {"filtered": "not matched by the filters", "loop": "not brought back to the topic they were copied from"}
    lines += [f"{count} records were {words.get(why, why)}" for why, count in sorted(copied.left.items())]
    lines += [f"{gone} offsets were deleted before they were read: their records are missing"] if gone else []
    console.emit(document, text="\n".join(lines))
    return int(ExitCode.FAILED if gone else ExitCode.OK)
