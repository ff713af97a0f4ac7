"""The commands about grants: who may do what until when; extend, give up, a leaver."""

from __future__ import annotations

from typing import Annotated

import typer

from asgard.cli.bifrost import app
from asgard.cli.bifrost.decide import when
from asgard.cli.bifrost.options import Config, Where, seconds_of, session
from asgard.cli.command import Yes, command
from asgard.core import console
from asgard.core.console import Table

Grant = Annotated[str, typer.Argument(metavar="GRANT", help="The grant's id.")]
_COLUMNS = ["grant", "user", "may", "name", "of", "team", "ends (UTC)", "state", "used (UTC)", "environment"]


@command(app, example="asgard bifrost grants\nasgard bifrost grants --dormant 90")
def grants(
    dormant: Annotated[
        float | None,
        typer.Option(metavar="DAYS", help="Only grants unused for this many days, as far as Kafka can tell."),
    ] = None,
    config: Config = None,
) -> None:
    """Show what your teams' users may do, and what others may do with your topics."""
    from asgard.bifrost import grants as given

    with session(config) as (gate, who):
        found = given.grants(gate, who)
        if dormant is not None:
            found, unknown = given.dormant(gate, found, dormant)
            console.say(
                "Kafka shows reads only by the commits of consumer groups, and Bifrost since the first `bifrost tick`. "
                f"It says nothing about producers, nor about {len(unknown)} read grants whose user has no group."
            )
        rows = [
            [g.id, g.user, g.field, g.name, g.owner, g.team, when(g.expires_at), g.state, when(g.used_at), e]
            for e, g in found
        ]
        console.emit([{"environment": e, **console.to_plain(g)} for e, g in found], Table(_COLUMNS, rows))


@command(app, example="asgard bifrost extend g-4kq8w2m9xa --for 30d")
def extend(
    grant: Grant,
    lasts: Annotated[str, typer.Option("--for", metavar="TIME", help="How long from now, as in 30d.")],
    config: Config = None,
) -> None:
    """Extend a grant, if policy allows it."""
    from asgard.bifrost import grants as given

    with session(config) as (gate, who):
        environment, row = given.extend(gate, who, grant, seconds_of(lasts) or 0.0)
        console.emit(
            {"environment": environment, **console.to_plain(row)}, text=f"{grant} ends at {when(row.expires_at)} UTC"
        )


@command(app, example="asgard bifrost withdraw g-4kq8w2m9xa --yes")
def withdraw(grant: Grant, config: Config = None, yes: Yes = False) -> None:
    """End a grant now: one your team has, or one it gave (owners only)."""
    from asgard.bifrost import grants as given
    from asgard.compose import bifrost_queue

    with session(config) as (gate, who):
        _, known = given.find(gate, who, grant)
        console.ask(f"{known.user} loses {known.field} {known.name}. Go on?")
        environment, row = given.withdraw(gate, who, grant)
        bifrost_queue.run_queue(gate, environment, wait_s=60.0)
        console.emit({"environment": environment, **console.to_plain(row)}, text=f"{grant} is withdrawn")


@command(app, example="asgard bifrost leaver linus --yes")
def leaver(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="Who left.")], config: Config = None, yes: Yes = False
) -> None:
    """End all access to other teams' topics that a leaver asked for (data engineers)."""
    from asgard.bifrost import grants as given
    from asgard.compose import bifrost_queue

    with session(config) as (gate, who):
        console.ask(f"All access to other teams' topics that {person} asked for ends. Go on?")
        ended = given.leaver(gate, who, person)
        for environment in dict.fromkeys(environment for environment, _ in ended):
            bifrost_queue.run_queue(gate, environment, wait_s=60.0)
        listed = [{"environment": e, **console.to_plain(g)} for e, g in ended]
        text = f"{len(ended)} grants ended; take {person} out of bifrost.yaml too"
        console.emit(listed, text=text)


@command(app, example="asgard bifrost adopt")
def adopt(environment: Where = None, config: Config = None) -> None:
    """Import the access that the stack file gives its users as grants, each with an owner (data engineers). The cluster does not change."""
    from asgard.compose import bifrost_catalog

    with session(config) as (gate, who):
        found = bifrost_catalog.adopt(gate, who, environment)
        console.emit(found, text=f"{len(found)} grants adopted; asgard bifrost grants shows them")


@command(app, example="asgard bifrost notices --team orders")
def notices(
    team: Annotated[str | None, typer.Option("--team", metavar="TEAM", help="Only this team's.")] = None,
    config: Config = None,
) -> None:
    """Show the notices sent to your teams, and those that could not be delivered."""
    from asgard.bifrost import notices as told
    from asgard.bifrost.authorise import What
    from asgard.bifrost.gate import demand

    with session(config) as (gate, who):
        if team is not None:
            demand(who, "notices.view", What(team), f"team {team}")
        everything = team is None and (who.data_engineer or who.auditor)
        teams = [team] if team is not None else [name for name, _ in who.teams]
        with gate.store.read() as connection:
            found = told.listed(connection, None if everything else teams)
        rows = [[n.id, n.team, n.kind, n.state, n.attempts, n.error, n.text] for n in found]
        console.emit(found, Table(["notice", "team", "kind", "state", "tries", "last error", "text"], rows))
