"""`asgard loki load`: put load on a cluster and judge the results."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asgard.cli.command import Confirm, Which, Yes, command, group
from asgard.cli.loki import app
from asgard.cli.loki.load_options import LoadFlags, SiteFlags
from asgard.core import console, events
from asgard.core.console import Table
from asgard.core.errors import ExitCode

if TYPE_CHECKING:
    from asgard.loki.load.result import LoadResult
    from asgard.loki.load.run import Senders
    from asgard.loki.load.scenario import Scenario

load_app = group("Put load on a cluster, measure it, and check every record.")
app.add_typer(load_app, name="load")

LATE_S = 0.05


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
    flags: LoadFlags = LoadFlags(),
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Read everything back and judge every record.")
    ] = True,
    place: SiteFlags = SiteFlags(),
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write result.json, report.html and junit.xml to this folder."),
    ] = None,
    which: Which = Which(),
    confirm: Confirm = None,
    yes: Yes = False,
) -> int:
    """Put load on a cluster, measure latency and throughput, check that every record is there, and judge the result.

    By default it writes to a scratch topic with the same partitions and configs, and deletes it afterwards. Exits
    with 1 if a goal is missed or a record is lost.
    """
    if place.worker is not None:
        return _work_for(place.worker, which, confirm)
    load = flags.scenario(scenario, set_ or [], place.workers, check=check)
    return _carry_out(load, place.site, out, which, confirm)


@command(load_app, example="asgard loki load schema > asgard.load.schema.json")
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from asgard.loki.load.read import json_schema

    console.emit(json_schema())


def _carry_out(
    load: Scenario,
    site: Senders,
    out: Path | None,
    which: Which,
    confirm: str | None,
) -> int:
    from asgard.compose import settle
    from asgard.core import contexts
    from asgard.loki.load import report, scratch
    from asgard.loki.load import run as runs
    from asgard.loki.load.preview import preview
    from asgard.loki.load.verdict import milliseconds

    runs.check_installed()
    picked = which.pick()
    with closing(picked.connect(deadline_s=runs.CALL_DEADLINE_S)) as control:
        contexts.refuse_protected_cluster(control.cluster().cluster_id, confirm)
        topics = scratch.plan(control, load, runs.new_run())
        for line in preview(load, topics, picked.name, site.workers):
            console.say(line)
        console.ask("Put this load on the cluster?")
        if site.open:
            _say_open(site)
        with runs.begin(picked, control, load, topics, leftovers=settle.leftovers(), site=site) as running:
            for event in running.events():
                if event["event"] == "progress":
                    events.progress("load", _progress(event))
                elif event["event"] == "worker-lost":
                    events.warn(
                        f"worker {event['index']} (pid {event['pid']} on {event['host']}) was lost: {event['why']}"
                    )
            events.progress("load", "checking every record")
            result = runs.finish(running, control, nodes=runs.disks_of(picked))
    _show(result)
    for sends in result.sending:
        if sends.late.p99_s is not None and sends.late.p99_s > LATE_S:
            console.warn(
                f"{sends.name}: 1 % of the records were sent {milliseconds(sends.late.p99_s)} or more after they were due: this machine "
                "is short of CPU, or the client was full; that time is in the latencies"
            )
    console.say(f"report: {report.write(result, out or running.directory)}")
    return ExitCode.OK if result.passed else ExitCode.FAILED


def _say_open(site: Senders) -> None:
    from asgard.loki.load.run import LOOPBACK

    if site.bind != LOOPBACK:
        console.warn(
            f"anyone who can reach {site.bind}:{site.port} can join or disturb this load: Locust's protocol "
            "has no login. It carries no Kafka credentials."
        )
    console.say(f"waiting for {site.workers} workers at {site.bind}:{site.port}; start each with")
    console.say(f"  asgard loki load run --worker HOST:{site.port} --context NAME")


def _work_for(master: str, which: Which, confirm: str | None) -> int:
    from asgard.core import contexts
    from asgard.loki.load import run as runs

    picked = which.pick()
    with closing(picked.connect(deadline_s=runs.CALL_DEADLINE_S)) as control:
        cluster_id = control.cluster().cluster_id
    contexts.refuse_protected_cluster(cluster_id, confirm)
    console.ask(f"Send the load of the master at {master} to {picked.name}?")
    for event in runs.work_for(master, picked, cluster_id):
        if event["event"] == "connected":
            console.say(f"working for {master}")
    console.emit({"master": master, "cluster_id": cluster_id}, text="The load is over; the master has the result.")
    return ExitCode.OK


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


def _show(result: LoadResult) -> None:
    from asgard.loki.load import tables

    console.emit(
        result,
        *(Table(t.columns, t.rows, right=frozenset(t.columns[t.right :])) for t in tables.every(result)),
        text=f"warm-up: {result.scenario.warm_up_words}" if result.scenario.warm_up_s else None,
    )
    if result.reason:
        console.say(f"not passed: {result.reason}")
