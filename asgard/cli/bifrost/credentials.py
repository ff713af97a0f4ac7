"""The commands about credentials: get them once, rotate them, client snippets, and a check that uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asgard.cli.bifrost import app
from asgard.cli.bifrost.decide import when
from asgard.cli.bifrost.options import Config, Where, refuse_files_through_sudo, seconds_of, session
from asgard.cli.command import command
from asgard.core import console
from asgard.core.console import Table
from asgard.core.errors import ExitCode, WrongUsage

User = Annotated[str, typer.Argument(metavar="USER", help="A user of the team.")]


@command(app, example="asgard bifrost credentials orders.api --out orders.api.properties")
def credentials(
    user: User,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the client properties to this file (mode 0600).")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print them on stdout, once.")] = False,
    seal: Annotated[
        str | None, typer.Option("--seal", metavar="KEY", help="Encrypt them for this public key of age (age1…).")
    ] = None,
    environment: Where = None,
    config: Config = None,
) -> None:
    """Take the credentials of a user of your team, once: into a file, on the screen, or encrypted. Without an option: show if they were taken."""
    from asgard.bifrost import age
    from asgard.compose import bifrost_credentials
    from asgard.core import paths
    from asgard.kafka.connection import render_properties

    if sum((out is not None, show, seal is not None)) > 1:
        raise WrongUsage("--out, --show and --seal: allowed is one of them")
    if out is not None:
        refuse_files_through_sudo("--show > FILE or --seal", "Write the file yourself; run umask 077 first.")
        if not out.absolute().parent.is_dir():
            raise WrongUsage(f"{out}: that folder doesn't exist")
    if seal is not None:
        age.check_public_key(seal)
    with session(config) as (gate, who):
        if out is None and not show and seal is None:
            known = bifrost_credentials.listed(gate, who, environment, user)
            rows = [[c.principal, c.state, c.handed_to, when(c.handed_at), when(c.retire_at)] for c in known]
            console.emit(known, Table(["principal", "state", "handed to", "at (UTC)", "goes at (UTC)"], rows))
            return
        how: bifrost_credentials.How = "file" if out else "sealed" if seal else "shown"
        with bifrost_credentials.handing_over(gate, who, environment, user, how) as secret:
            servers = secret.connection.bootstrap_servers
            text = f"bootstrap.servers={servers}\n{render_properties(secret.connection.properties)}"
            if out is not None:
                paths.write_atomic(out, text)
                document = {"principal": secret.principal, "file": out}
                console.emit(
                    document, text=f"{out}: the client properties of {secret.principal} (only you can read it)"
                )
            elif seal is not None:
                box = age.sealed(text, seal)
                console.emit({"principal": secret.principal, "sealed": box}, text=box)
            else:
                console.emit({"principal": secret.principal, "properties": text}, text=text.rstrip())


@command(app, example="asgard bifrost keygen --out my.key")
def keygen(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Write the private key to this file (mode 0600).")],
) -> None:
    """Make a key pair of your own for `credentials --seal`; the public key is shown."""
    from asgard.bifrost import age
    from asgard.core import paths

    refuse_files_through_sudo("your own user", "Run it without sudo.")
    private, public = age.new_pair()
    paths.write_atomic(out, private + "\n")
    console.emit({"private_key_file": out, "public_key": public}, text=public)


@command(app, example="asgard bifrost unseal --key my.key < sealed.txt")
def unseal(key: Annotated[Path, typer.Option("--key", metavar="FILE", help="The private key.")]) -> None:
    """Open what `credentials --seal` encrypted for you; it is read from stdin."""
    import sys

    from asgard.bifrost import age

    refuse_files_through_sudo("your own user", "Run it without sudo.")
    try:
        private = key.read_text()
    except OSError as error:
        raise WrongUsage(f"{key}: can't be read: {error.strerror}") from error
    text = age.unsealed(sys.stdin.read(), private)
    console.emit({"properties": text}, text=text.rstrip())


@command(app, example="asgard bifrost rotate orders.api --overlap 1d")
def rotate(
    user: User,
    overlap: Annotated[str | None, typer.Option(metavar="TIME", help="How long the old ones stay valid.")] = None,
    environment: Where = None,
    config: Config = None,
) -> None:
    """Create new credentials and keep the old ones valid for a while: a second Kafka user with the same permissions."""
    from asgard.compose import bifrost_credentials, bifrost_queue

    with session(config) as (gate, who):
        done = bifrost_credentials.rotate(gate, who, environment, user, overlap_s=seconds_of(overlap, "--overlap"))
        bifrost_queue.run_queue(gate, environment, wait_s=60.0)
        old = ", ".join(done.old)
        text = (
            f"{done.principal} is ready; {old} stays valid until {when(done.until)} UTC\n"
            f"Next: asgard bifrost credentials {user} --out {done.principal}.properties"
        )
        console.emit(done, text=text)


@command(app, example="asgard bifrost snippet orders.api --language python")
def snippet(
    user: User,
    language: Annotated[str, typer.Option(metavar="LANGUAGE", help="java, python, go, librdkafka or kcat.")] = "java",
    topic: Annotated[str, typer.Option(metavar="TOPIC", help="The topic in it.")] = "TOPIC",
    environment: Where = None,
    config: Config = None,
) -> None:
    """Show client configuration ready to paste, with a placeholder for the password."""
    from asgard.bifrost import handover
    from asgard.compose import bifrost_credentials

    with session(config) as (gate, who):
        where = gate.environment(environment)
        row = bifrost_credentials.user_of(gate, who, where, user, "grant.view")
        connection = bifrost_credentials.connection_as(where, row.principals[-1] if row.principals else user)
        text = handover.snippet(language, connection, topic=topic, group=user)
        console.emit({"language": language, "snippet": text}, text=text.rstrip())


@command(app, example="asgard bifrost check orders.api")
def check(
    user: User,
    credentials_file: Annotated[
        Path | None, typer.Option("--credentials", metavar="FILE", help="With these client properties.")
    ] = None,
    no_write: Annotated[bool, typer.Option("--no-write", help="Write no probe record.")] = False,
    environment: Where = None,
    config: Config = None,
) -> int:
    """Test with the user's own credentials: everything it was granted works, and a topic it was not granted is refused."""
    from asgard.compose import bifrost_check

    if credentials_file is not None:
        refuse_files_through_sudo("no --credentials", "The stack's own record of them is tried.")
    with session(config) as (gate, who):
        found = bifrost_check.check(gate, who, environment, user, properties=credentials_file, write=not no_write)
        words = {True: "works", False: "is refused", None: "gets no answer"}
        rows = [["ok" if c.ok else "WRONG", c.what, c.name, words[c.worked], c.why or None] for c in found]
        console.emit(found, Table(["", "what", "name", "it", "Kafka says"], rows))
        return ExitCode.OK if all(c.ok for c in found) else ExitCode.FAILED
