"""`asgard bifrost policy …`: try a policy's cases, explain an answer, show the fields and the schemas."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from asgard.cli.bifrost import app
from asgard.cli.bifrost.decide import Id
from asgard.cli.bifrost.options import Config, caller_with, session
from asgard.cli.command import command, group
from asgard.core import console
from asgard.core.console import Table
from asgard.core.errors import ExitCode, WrongUsage

policy_app = group()
app.add_typer(policy_app, name="policy", help="The rules: try them, have them explained.")


@command(policy_app, example="asgard bifrost policy test")
def test(config: Config = None) -> int:
    """Run the test cases of the policy. Exits with 1 if a case gets another answer than expected."""
    from asgard.bifrost import identity, read
    from asgard.bifrost.gate import find_file
    from asgard.bifrost.policy import read as policies

    caller = caller_with(config)
    file = find_file(config)
    directory = read.directory(file)
    if caller.delegated:  # else it is the caller's own file, perhaps in a CI step without a person
        identity.check_files(file, directory.policy)
        identity.actor(directory, caller)
    rules = policies.policy(directory.policy, directory)
    tried = policies.try_cases(policies.cases_path(directory.policy), rules, directory)
    rows = [["ok" if not t.wrong else "WRONG", t.name, t.judgement.outcome, t.judgement.rule] for t in tried]
    bad = [f"{t.name}: {wrong}" for t in tried for wrong in t.wrong]
    document = [{"case": t.name, "wrong": t.wrong, "policy": t.judgement.document()} for t in tried]
    text = "\n".join([*bad, f"{len(tried) - len({b.partition(':')[0] for b in bad})} of {len(tried)} cases as written"])
    console.emit(document, Table(["", "case", "outcome", "rule"], rows), text=text)
    return ExitCode.FAILED if bad else ExitCode.OK


@command(policy_app, example="asgard bifrost policy explain r-7f3kq2m8ax")
def explain(request_id: Id, config: Config = None) -> None:
    """Explain policy's answer to a request: which rule decided each item, and what would pass."""
    import json

    from asgard.bifrost import service

    with session(config) as (gate, who):
        request, _ = service.view(gate, who, request_id)
        judged: dict[str, Any] = request.judgement
        rows = [[i["subject"], i["outcome"], i["rule"], i["because"]] for i in judged["items"]]
        lines = [
            f"{request.id}: {judged['outcome']} by rule {judged['rule']} (policy {judged['policy']})",
            judged["because"],
        ]
        if judged["nearest"]:
            lines.append(f"The nearest request that passes: {json.dumps(judged['nearest'], ensure_ascii=False)}")
        console.emit(judged, Table(["what", "outcome", "rule", "because"], rows), text="\n".join(lines))


@command(policy_app, example="asgard bifrost policy fields")
def fields() -> None:
    """Show the fields that rules can use in their conditions."""
    from asgard.bifrost.policy.fields import FIELDS, operators

    rows = [[name, f.type, ", ".join(f.kinds), " ".join(operators(f.type)), f.about] for name, f in FIELDS.items()]
    console.emit(FIELDS, Table(["field", "type", "of", "operators", "what it is"], rows))


@command(policy_app, example="asgard bifrost policy schema policy > policy.schema.json")
def schema(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="bifrost, teams, policy or cases.")] = "policy",
) -> None:
    """Print a JSON Schema for editors."""
    from asgard.core.schema import bifrost, bifrost_policy

    models: dict[str, Any] = {
        "bifrost": bifrost.BifrostFile,
        "teams": bifrost.TeamsFile,
        "policy": bifrost_policy.PolicyFile,
        "cases": bifrost_policy.CasesFile,
    }
    if kind not in models:
        raise WrongUsage(f"there is no schema {kind!r}; allowed are {', '.join(models)}")
    made = models[kind].model_json_schema()
    console.emit({"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": f"Asgard {kind}"})
