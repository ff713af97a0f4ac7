"""`asgard bifrost init` and `request …`: ask for something, see what policy says and what would change, and have it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asgard.cli.bifrost import app
from asgard.cli.bifrost.options import Config, Lasts, Reason, Team, Where, session, text_of
from asgard.cli.bifrost.remote import Portal, Remote
from asgard.cli.command import Yes, command, group
from asgard.core import console
from asgard.core.errors import ExitCode

if TYPE_CHECKING:
    from asgard.bifrost.ask import Ask
    from asgard.bifrost.policy.judge import Judgement
    from asgard.bifrost.store.requests import Request
    from asgard.compose.bifrost import Preview

request_app = group()
app.add_typer(request_app, name="request", help="Ask for topics, users, access, changes; policy answers at once.")

Token = Annotated[
    str | None,
    typer.Option("--token", metavar="TEXT", help="Idempotency token: a CI step that runs again gets the same request."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show policy's answer and Odin's preview; send nothing.")]
Draft = Annotated[bool, typer.Option("--draft", help="Save it as a draft; `request send` sends it.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Queue it and return; don't wait until it is carried out.")]
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
    from asgard.core.paths import write_for_user
    from asgard.core.shipped import shipped

    files = sorted(shipped("templates").joinpath("bifrost").glob("*.yaml"))
    if there := [f.name for f in files if (folder / f.name).exists()]:
        console.ask(f"{', '.join(there)} exists. Replace?")
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        write_for_user(folder / file.name, file.read_bytes())
        (folder / file.name).chmod(0o644)
    names = [str(folder / f.name) for f in files]
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
    team: Team = None,
    environment: Where = None,
    reason: Reason = None,
    token: Token = None,
    dry_run: DryRun = False,
    draft: Draft = False,
    no_wait: NoWait = False,
    portal: Portal = None,
    config: Config = None,
) -> int:
    """Ask for a topic in a namespace of your team."""
    values = _clean(
        name=name, partitions=partitions, replication=replication, retention=retention, throughput=throughput,
        description=description, tags=tag, config=_configs(set_),
    )  # fmt: skip
    return _ask(
        {"topics": [values]}, _common(team, environment, reason, token), config, portal, dry_run, draft, no_wait
    )


@command(request_app, example="asgard bifrost request user orders.api --produce orders.created")
def user(
    name: Annotated[str, typer.Argument(metavar="USER", help="Its name, in a namespace of the team.")],
    produce: Annotated[
        list[str] | None, typer.Option(metavar="TOPIC", help="A topic it writes to; repeatable.")
    ] = None,
    consume: Annotated[list[str] | None, typer.Option(metavar="TOPIC", help="A topic it reads; repeatable.")] = None,
    group_: Groups = None,
    lasts: Lasts = None,
    team: Team = None,
    environment: Where = None,
    reason: Reason = None,
    token: Token = None,
    dry_run: DryRun = False,
    draft: Draft = False,
    no_wait: NoWait = False,
    portal: Portal = None,
    config: Config = None,
) -> int:
    """Ask for a Kafka user with credentials of its own, and what it may read and write."""
    values = _clean(name=name, produce=produce, consume=consume, groups=group_)
    common = _common(team, environment, reason, token, lasts)
    return _ask({"users": [values]}, common, config, portal, dry_run, draft, no_wait)


@command(request_app, example="asgard bifrost request access payments.settled --user orders.api --for 30d")
def access(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="A topic, or a prefix such as payments.")],
    user: Annotated[str, typer.Option("--user", metavar="USER", help="The team's user that gets access.")],
    produce: Annotated[bool, typer.Option("--produce", help="Ask for write access instead of read access.")] = False,
    group_: Groups = None,
    lasts: Lasts = None,
    team: Team = None,
    environment: Where = None,
    reason: Reason = None,
    token: Token = None,
    dry_run: DryRun = False,
    draft: Draft = False,
    no_wait: NoWait = False,
    portal: Portal = None,
    config: Config = None,
) -> int:
    """Ask for access to a topic, your own team's or another's."""
    operation = "produce" if produce else "consume"
    values = _clean(topic=topic, user=user, operation=operation, groups=group_)
    common = _common(team, environment, reason, token, lasts)
    return _ask({"access": [values]}, common, config, portal, dry_run, draft, no_wait)


@command(request_app, example="asgard bifrost request change orders.created --partitions 12")
def change(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="A topic of the team.")],
    partitions: Annotated[int | None, typer.Option(metavar="N", help="More than before.")] = None,
    retention: Retention = None,
    throughput: Throughput = None,
    description: Description = None,
    tag: Tags = None,
    set_: TopicConfig = None,
    team: Team = None,
    environment: Where = None,
    reason: Reason = None,
    token: Token = None,
    dry_run: DryRun = False,
    draft: Draft = False,
    no_wait: NoWait = False,
    portal: Portal = None,
    config: Config = None,
    yes: Yes = False,
) -> int:
    """Ask to change a topic."""
    values = _clean(
        topic=topic, partitions=partitions, retention=retention, throughput=throughput, description=description,
        tags=tag, config=_configs(set_),
    )  # fmt: skip
    return _ask(
        {"changes": [values]}, _common(team, environment, reason, token), config, portal, dry_run, draft, no_wait
    )


@command(
    request_app, example="asgard bifrost request delete orders.created\nasgard bifrost request delete --user orders.api"
)
def delete(
    topic: Annotated[str | None, typer.Argument(metavar="[TOPIC]", help="A topic of the team.")] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="USER", help="A user of the team instead.")] = None,
    team: Team = None,
    environment: Where = None,
    reason: Reason = None,
    token: Token = None,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    portal: Portal = None,
    config: Config = None,
    yes: Yes = False,
) -> int:
    """Ask to delete a topic with its records, or a user."""
    from asgard.bifrost import read

    values = {"deletions": [_clean(topic=topic, user=user)], **_common(team, environment, reason, token)}
    question = f"{user or topic} goes, with everything in it"
    return _send(read.request_of(values), config, portal, dry_run, False, no_wait, question)


@command(request_app, example="asgard bifrost request bundle -f request.yaml --token ci-4711")
def bundle(
    file: Annotated[Path, typer.Option("--file", "-f", metavar="FILE", help="A request file; - is stdin.")],
    team: Team = None,
    environment: Where = None,
    token: Token = None,
    dry_run: DryRun = False,
    draft: Draft = False,
    no_wait: NoWait = False,
    portal: Portal = None,
    config: Config = None,
    yes: Yes = False,
) -> int:
    """Ask for everything in a request file: topics, users, access and changes, all of it or nothing."""
    from asgard.bifrost import read

    text, name = text_of(file)
    ask = read.request(text, name, _clean(team=team, environment=environment, token=token))
    return _send(ask, config, portal, dry_run, draft, no_wait)


@command(request_app, example="asgard bifrost request send r-7f3kq2m8ax")
def send(
    request_id: Annotated[str, typer.Argument(metavar="REQUEST", help="The id of a draft.")],
    no_wait: NoWait = False,
    config: Config = None,
) -> int:
    """Send a draft; policy judges it now."""
    from asgard.compose import bifrost

    with session(config) as (gate, who):
        sent = bifrost.send_draft(gate, who, request_id)
        request = sent.request
        if request.state == "approved" and not no_wait:
            request = bifrost.carried_out(gate, who, request.id)
        return show(request, sent.judgement)


@command(request_app, example="asgard bifrost request schema > request.schema.json")
def schema() -> None:
    """Print the JSON Schema of request files, for editors."""
    from asgard.core.schema.bifrost import RequestFile

    made = RequestFile.model_json_schema()
    console.emit({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Asgard request", **made})


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


def _common(
    team: str | None, environment: str | None, reason: str | None, token: str | None, lasts: str | None = None
) -> dict[str, Any]:
    return _clean(team=team, environment=environment, reason=reason, token=token) | ({"for": lasts} if lasts else {})


def _ask(
    values: dict[str, Any],
    common: dict[str, Any],
    config: Path | None,
    portal: str | None,
    dry_run: bool,
    draft: bool,
    no_wait: bool,
) -> int:
    from asgard.bifrost import read

    return _send(read.request_of({**common, **values}), config, portal, dry_run, draft, no_wait)


def _send(
    ask: Ask,
    config: Path | None,
    portal: str | None,
    dry_run: bool,
    draft: bool,
    no_wait: bool,
    question: str | None = None,
) -> int:
    if portal is not None:
        if question and not dry_run:
            console.ask(f"{question}. Ask for that?")
        return _send_to(Remote(portal), ask, dry_run, draft, no_wait)
    from asgard.compose import bifrost

    with session(config) as (gate, who):
        if dry_run:
            return _show_preview(bifrost.preview(gate, who, ask))
        losses = bifrost.losses(gate, who, ask)
        if losses or question:
            told = "; ".join([*(loss["sentence"] for loss in losses), *([question] if question else [])])
            console.ask(f"{told}. Ask for that?")
        sent = bifrost.submit(gate, who, ask, draft=draft, known=losses)
        request = sent.request
        if sent.judgement is not None:
            console.say(f"{request.id}: {sent.judgement.sentence}")
        if request.state == "pending":
            _say_changes(bifrost.preview(gate, who, ask))
        if request.state in ("approved", "applying") and not no_wait:
            request = bifrost.carried_out(gate, who, request.id)
        return show(request, sent.judgement)


def _send_to(remote: Remote, ask: Ask, dry_run: bool, draft: bool, no_wait: bool) -> int:
    from asgard.bifrost.ask import as_request

    document = {**as_request(ask), **({"token": ask.token} if ask.token else {})}
    if dry_run:
        told = remote.call("POST", "/preview", document, change="true")
        said = told["policy"]
        lines = [f"{said['outcome']} by rule {said['rule']}: {said['because']}", *(told["changes"] or ())]
        if told["impossible"]:
            lines.append(f"it can't be made as it is: {told['impossible']}")
        console.emit(told, text="\n".join(lines + _nearest_of(said)))
        return ExitCode.REFUSED if said["outcome"] == "deny" else ExitCode.OK
    request = remote.call("POST", "/requests", document, draft="true" if draft else "false")
    if not no_wait:
        request = remote.until_done(request)
    return show_remote(request)


def _nearest_of(said: dict[str, Any]) -> list[str]:
    import json

    if said["nearest"] is None:
        return []
    return ["The nearest request that passes:", json.dumps(said["nearest"], ensure_ascii=False)]


def show_remote(request: dict[str, Any]) -> int:
    """What came of a request, as a portal tells it."""
    state = request["state"]
    lines = [f"{request['id']} is {state}: {request['kind']} {request['subject']} ({request['environment']})"]
    if state == "pending":
        lines.append(f"It waits for approval by {' and '.join(request['waits_for'])}.")
    if state in ("rejected", "failed") and request["reason"]:
        lines.append(request["reason"])
    if state in ("rejected", "pending"):
        lines += _nearest_of(request["policy"])
    console.emit(request, text="\n".join(lines))
    return ExitCode.REFUSED if state == "rejected" else ExitCode.FAILED if state == "failed" else ExitCode.OK


def _say_changes(preview: Preview) -> None:
    for line in preview.changes:
        console.say(line)


def _show_preview(preview: Preview) -> int:
    from asgard.core.units import format_size

    judged = preview.judgement
    lines = [judged.sentence, *preview.changes]
    if preview.impossible:
        lines.append(f"it can't be made as requested: {preview.impossible}")
    if preview.storage_bytes or preview.cost_per_month:
        lines.append(
            f"estimated: {format_size(preview.storage_bytes)}, {preview.cost_per_month:.2f} {preview.currency} a month"
        )
    lines += nearest_lines(judged)
    document = {
        "policy": judged.document(),
        "changes": preview.changes,
        "impossible": preview.impossible,
        "storage_bytes": preview.storage_bytes,
        "cost_per_month": preview.cost_per_month,
        "currency": preview.currency,
    }
    console.emit(document, text="\n".join(lines))
    return ExitCode.REFUSED if judged.outcome == "deny" else ExitCode.OK


def nearest_lines(judged: Judgement) -> list[str]:
    """The nearest request that would pass, for people."""
    import json

    if judged.nearest is None:
        return []
    wanted: Any = judged.document()["nearest"]
    return ["The nearest request that passes:", json.dumps(wanted, ensure_ascii=False)]


def show(request: Request, judged: Judgement | None) -> int:
    """What came of a request."""
    from asgard.compose.bifrost import document

    lines = [f"{request.id} is {request.state}: {request.kind} {request.subject} ({request.environment})"]
    if request.state == "pending":
        lines.append(f"It waits for approval by {' and '.join(request.by)}.")
        lines += [loss["sentence"] for loss in request.losses]
    if request.state in ("rejected", "failed", "approved") and request.reason and request.state != "approved":
        lines.append(request.reason)
    if judged is not None and request.state in ("rejected", "pending"):
        lines += nearest_lines(judged)
    if request.state == "ready" and request.ask.users:
        lines += [f"Next: asgard bifrost credentials {u.name} --out {u.name}.properties" for u in request.ask.users]
    console.emit(document(request, judged), text="\n".join(lines))
    if request.state == "rejected":
        return ExitCode.REFUSED
    return ExitCode.FAILED if request.state == "failed" else ExitCode.OK
