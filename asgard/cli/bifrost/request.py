"""`asgard bifrost init` and `request …`: the commands to ask for something. `sending` has what they share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from asgard.cli.bifrost import app, sending
from asgard.cli.bifrost.options import Config, Lasts, NoWait, refuse_files_through_sudo, session, text_of
from asgard.cli.bifrost.sending import Sending
from asgard.cli.command import Yes, command, group
from asgard.core import console

request_app = group()
app.add_typer(request_app, name="request", help="Ask for topics, users, access, changes; policy answers at once.")

Retention = Annotated[str | None, typer.Option(metavar="TIME", help="How long records are kept: 7d, or forever.")]
Throughput = Annotated[
    str | None, typer.Option(metavar="RATE", help="Expected write rate, as in 2MB/s, to estimate storage.")
]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="A tag, such as pii; repeatable.")]
TopicConfig = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A topic config.")]
Groups = Annotated[list[str] | None, typer.Option("--group", metavar="GROUP", help="A consumer group; repeatable.")]
Description = Annotated[str | None, typer.Option(metavar="TEXT", help="A description for the catalogue.")]


@command(app, example="asgard bifrost init")
def init(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Target directory; default: this one.")] = Path(),
    yes: Yes = False,
) -> None:
    """Write bifrost.yaml, a policy and its cases to start from."""
    from asgard.core.paths import write_folder
    from asgard.core.shipped import shipped

    refuse_files_through_sudo("your own user", "Run it without sudo.")
    files = sorted(shipped("templates").joinpath("bifrost").glob("*.yaml"))
    if there := [f.name for f in files if (folder / f.name).exists()]:
        console.ask(f"{', '.join(there)} exists. Replace?")
    written = write_folder(folder, {file.name: file.read_bytes() for file in files})
    for path in written:
        path.chmod(0o644)
    names = [str(path) for path in written]
    text = f"{', '.join(names)}\nNext: say who is in which team, then `asgard bifrost policy test`."
    console.emit({"files": names}, text=text)


@command(request_app, example="asgard bifrost request topic orders.created --partitions 6 --retention 7d")
def topic(
    name: Annotated[str, typer.Argument(metavar="TOPIC", help="Its name, in a namespace of the team.")],
    partitions: Annotated[int, typer.Option(metavar="N", help="How many.")] = 3,
    replication: Annotated[
        int | None, typer.Option(metavar="N", help="Replicas; the cluster's default without it.")
    ] = None,
    retention: Retention = None,
    throughput: Throughput = None,
    description: Description = None,
    tag: Tags = None,
    set_: TopicConfig = None,
    how: Sending = Sending(),
) -> int:
    """Ask for a topic in a namespace of your team."""
    values = _clean(
        name=name, partitions=partitions, replication=replication, retention=retention, throughput=throughput,
        description=description, tags=tag, config=_configs(set_),
    )  # fmt: skip
    return sending.ask({"topics": [values]}, how)


@command(request_app, example="asgard bifrost request user orders.api --produce orders.created")
def user(
    name: Annotated[str, typer.Argument(metavar="USER", help="Its name, in a namespace of the team.")],
    produce: Annotated[
        list[str] | None, typer.Option(metavar="TOPIC", help="A topic it writes to; repeatable.")
    ] = None,
    consume: Annotated[list[str] | None, typer.Option(metavar="TOPIC", help="A topic it reads; repeatable.")] = None,
    group_: Groups = None,
    lasts: Lasts = None,
    how: Sending = Sending(),
) -> int:
    """Ask for a Kafka user with credentials of its own, and what it may read and write."""
    values = _clean(name=name, produce=produce, consume=consume, groups=group_)
    return sending.ask({"users": [values], **_clean(**{"for": lasts})}, how)


@command(request_app, example="asgard bifrost request access payments.settled --user orders.api --for 30d")
def access(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="A topic, or a prefix such as payments.")],
    user: Annotated[str, typer.Option("--user", metavar="USER", help="The team's user that gets access.")],
    produce: Annotated[bool, typer.Option("--produce", help="Ask for write access instead of read access.")] = False,
    group_: Groups = None,
    lasts: Lasts = None,
    how: Sending = Sending(),
) -> int:
    """Ask for access to a topic, your own team's or another's."""
    operation = "produce" if produce else "consume"
    values = _clean(topic=topic, user=user, operation=operation, groups=group_)
    return sending.ask({"access": [values], **_clean(**{"for": lasts})}, how)


@command(request_app, example="asgard bifrost request change orders.created --partitions 12")
def change(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="A topic of the team.")],
    partitions: Annotated[int | None, typer.Option(metavar="N", help="More than before.")] = None,
    retention: Retention = None,
    throughput: Throughput = None,
    description: Description = None,
    tag: Tags = None,
    set_: TopicConfig = None,
    how: Sending = Sending(),
    yes: Yes = False,
) -> int:
    """Ask to change a topic."""
    values = _clean(
        topic=topic, partitions=partitions, retention=retention, throughput=throughput, description=description,
        tags=tag, config=_configs(set_),
    )  # fmt: skip
    return sending.ask({"changes": [values]}, how)


@command(
    request_app, example="asgard bifrost request delete orders.created\nasgard bifrost request delete --user orders.api"
)
def delete(
    topic: Annotated[str | None, typer.Argument(metavar="[TOPIC]", help="A topic of the team.")] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="USER", help="A user of the team instead.")] = None,
    how: Sending = Sending(),
    yes: Yes = False,
) -> int:
    """Ask to delete a topic with its records, or a user."""
    question = f"{user or topic} goes, with everything in it"
    return sending.ask({"deletions": [_clean(topic=topic, user=user)]}, how, question)


@command(request_app, example="asgard bifrost request bundle -f request.yaml --token ci-4711")
def bundle(
    file: Annotated[Path, typer.Option("--file", "-f", metavar="FILE", help="A request file; - is stdin.")],
    how: Sending = Sending(),
    yes: Yes = False,
) -> int:
    """Ask for everything in a request file: topics, users, access and changes, all of it or nothing."""
    from asgard.bifrost import read

    text, name = text_of(file)
    return sending.send(read.request(text, name, how.named), how)


@command(request_app, example="asgard bifrost request send r-7f3kq2m8ax")
def send(
    request_id: Annotated[str, typer.Argument(metavar="REQUEST", help="The id of a draft.")],
    no_wait: NoWait = False,
    config: Config = None,
    yes: Yes = False,
) -> int:
    """Send a draft; policy judges it now."""
    from asgard.compose import bifrost

    with session(config) as (gate, who):
        losses = bifrost.losses_of_draft(gate, who, request_id)
        sending.confirm(loss["sentence"] for loss in losses)
        sent = bifrost.send_draft(gate, who, request_id, known=losses)
        request = sent.request
        if request.state == "approved" and not no_wait:
            request = bifrost.carried_out(gate, who, request.id)
        return sending.show(request, sent.judgement)


@command(request_app, example="asgard bifrost request schema > request.schema.json")
def schema() -> None:
    """Print the JSON Schema of request files, for editors."""
    from asgard.core.schema.bifrost import RequestFile

    made = RequestFile.model_json_schema()
    console.emit({"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "Asgard request"})


def _clean(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in (None, [], {})}


def _configs(given: list[str] | None) -> dict[str, str]:
    from asgard.core.errors import WrongUsage

    found = {}
    for text in given or ():
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise WrongUsage(f"--set is {text!r}; allowed is KEY=VALUE, as in --set cleanup.policy=compact")
        found[key] = value
    return found
