"""`asgard heimdall alerts`: evaluate the rules of heimdall.yaml once or repeatedly, show raised alerts and sent notices."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asgard.cli.command import Which, command, group
from asgard.cli.heimdall import app
from asgard.cli.heimdall.report import SettingsFile
from asgard.cli.moments import Every, every_seconds
from asgard.core import console, units
from asgard.core.errors import ExitCode, WrongUsage

if TYPE_CHECKING:
    from asgard.heimdall.alerts.model import AlertState

alerts = group("Rules of heimdall.yaml: evaluate them, show what is raised, what was sent.")
app.add_typer(alerts, name="alerts")


@command(alerts, name="check", example="asgard heimdall alerts check --once --settings heimdall.yaml")
def check(
    once: Annotated[
        bool, typer.Option("--once", help="Run one evaluation, for cron; default: run until Ctrl-C.")
    ] = False,
    every: Every = "10s",
    settings: SettingsFile = None,
    which: Which = Which(),
) -> int:
    """Look at the cluster, evaluate the rules, and tell subscribers what was raised and cleared.

    Raised and cleared alerts are events in the journal, which trigger Thor's recipes. Exits with 1 if an alert is raised.
    """
    from asgard.compose import heimdall
    from asgard.heimdall import settings as reading

    every_s = every_seconds(every, "1s")
    given = reading.load(settings)
    if not given.rules:
        raise WrongUsage(
            "there are no rules", "Write them into heimdall.yaml under rules:, or name the file with --settings."
        )
    chosen = which.pick()
    with heimdall.watching(chosen, given) as watch:
        if not once:
            heimdall.keep_looking(watch, every_s, threading.Event())
            return int(ExitCode.OK)
        watch.look()
        watch.prune()
        assert watch.evaluation is not None
        states = [s for s in watch.evaluation.states.values() if s.phase == "raised"]
        silenced = watch.evaluation.silenced
        words = f"{len(states)} alerts are raised" + (f", {len(silenced)} are silenced by a drill" if silenced else "")
        console.emit(
            {"raised": states, "changed": watch.evaluation.transitions, "silenced": silenced},
            *_tables(states),
            text=words,
        )
    return int(ExitCode.FAILED if states else ExitCode.OK)


@command(alerts, name="list", example="asgard heimdall alerts list --sent")
def list_(
    sent: Annotated[bool, typer.Option("--sent", help="Also what was and is to be sent, the newest first.")] = False,
    which: Which = Which(),
) -> None:
    """Show the alerts that are raised or about to be, as the last evaluation left them. Changes nothing."""
    from contextlib import closing

    from asgard.heimdall.alerts import store
    from asgard.heimdall.alerts.tables import open_alerts

    chosen = which.pick()
    cluster_id = chosen.context.cluster_id if chosen.context else None
    if cluster_id is None:
        with closing(chosen.connect()) as control:
            cluster_id = control.cluster().cluster_id
    with open_alerts() as database:
        with database.read() as connection:
            states = store.states(connection, cluster_id)
        rows = store.notifications(database, cluster_id) if sent else []
    document: dict[str, Any] = {"alerts": states}
    if sent:
        document["notifications"] = [{**row._mapping, "body": json.loads(row.body)} for row in rows]
    console.emit(
        document, *_tables(states), *([_sent(rows)] if rows else []), text=None if states else "No alert is raised."
    )


def _tables(states: list[AlertState]) -> list[console.Table]:
    rows = [
        (s.labels.get("severity"), s.phase, s.rule, s.labels.get("owner"), units.format_duration(max(time.time() - s.since, 0)), s.text)
        for s in states
    ]  # fmt: skip
    return [console.Table(("SEVERITY", "STATE", "RULE", "OWNER", "FOR", "WHAT"), rows)] if rows else []


def _sent(rows: list[Any]) -> console.Table:
    shown = [(r.receiver, r.state, r.attempts, r.error, r.key.partition(":")[2][:80]) for r in rows]
    return console.Table(("RECEIVER", "STATE", "TRIES", "ERROR", "WHAT"), shown, title="Notifications")
