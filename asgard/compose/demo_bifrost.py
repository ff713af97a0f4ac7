"""The demo's first act: a team asks for its topic and a user, policy allows it, Odin creates it, and the credentials prove it.

The demo keeps requests in a separate store beside its stack file: the user's own Bifrost never sees them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from asgard.bifrost import read
from asgard.bifrost.gate import Bifrost
from asgard.bifrost.store.tables import open_store
from asgard.compose import bifrost, bifrost_credentials
from asgard.compose import demo_records as records
from asgard.core import events, paths
from asgard.core import events as news
from asgard.core.errors import Failed
from asgard.kafka.connection import Connection
from asgard.odin.spec.parts import part_path

TOPIC, USER, RECORDS = "surge.prices", "surge.pricing", 1000
_TEAMS = """format: asgard.bifrost/v1
environments: [{name: demo, stack: asgard.yaml}]
teams:
  - name: surge
    about: Sets the price of a ride
    namespaces: [surge.]
    members: [{name: maya, role: owner}]
    budget: {partitions: 12, users: 2}
"""
_POLICY = """format: asgard.policy/v1
rules:
  - {name: small-topics, for: [topic], when: ["partitions <= 24", "retention <= 30d"], then: allow}
  - {name: own-users, for: [user, access], when: ["in_namespace == true"], then: allow}
"""
_FILES = {"bifrost.yaml": _TEAMS, "policy.yaml": _POLICY}


@dataclass(frozen=True)
class GrantedTopic:
    """What a team asked for, which rule allowed it, and how many seconds passed until the topic could be used."""

    team: str
    topic: str
    rule: str
    seconds: float
    produced: int
    stranger: str


def act(stack_file: Path, stranger: tuple[str, Connection]) -> GrantedTopic:
    """Ask as a member of a team, use what was created, and try the same as `stranger` (a user's name and connection)."""
    folder = stack_file.parent
    for name, text in _FILES.items():
        paths.write_atomic(folder / name, text)
    with open_store(f"sqlite:///{folder / 'bifrost.db'}") as store:
        gate = Bifrost(read.directory(folder / "bifrost.yaml"), store)
        maya = gate.directory.actor("maya")
        wanted = {
            "topics": [{"name": TOPIC, "partitions": 6, "retention": "7d"}],
            "users": [{"name": USER, "produce": [TOPIC], "consume": [TOPIC]}],
        }
        news.step(f"maya of team surge asks Bifrost for the topic {TOPIC} and a user of its own")
        began = time.monotonic()
        sent = bifrost.submit(gate, maya, read.request_of(wanted))
        if sent.request.state != "approved" or sent.judgement is None:
            raise Failed(f"policy did not allow it: {sent.request.reason}")
        with events.silence():
            made = bifrost.carried_out(gate, maya, sent.request.id)
        seconds = time.monotonic() - began
        if made.state != "ready":
            raise Failed(f"the request is {made.state}: {made.reason}")
        news.note(f"  allowed by rule {sent.judgement.rule}, made by Odin in {seconds:.1f} s, without an approval")
        with bifrost_credentials.handing_over(gate, maya, None, USER, "shown") as secret:
            connection = secret.connection
    news.step(f"writing to {TOPIC} with the team's own credentials, then as {stranger[0]}, a stranger")
    produced = records.prove_writable(connection, TOPIC, RECORDS)
    refused = records.refusal(stranger[1], stranger[0], TOPIC)
    return GrantedTopic("surge", TOPIC, sent.judgement.rule or "", seconds, produced, refused)


def forget(stack_file: Path) -> None:
    """Remove what the act wrote, and the remains of an earlier demo."""
    names = [*_FILES, "bifrost.db", "bifrost.db-wal", "bifrost.db-shm", part_path(stack_file).name]
    for name in names:
        (stack_file.parent / name).unlink(missing_ok=True)
