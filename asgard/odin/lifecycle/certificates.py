"""When the certificates of a stack's nodes on AWS are due for renewal, from its state; no secret is opened for it.

`up` renews due certificates and replaces the nodes' machines one by one; `drift`, `check` and `doctor` report that it
is time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asgard.core import paths
from asgard.odin.engine.state import StateStore
from asgard.odin.resources.kinds import ALLOCATION


@dataclass(frozen=True)
class Certificates:
    """Times as RFC 3339 (UTC): when the first certificate becomes due, and when the first expires."""

    stack: str
    renew_from: str
    expires: str

    def due(self, now: str) -> bool:
        """Whether it is time to renew."""
        return now >= self.renew_from

    def sentence(self, now: str) -> str:
        """Their status in words."""
        if now >= self.expires:
            return f"a certificate of {self.stack}'s nodes expired on {self.expires[:10]}: run `asgard odin up`"
        if self.due(now):
            return f"certificates of {self.stack}'s nodes expire from {self.expires[:10]}: `asgard odin up` renews them, one node at a time"
        return f"certificates of {self.stack}'s nodes are good until {self.expires[:10]}"


def of_stack(stack: str) -> Certificates | None:
    """The certificates of a stack that has nodes on AWS; None for any other, and before its first `up`."""
    return _in(paths.stack_dir(stack), stack)


def everywhere() -> list[Certificates]:
    """Those of every stack of this ASGARD_HOME."""
    found = (_in(path, path.name) for path in sorted((paths.home() / "stacks").glob("*")))
    return [certificates for certificates in found if certificates is not None]


def _in(directory: Path, stack: str) -> Certificates | None:
    for record in StateStore(directory).load().live.values():
        outputs = record.get("outputs") or {}
        if record["type"] == ALLOCATION and outputs.get("hosts") and outputs.get("expires"):
            return Certificates(stack, str(outputs["renewFrom"]), str(outputs["expires"]))
    return None
