"""`asgard loki load`: put load on a cluster and judge what came out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asgard.cli.command import BootstrapServer, CommandConfig, Confirm, Context, Yes, command, group
from asgard.cli.loki import app
from asgard.core import console
from asgard.core.console import Table
from asgard.core.errors import ExitCode, WrongUsage

if TYPE_CHECKING:
    from asgard.core.document import Loc
    from asgard.loki.load.result import Result
    from asgard.loki.load.run import Site
    from asgard.loki.load.scenario import Scenario

load_app = group("Put load on a cluster, measure it, and check every record.")
app.add_typer(load_app, name="load")

LATE_S = 0.05
_LOAD = "The load, instead of a scenario file"
_WHERE = "Processes and machines"


def _flag(name: str, metavar: str, text: str, panel: str = _LOAD) -> Any:
    return typer.Option(name, metavar=metavar, help=text, rich_help_panel=panel)


@command(
    load_app,
    example="asgard loki load run peak.yaml --context orders --out results\n"
    "asgard loki load run --topic orders.created --rate 2000/s --duration 30s --slo p99=250ms --slo lost=0",
)
def run(
    scenario: Annotated[Path | None, typer.Argument(metavar="SCENARIO.yaml", help="The load, as a file.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the file, as in duration=5m."),
    ] = None,
    topic: Annotated[
        str | None, _flag("--topic", "NAME", "Write to a scratch topic with this topic's settings.")
    ] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Write to the topic itself, not to a scratch topic.")
    ] = False,
    partitions: Annotated[int | None, _flag("--partitions", "N", "Of the scratch topic.")] = None,
    replication: Annotated[int | None, _flag("--replication", "N", "Of the scratch topic.")] = None,
    rate: Annotated[str | None, _flag("--rate", "RATE", "Records a second (open loop); default: full speed.")] = None,
    duration: Annotated[str | None, _flag("--duration", "TIME", "How long to send; default: 30s.")] = None,
    records: Annotated[int | None, _flag("--records", "N", "Maximum number of records.")] = None,
    warm_up: Annotated[
        str | None,
        _flag(
            "--warm-up",
            "TIME",
            "Warm-up: sent and checked, but not measured; default: a fifth of the duration, at most 5s; 0s: none.",
        ),
    ] = None,
    producers: Annotated[int | None, _flag("--producers", "N", "Default: one per worker.")] = None,
    consumers: Annotated[int | None, _flag("--consumers", "N", "Consumers, all in one group; default: none.")] = None,
    size: Annotated[str | None, _flag("--size", "SIZE", "Size of a value; default: 1KiB.")] = None,
    events: Annotated[str | None, _flag("--events", "KIND", "Realistic values instead of a size: rides.")] = None,
    payload: Annotated[
        str | None, _flag("--payload", "FILE", "Send these records in turn, in the format of `heimdall peek --json`.")
    ] = None,
    keys: Annotated[str | None, _flag("--keys", "SPREAD", "none, fixed, uniform or zipf.")] = None,
    acks: Annotated[str | None, _flag("--acks", "ACKS", "all, 1 or 0.")] = None,
    compression: Annotated[str | None, _flag("--compression", "CODEC", "none, gzip, snappy, lz4 or zstd.")] = None,
    linger: Annotated[str | None, _flag("--linger", "TIME", "linger.ms; default: 5ms, or 100ms at full speed.")] = None,
    batch: Annotated[str | None, _flag("--batch", "SIZE", "batch.size; default: 1MB.")] = None,
    slo: Annotated[
        list[str] | None,
        _flag(
            "--slo",
            "NAME=VALUE",
            "Goal that must hold: p50, p99, p999, end_to_end, errors, rate, lost, duplicates. Repeatable.",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Read everything back and judge every record.")
    ] = True,
    workers: Annotated[
        int, _flag("--workers", "N", "Number of sending processes; with --master, of workers to wait for.", _WHERE)
    ] = 1,
    master: Annotated[
        bool, typer.Option("--master", help="Wait for workers of other machines.", rich_help_panel=_WHERE)
    ] = False,
    bind: Annotated[str, _flag("--bind", "HOST", "Where a master listens.", _WHERE)] = "127.0.0.1",
    port: Annotated[int, _flag("--port", "PORT", "Where a master listens.", _WHERE)] = 5557,
    worker: Annotated[str | None, _flag("--worker", "HOST:PORT", "Work for this master.", _WHERE)] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write result.json, report.html and junit.xml to this folder."),
    ] = None,
    context: Context = None,
    bootstrap_server: BootstrapServer = None,
    command_config: CommandConfig = None,
    confirm: Confirm = None,
    yes: Yes = False,
) -> int:
    """Put load on a cluster, measure latency and throughput, check that every record is there, and judge the result.

    By default it writes to a scratch topic with the same partitions and configs, and deletes it afterwards. Exits
    with 1 if a goal is missed or a record is lost.
    """
    from asgard.loki.load import read
    from asgard.loki.load import run as runs

    flags: dict[Loc, tuple[str, Any]] = {
        ("producers", 0, "topic"): ("--topic", topic),
        ("producers", 0, "rate"): ("--rate", rate),
        ("producers", 0, "users"): ("--producers", producers),
        ("producers", 0, "value", "size"): ("--size", size),
        ("producers", 0, "value", "events"): ("--events", events),
        ("producers", 0, "value", "file"): ("--payload", payload),
        ("producers", 0, "keys", "spread"): ("--keys", keys),
        ("producers", 0, "acks"): ("--acks", int(acks) if acks in ("0", "1") else acks),
        ("producers", 0, "compression"): ("--compression", compression),
        ("producers", 0, "linger"): ("--linger", linger),
        ("producers", 0, "batch"): ("--batch", batch),
        ("consumers", 0, "users"): ("--consumers", consumers),
        ("topics", 0, "in_place"): ("--in-place", in_place or None),
        ("topics", 0, "partitions"): ("--partitions", partitions),
        ("topics", 0, "replication"): ("--replication", replication),
        ("duration",): ("--duration", duration),
        ("warm_up",): ("--warm-up", warm_up),
        ("records",): ("--records", records),
        **{("slo", name): (f"--slo {name}", value) for name, value in map(_pair, slo or ())},
    }
    cluster = (context, bootstrap_server, command_config)
    if worker is not None:
        return _work_for(worker, cluster, confirm)
    given = {loc: (flag, value) for loc, (flag, value) in flags.items() if value is not None}
    if scenario is not None:
        if given:
            raise WrongUsage(
                f"{next(iter(given.values()))[0]} is for a load without a file",
                "With a file, change values with --set KEY=VALUE.",
            )
        load = read.read_file(scenario, assignments=set_ or (), workers=workers)
    else:
        if topic is None:
            raise WrongUsage("no load given", "Name a scenario file, or a topic with --topic.")
        load = read.from_flags(
            _document(given, topic, consumers), {loc: flag for loc, (flag, _) in given.items()}, workers=workers
        )
    return _carry_out(load, runs.Site(workers, master, bind, port), out, cluster, confirm, check)


@command(load_app, example="asgard loki load schema > asgard.load.schema.json")
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from asgard.loki.load.read import json_schema

    console.emit(json_schema())


def _carry_out(
    load: Scenario,
    site: Site,
    out: Path | None,
    cluster: tuple[str | None, str | None, str | None],
    confirm: str | None,
    check: bool,
) -> int:
    import dataclasses

    from asgard.compose import settle
    from asgard.core import contexts
    from asgard.kafka import target
    from asgard.loki.load import report, scratch
    from asgard.loki.load import run as runs
    from asgard.loki.load.preview import preview
    from asgard.loki.load.verdict import milliseconds

    runs.check_installed()
    load = dataclasses.replace(load, check=load.check and check)
    picked = target.pick(*cluster)
    control = picked.connect(deadline_s=runs.CALL_DEADLINE_S)
    try:
        contexts.refuse_protected_cluster(control.cluster().cluster_id, confirm)
        run_id = runs.new_run()
        topics = scratch.plan(control, load, run_id)
        for line in preview(load, topics, picked.name, site.workers):
            console.say(line)
        console.ask("Put this load on the cluster?")
        if site.open:
            _say_open(site)
        with (
            runs.begin(picked, control, load, topics, run_id, leftovers=settle.leftovers(), site=site) as running,
            console.progress("load") as update,
        ):
            for event in running.events():
                if event["event"] == "progress":
                    update(_progress(event))
                elif event["event"] == "worker-lost":
                    console.warn(
                        f"worker {event['index']} (pid {event['pid']} on {event['host']}) was lost: {event['why']}"
                    )
            update("checking every record")
            result = runs.finish(running, control, nodes=runs.disks_of(picked))
    finally:
        control.close()
    _show(result)
    for sends in result.sending:
        if sends.late.p99_s is not None and sends.late.p99_s > LATE_S:
            console.warn(
                f"{sends.name}: 1 % of the records were sent {milliseconds(sends.late.p99_s)} or more after they were due: this machine "
                "is short of CPU, or the client was full; that time is in the latencies"
            )
    console.say(f"report: {report.write(result, out or running.directory)}")
    return ExitCode.OK if result.passed else ExitCode.FAILED


def _say_open(site: Site) -> None:
    from asgard.loki.load.run import LOOPBACK

    if site.bind != LOOPBACK:
        console.warn(
            f"anyone who can reach {site.bind}:{site.port} can join or disturb this load: Locust's protocol "
            "has no login. It carries no Kafka credentials."
        )
    console.say(f"waiting for {site.workers} workers at {site.bind}:{site.port}; start each with")
    console.say(f"  asgard loki load run --worker HOST:{site.port} --context NAME")


def _work_for(master: str, cluster: tuple[str | None, str | None, str | None], confirm: str | None) -> int:
    from asgard.core import contexts
    from asgard.kafka import target
    from asgard.loki.load import run as runs

    picked = target.pick(*cluster)
    control = picked.connect(deadline_s=runs.CALL_DEADLINE_S)
    try:
        cluster_id = control.cluster().cluster_id
    finally:
        control.close()
    contexts.refuse_protected_cluster(cluster_id, confirm)
    console.ask(f"Send the load of the master at {master} to {picked.name}?")
    for event in runs.work_for(master, picked, cluster_id):
        if event["event"] == "connected":
            console.say(f"working for {master}")
    console.emit({"master": master, "cluster_id": cluster_id}, text="The load is over; the master has the result.")
    return ExitCode.OK


def _pair(text: str) -> tuple[str, Any]:
    from asgard.core.document import scalar

    name, equals, value = text.partition("=")
    if not equals:
        raise WrongUsage(f"--slo {text}: not a valid goal", "Write it as --slo NAME=VALUE, as in --slo p99=250ms.")
    return name.strip(), scalar(value.strip())


def _document(given: dict[Loc, tuple[str, Any]], topic: str, consumers: int | None) -> dict[str, Any]:
    """What the flags say, in the form of a scenario file."""
    root: dict[str, Any] = {"producers": [{}]}
    if any(loc[0] == "topics" for loc in given):
        root["topics"] = [{"name": topic}]
    if consumers:
        root["consumers"] = [{"topic": topic}]
    for loc, (_, value) in given.items():
        if loc == ("consumers", 0, "users") and not consumers:
            continue
        node: Any = root
        for part in loc[:-1]:
            node = node[part] if isinstance(part, int) else node.setdefault(part, {})
        node[loc[-1]] = value
    return root


def _progress(event: dict[str, Any]) -> str:
    from asgard.loki.load.verdict import milliseconds

    words = [f"{event['acked']:,}/s acknowledged"]
    if event["p50_s"] is not None:
        found = [milliseconds(event[name]) for name in ("p50_s", "p99_s", "p999_s")]
        words.append(f"p50 {found[0]}, p99 {found[1]}, p99.9 {found[2]}")
    words.append(f"{event['errors']:,} errors")
    if event["lag"] is not None:
        words.append(f"read {event['read']:,}/s, lag {event['lag']:,}")
    return f"{event['at_s']:.0f} s: {', '.join(words)}"


def _show(result: Result) -> None:
    from asgard.loki.load import tables

    console.emit(
        result,
        *(Table(t.columns, t.rows, right=frozenset(t.columns[t.right :])) for t in tables.every(result)),
        text=f"warm-up: {result.scenario.warm_up_words}" if result.scenario.warm_up_s else None,
    )
    if result.reason:
        console.say(f"not passed: {result.reason}")
