"""`asgard bifrost serve`: the portal and its API; `token`: the login for people and CI."""

from __future__ import annotations

from typing import Annotated

import typer

from asgard.cli.bifrost import app
from asgard.cli.bifrost.decide import when
from asgard.cli.bifrost.options import Config, seconds_of, session
from asgard.cli.command import command, group
from asgard.core import console
from asgard.core.console import Table
from asgard.core.errors import Refused, WrongUsage

token_app = group("Tokens to log in with, at the portal and its API.")
app.add_typer(token_app, name="token")


@command(app, example="asgard bifrost serve --port 8080")
def serve(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="0: a free one.", min=0, max=65535)] = 8080,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="The address people use, if a proxy with TLS is in front of it.")
    ] = None,
    proxy: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS", help="The proxy's own address. Once for each.")
    ] = None,
    proxy_header: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The header in which the proxy names the person; believed from --proxy only."
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Serve the portal and its API until Ctrl-C; what is approved is carried out meanwhile."""
    from asgard.bifrost import identity
    from asgard.bifrost.gate import opened
    from asgard.compose import web_serve

    if identity.caller().delegated:
        # The caller would name the proxy to trust, and could then act as any person.
        raise Refused(
            "the portal acts for all people, so it does not start through sudo",
            "The data team's own user starts it, for example as a service.",
        )
    if proxy_header and not proxy:
        raise WrongUsage("--proxy-header requires --proxy ADDRESS, the proxy to trust")
    with opened(config) as gate:
        web_serve.serve(gate, host, port, url=url, proxies=tuple(proxy or ()), header=proxy_header)


@command(token_app, example="asgard bifrost token create --scope request --for 90d --about ci")
def create(
    scope: Annotated[
        str, typer.Option(metavar="SCOPE", help="read (look only), request (look and ask: for CI) or full.")
    ] = "full",
    lasts: Annotated[str, typer.Option("--for", metavar="TIME", help="How long it works, at most 366d.")] = "30d",
    about: Annotated[str | None, typer.Option(metavar="TEXT", help="What it is for.")] = None,
    person: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="For a person without an OS user here; only the owner of the store can."),
    ] = None,
    config: Config = None,
) -> None:
    """Make a token that acts as you; it is shown this one time."""
    from asgard.bifrost import identity, tokens
    from asgard.bifrost.teams import Actor

    known = next((s for s in tokens.SCOPES if s == scope), None)
    if known is None:
        raise WrongUsage(f"--scope is {scope!r}; allowed are {', '.join(tokens.SCOPES)}")
    caller = identity.caller()
    if person is not None and caller.delegated:
        raise Refused(
            "a token acts as its person, so you can't create one for another person",
            "The data team's own user does: asgard bifrost token create --person NAME",
        )
    lasts_s = seconds_of(lasts) or 0.0
    if person is None:
        with session(config) as (gate, who):
            token, secret = tokens.make(gate, who, scope=known, lasts_s=lasts_s, about=about)
    else:
        from asgard.bifrost.gate import opened

        with opened(config) as gate:
            # The owner of the store could write to it anyway; the token records who created it.
            maker = Actor(caller.os_user)
            token, secret = tokens.make(gate, maker, scope=known, lasts_s=lasts_s, about=about, person=person)
    console.say(f"{token.id} acts as {token.person} ({token.scope}) until {when(token.expires_at)} UTC")
    console.emit({"id": token.id, "person": token.person, "scope": token.scope, "secret": secret}, text=secret)


@command(token_app, name="list", example="asgard bifrost token list")
def list_(config: Config = None) -> None:
    """Show your tokens; data engineers and auditors see all."""
    from asgard.bifrost import tokens

    with session(config) as (gate, who):
        found, now = tokens.listed(gate, who), gate.store.time()
        rows = [
            [t.id, t.person, t.scope, t.about, "revoked" if t.revoked_at else "works" if t.works(now) else "over",
             when(t.expires_at), when(t.used_at)]
            for t in found
        ]  # fmt: skip
        columns = ["token", "person", "scope", "for", "state", "ends (UTC)", "last used (UTC)"]
        console.emit(found, Table(columns, rows))


@command(token_app, example="asgard bifrost token revoke k-7f3kq2m8ax")
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id.")],
    config: Config = None,
) -> None:
    """End a token now, with every session that it began."""
    from asgard.bifrost import tokens

    with session(config) as (gate, who):
        token = tokens.revoke(gate, who, token_id)
        console.emit(token, text=f"{token.id} of {token.person} no longer works")
