"""The read commands: mine, catalog, topic, usage, unowned, claim, unused, export."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asgard.cli.bifrost import app
from asgard.cli.bifrost.decide import when
from asgard.cli.bifrost.options import Config, Team, Where, session
from asgard.cli.bifrost.remote import Portal, Remote
from asgard.cli.command import command, group
from asgard.core import console
from asgard.core.console import Table
from asgard.core.errors import WrongUsage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asgard.bifrost.catalog import Entry

export_app = group()
app.add_typer(export_app, name="export", help="The catalogue for other tools.")

Topic = Annotated[str, typer.Argument(metavar="TOPIC", help="Its name.")]


def _retention(ms: int | None) -> str | None:
    from asgard.core.units import exact_duration

    return None if ms is None else "forever" if ms < 0 else exact_duration(ms)


def _table(entries: Iterable[Entry | SimpleNamespace], title: str = "") -> Table:
    rows = [
        [
            e.name,
            e.team,
            e.partitions,
            _retention(e.retention_ms),
            ", ".join(e.tags) or None,
            e.environment,
            e.description,
        ]
        for e in entries
    ]
    return Table(["topic", "team", "partitions", "retention", "tags", "environment", "about"], rows, title)


def _remote_table(topics: list[dict[str, Any]], title: str = "") -> Table:
    return _table([SimpleNamespace(**topic) for topic in topics], title)


def _mine_of(remote: Remote) -> None:
    told = remote.call("GET", "/mine")
    users = [[u["name"], u["team"], ", ".join(u["principals"]), u["environment"]] for u in told["users"]]
    access = [
        [g["id"], g["user"], g["field"], g["name"], g["owner"], when(g["expires_at"]), g["environment"]]
        for g in told["grants"]
    ]
    tables = [
        _remote_table(told["topics"], f"Topics of {', '.join(told['teams']) or 'no team'}"),
        Table(["user", "team", "Kafka users", "environment"], users, "Users"),
        Table(["grant", "user", "may", "name", "of", "ends (UTC)", "environment"], access, "Access"),
    ]
    for key, title in (("open_requests", "Open requests"), ("to_decide", "Waiting for you")):
        rows = [[r["id"], r["state"], r["requester"], r["kind"], r["subject"]] for r in told[key]]
        if rows:
            tables.append(Table(["request", "state", "who", "kind", "what"], rows, title))
    console.emit(told, *tables)


@command(app, example="asgard bifrost mine")
def mine(portal: Portal = None, config: Config = None) -> None:
    """Show what your teams have: topics, users, access, open requests, and what waits for you."""
    if portal is not None:
        _mine_of(Remote(portal))
        return
    from asgard.bifrost import catalog as seen

    with session(config) as (gate, who):
        found = seen.mine(gate, who)
        users = [[u.name, u.team, ", ".join(u.principals) or u.name, e] for e, u in found.users]
        access = [[g.id, g.user, g.field, g.name, g.owner, when(g.expires_at), e] for e, g in found.grants]
        asked = [[r.id, r.state, r.requester, r.kind, r.subject, ", ".join(r.by) or None] for r in found.open_requests]
        waits = [[r.id, r.team, r.requester, r.kind, r.subject] for r in found.to_decide]
        tables = [
            _table(found.topics, f"Topics of {', '.join(found.teams) or 'no team'}"),
            Table(["user", "team", "Kafka users", "environment"], users, "Users"),
            Table(["grant", "user", "may", "name", "of", "ends (UTC)", "environment"], access, "Access"),
        ]
        if asked:
            tables.append(Table(["request", "state", "who", "kind", "what", "waits for"], asked, "Open requests"))
        if waits:
            tables.append(Table(["request", "team", "who", "kind", "what"], waits, "Waiting for you"))
        document = {
            "teams": found.teams,
            "topics": found.topics,
            "users": [{"environment": e, **console.to_plain(u)} for e, u in found.users],
            "grants": [{"environment": e, **console.to_plain(g)} for e, g in found.grants],
            "open_requests": [r.id for r in found.open_requests],
            "to_decide": [r.id for r in found.to_decide],
        }
        console.emit(document, *tables)


@command(app, example="asgard bifrost catalog payments")
def catalog(
    search: Annotated[list[str] | None, typer.Argument(metavar="[WORD…]", help="Words to look for.")] = None,
    portal: Portal = None,
    config: Config = None,
) -> None:
    """Find topics by name, owner, description or tag. What arrives in them, and when it last did, comes from Heimdall's store."""
    if portal is not None:
        told = Remote(portal).call("GET", "/catalog", search=" ".join(search or ()), limit="1000")
        console.emit(told["topics"], _remote_table(told["topics"]))
        return
    from asgard.compose import bifrost_catalog

    with session(config) as (gate, who):
        found = bifrost_catalog.overview(gate, who, " ".join(search or ()))
        document = [{**console.to_plain(entry), "measured": console.to_plain(measured)} for entry, measured in found]
        table = _table([entry for entry, _ in found])
        if any(measured for _, measured in found):
            table = Table(
                [*table.columns, "records a day", "last record (UTC)"],
                [
                    [*row, m.records_per_day if m else None, when(m.last_hour) if m else None]
                    for row, (_, m) in zip(table.rows, found, strict=True)
                ],
            )
        console.emit(document, table)


@command(app, example="asgard bifrost topic orders.created")
def topic(
    name: Topic,
    environment: Where = None,
    config: Config = None,
) -> None:
    """Show one topic: owner, settings, who reads and writes it, how much it holds, how far readers are behind."""
    from asgard.compose import bifrost_catalog
    from asgard.core.units import format_size

    with session(config) as (gate, who):
        live = bifrost_catalog.topic(gate, who, name, environment)
        e = live.entry
        facts: list[tuple[str, object]] = [
            ("team", e.team),
            ("about", e.description),
            ("tags", ", ".join(e.tags) or None),
            ("partitions", e.partitions),
            ("retention", _retention(e.retention_ms)),
            ("defined in", "the stack file" if e.origin == "stack" else "Bifrost's file"),
        ]
        if e.consumers is not None and e.producers is not None:
            facts.append(("read by", ", ".join(f"{u} ({t or 'no team'})" for u, t in e.consumers) or None))
            facts.append(("written by", ", ".join(f"{u} ({t or 'no team'})" for u, t in e.producers) or None))
        if live.records is not None:
            facts.append(("records", f"{live.records:,} at most, {format_size(live.size_bytes or 0)}"))
            facts.append(("lag", ", ".join(f"{g}: {n:,}" for g, n in sorted((live.lag or {}).items())) or None))
        if live.measured is not None:
            m = live.measured
            facts.append(
                ("arrived in 24 hours", None if m.records_per_day is None else f"{m.records_per_day:,} records")
            )
            facts.append(
                ("last record (UTC)", None if m.last_hour is None else f"in the hour from {when(m.last_hour)}")
            )
        facts += [("data may go", f"{x.source or '?'} -> {x.user} -> {x.target or '?'}") for x in live.lineage]
        if live.cost_per_month:
            facts.append(("estimated cost", f"{live.cost_per_month:.2f} {gate.directory.costs.currency} a month"))
        console.emit(live, Table(["", e.name], facts))


@command(app, example="asgard bifrost sample orders.created --last 3")
def sample(
    name: Topic,
    last: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many of the newest.")] = None,
    environment: Where = None,
    config: Config = None,
) -> None:
    """Show a few records of a topic, masked, to those whom `samples:` in bifrost.yaml allows it."""
    import json

    from asgard.compose import bifrost_samples

    with session(config) as (gate, who):
        found = bifrost_samples.sample(gate, who, name, environment, last)
        rows = [
            [r["timestamp"], f"{r['partition']}@{r['offset']}", r["key"], json.dumps(r["value"], ensure_ascii=False)]
            for r in found.records
        ]
        console.emit(found, Table(["time (UTC)", "partition@offset", "key", "value"], rows))


@command(app, example="asgard bifrost usage --team orders")
def usage(team: Team = None, config: Config = None) -> None:
    """Show what a team uses of its budget, and what it asked for."""
    from asgard.bifrost import catalog as seen
    from asgard.core.units import format_size

    with session(config) as (gate, who):
        names = [team] if team else [name for name, _ in who.teams]
        if not names:
            raise WrongUsage("which team?", "Say it with --team.")
        found = [u for name in names for u in seen.usage(gate, who, name)]

        def text(resource: str, value: float | None) -> str | None:
            if value is None:
                return None
            return format_size(value) if resource in ("storage", "throughput") else f"{value:g}"

        rows = [
            [u.team, u.environment, r, text(r, used), text(r, asked), text(r, limit) or "no limit"]
            for u in found
            for r, used, asked, limit in u.lines()
        ]
        console.emit(found, Table(["team", "environment", "of", "used", "asked for", "budget"], rows))


@command(app, example="asgard bifrost unowned")
def unowned(config: Config = None) -> None:
    """Show topics without an owner."""
    from asgard.bifrost import catalog as seen

    with session(config) as (gate, who):
        found = seen.unowned(gate, who)
        console.emit(found, _table(found))


@command(app, example="asgard bifrost claim orders.legacy --team orders")
def claim(
    name: Annotated[str, typer.Argument(metavar="TOPIC", help="A topic without an owner.")],
    team: Team = None,
    environment: Where = None,
    config: Config = None,
) -> None:
    """Give a topic without an owner to a team."""
    from asgard.bifrost import catalog as seen

    with session(config) as (gate, who):
        entry = seen.claim(gate, who, name, team, environment)
        console.emit(entry, text=f"{entry.name} belongs to {entry.team} now")


@command(app, example="asgard bifrost unused --days 30 --ask-owners")
def unused(
    days: Annotated[float, typer.Option(metavar="N", help="Topics without a new record for this many days.")] = 30.0,
    ask_owners: Annotated[
        bool, typer.Option("--ask-owners", help="Ask the owners whether they still need them.")
    ] = False,
    environment: Where = None,
    config: Config = None,
) -> None:
    """Show topics without new records for that long, by Heimdall's counted hours, else by what this command has seen."""
    from asgard.compose import bifrost_catalog

    with session(config) as (gate, who):
        found = bifrost_catalog.unused(gate, who, days, environment, ask_owners=ask_owners)
        rows = [[u.entry.name, u.entry.team, when(u.since), ", ".join(u.groups) or None, u.source] for u in found]
        console.emit(found, Table(["topic", "team", "the same since (UTC)", "groups that read it", "by"], rows))


@command(export_app, example="asgard bifrost export backstage > catalog-info.yaml")
def backstage(config: Config = None) -> None:
    """Write Backstage's catalog-info YAML: a Group for each team, a Resource for each topic."""
    import yaml

    from asgard.bifrost import catalog as seen

    with session(config) as (gate, who):
        found = seen.backstage(gate, who)
        console.emit(found, text=yaml.safe_dump_all(found, sort_keys=False, allow_unicode=True).rstrip())
