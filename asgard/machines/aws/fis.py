"""AWS Fault Injection Service: a team's experiment templates, started and stopped from here."""

from __future__ import annotations

from dataclasses import dataclass

from asgard.core.errors import Refused
from asgard.machines.aws import client as aws

OVER = ("completed", "stopped", "failed", "cancelled")


@dataclass(frozen=True)
class Template:
    """What a template would do: its description, its actions by name, and whether a stop condition guards it."""

    id: str
    description: str
    actions: tuple[str, ...]
    guarded: bool


def template(identifier: str, region: str | None = None) -> Template:
    """A template of the account. Raises WrongUsage if there is none."""
    client = aws.client("fis", region)
    with aws.errors(f"looking at FIS template {identifier}"):
        found = client.get_experiment_template(id=identifier)["experimentTemplate"]
    guarded = any(c.get("source") != "none" for c in found.get("stopConditions", ()))
    actions = tuple(sorted(str(a.get("actionId", "")) for a in found.get("actions", {}).values()))
    return Template(found["id"], str(found.get("description", "")), actions, guarded)


def start(identifier: str, token: str, region: str | None = None) -> str:
    """Start an experiment; its id. A second call with the same `token` starts nothing.

    Raises Refused if FIS itself refuses.
    """
    client = aws.client("fis", region)
    with aws.errors(f"starting FIS template {identifier}"):
        answer = client.start_experiment(experimentTemplateId=identifier, clientToken=token)["experiment"]
    if answer.get("state", {}).get("status") == "failed":
        raise Refused(f"FIS did not start {identifier}: {answer['state'].get('reason', 'no reason given')}")
    return str(answer["id"])


def stop(experiment: str, region: str | None = None) -> str:
    """Stop an experiment; FIS then reverts what its actions can revert. A finished one stays as it is."""
    client = aws.client("fis", region)
    with aws.errors(f"stopping FIS experiment {experiment}"):
        status = str(client.get_experiment(id=experiment)["experiment"]["state"]["status"])
        if status in OVER:
            return f"FIS experiment {experiment} is {status}"
        client.stop_experiment(id=experiment)
    return f"FIS experiment {experiment} is stopped"
