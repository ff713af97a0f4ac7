"""A program that answers to `pulumi` as far as backends go, for machines without the real one: stacks are files in a directory.

It says what it was asked, with the environment that matters, in `calls.jsonl`. The Automation API of the SDK is the real one: how it
calls the CLI is the SDK's own doing.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PROGRAM = """\
#!{python}
import json, os, sys
from pathlib import Path
here, arguments = Path({here!r}), [a for a in sys.argv[1:] if a != "--non-interactive"]
names = ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE")
settings = {{p.name: p.read_text() for p in Path.cwd().glob("Pulumi.*.yaml")}}
with (here / "calls.jsonl").open("a") as log:
    log.write(json.dumps([arguments, {{n: os.environ.get(n) for n in names}}, settings]) + "\\n")
def option(name):
    return arguments[arguments.index(name) + 1] if name in arguments else None
def file(stack):
    return here / "stacks" / (stack.replace("/", ".") + ".json")
verb = " ".join(arguments[:2])
if arguments[0] == "version":
    print("v3.260.0")
elif verb in ("stack select", "stack export") and not file(option("--stack")).exists():
    sys.exit(f"error: no stack named '{{option('--stack')}}' found")
elif verb == "stack init":
    file(arguments[2]).write_text(json.dumps({{"version": 3, "deployment": {{"manifest": {{"time": "0"}}}}}}))
elif verb == "stack export":
    print(file(option("--stack")).read_text())
elif verb == "stack import":
    file(option("--stack")).write_text(Path(option("--file")).read_text())
elif verb not in ("stack select", "stack change-secrets-provider"):
    sys.exit(f"error: not expected: {{arguments}}")
"""


@dataclass(frozen=True)
class FakePulumi:
    """The program in a directory; put `bin` on PATH."""

    directory: Path

    @classmethod
    def install(cls, directory: Path) -> FakePulumi:
        """Write it."""
        made = cls(directory)
        made.bin.mkdir(parents=True)
        (directory / "stacks").mkdir()
        program = made.bin / "pulumi"
        program.write_text(_PROGRAM.format(python=sys.executable, here=str(directory)))
        program.chmod(0o755)
        return made

    @property
    def bin(self) -> Path:
        return self.directory / "bin"

    @property
    def path(self) -> str:
        """PATH with it in front."""
        return f"{self.bin}{os.pathsep}{os.environ['PATH']}"

    def calls(self) -> list[tuple[list[str], dict[str, str | None], dict[str, str]]]:
        """Arguments, environment, and the stack settings in the workplace, of each call but for the version."""
        log = self.directory / "calls.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        return [tuple(json.loads(line)) for line in lines if not line.startswith('[["version"')]  # type: ignore[misc]

    def verbs(self) -> list[str]:
        """What was asked, shortly."""
        return [" ".join(arguments[:2]) for arguments, _, _ in self.calls()]

    def put(self, stack: str, deployment: dict[str, Any]) -> None:
        """What the backend holds, secrets in the clear as an export shows them."""
        (self.directory / "stacks" / f"{stack}.json").write_text(json.dumps({"version": 3, "deployment": deployment}))

    def held(self, stack: str) -> dict[str, Any]:
        """The deployment in the backend."""
        found: dict[str, Any] = json.loads((self.directory / "stacks" / f"{stack}.json").read_text())["deployment"]
        return found
