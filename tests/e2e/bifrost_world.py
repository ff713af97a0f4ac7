"""Bifrost as people use it: teams, a policy and a stack on a cluster that exists, and commands of several people.

Each person comes through sudo, as on a shared machine: SUDO_UID is what sudo sets for the data team's user, who runs these tests.
"""

from __future__ import annotations

import json
import pwd
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asgard.kafka.connection import Connection, parse_properties
from tests.e2e.command import ASGARD, Answer, Home
from tests.harness import RealCluster

SYSTEM_USERS = ("daemon", "bin", "sys", "games", "man")
"""OS users that every Linux has, to be people of teams."""
PEOPLE = dict(zip(("ada", "linus", "grace", "edgar", "audrey"), SYSTEM_USERS, strict=True))

BIFROST = """
environments: [{{name: dev, stack: stack.yaml}}]
teams:
  - name: orders
    namespaces: [{prefix}orders.]
    members: [{{name: ada, role: owner, os_user: daemon, email: ada@example.org}}, {{name: linus, os_user: bin}}]
    budget: {{partitions: 60, users: 20}}
  - name: payments
    namespaces: [{prefix}payments.]
    members: [{{name: grace, role: owner, os_user: sys}}]
    budget: {{partitions: 40, users: 10}}
data_engineers: [{{name: edgar, os_user: games}}]
auditors: [{{name: audrey, os_user: man}}]
"""


@dataclass
class World:
    """A folder with everything; `prefix` keeps the names of one test apart from others' on a shared cluster."""

    folder: Path
    cluster: RealCluster
    prefix: str
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.home = Home(self.folder / "home", {"ASGARD_BIFROST": str(self.folder / "bifrost.yaml"), **self.variables})
        stack = {
            "stack": f"{self.prefix.strip('.') or 'x'}stack",
            "target": "external",
            "cluster": {
                "bootstrap_servers": self.cluster.bootstrap_servers,
                "client_properties": str(self.cluster.client_properties),
            },
            "security": {"sasl": "scram-sha-512"},
        }
        self.write("stack.yaml", json.dumps(stack))
        self.write("bifrost.yaml", BIFROST.format(prefix=self.prefix))
        shipped = Path(__file__).parents[2] / "templates" / "bifrost" / "policy.yaml"
        self.write("policy.yaml", shipped.read_text().replace("[a-z0-9]+([.-]", "[a-z0-9-]+([.-]"))

    def write(self, name: str, text: str) -> None:
        """A file of the data team."""
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o644)

    def name(self, short: str) -> str:
        """`orders.x` as this test calls it."""
        return self.prefix + short

    def run(
        self, person: str, *args: str, code: int | None = 0, stdin: str | None = None, as_json: bool = True
    ) -> Answer:
        """A command of a person."""
        environment = {**self.home.environment(), "SUDO_UID": str(pwd.getpwnam(PEOPLE[person]).pw_uid)}
        done = subprocess.run(
            [str(ASGARD), "bifrost", *args, *(["--json"] if as_json else [])],
            input=stdin, capture_output=True, text=True, env=environment, cwd=self.folder, timeout=300, check=False,
        )  # fmt: skip
        told = f"exit code {done.returncode} of {args}\nstdout: {done.stdout}\nstderr: {done.stderr}"
        assert "Traceback" not in done.stderr and "a defect of Asgard" not in done.stderr, told
        assert code is None or done.returncode == code, told
        return Answer(done.returncode, done.stdout, done.stderr)

    def bundle(self, person: str, *args: str, code: int | None = 0, **request: Any) -> Answer:
        """A request file through stdin."""
        return self.run(person, "request", "bundle", "-f", "-", *args, code=code, stdin=json.dumps(request))

    def credentials(self, person: str, user: str) -> Connection:
        """The credentials of a user, taken by this person: the only time."""
        text = self.run(person, "credentials", user, "--show").json["properties"]
        properties = parse_properties(text)
        return Connection(properties.pop("bootstrap.servers"), properties)

    @property
    def part(self) -> str:
        """The managed file."""
        return (self.folder / "stack.bifrost.yaml").read_text()
