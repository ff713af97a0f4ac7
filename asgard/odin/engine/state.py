"""The state of record of one stack: `state.json` in Pulumi's export form, and `steps.log`, what has happened since it was written.

Every change of a run is appended to the log before or as it happens and folded into `state.json` at the end, so a run
that is killed loses nothing: the next one replays the log. An entry is one JSON line; the first line names the serial
of `state.json` that the log belongs to, so a log that was already folded is never applied twice.

Asgard's own data (program hash, the gate's result) is under the key `asgard`, outside `deployment`, and is left out
when the state is exported. Resources are kept as the JSON holds them, secrets as ciphertext: reading a state decrypts
nothing.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from asgard.core.errors import Failed, WrongUsage
from asgard.core.paths import private_dir, write_atomic
from asgard.odin.engine import graph
from asgard.odin.engine.graph import Record

VERSION: Final = 3
LOG_FORMAT: Final = 1
# The version that Pulumi's manifest names; its magic is the SHA-256 of that text (pkg/resource/deploy/manifest.go).
ENGINE_VERSION: Final = "3.260.0"


@dataclass
class State:
    """The resources of a stack in memory. Records are replaced, never changed in place."""

    live: dict[str, Record] = field(default_factory=dict)
    """By URN, in the order of the file."""
    retired: list[Record] = field(default_factory=list)
    """Replaced and not yet deleted (`delete: true`)."""
    pending: dict[str, tuple[str, Record]] = field(default_factory=dict)
    """By URN: operations that were begun and whose outcome is unknown (`creating`, `updating`, `deleting`, `reading`,
    `importing`)."""
    salt: str | None = None
    """Of Pulumi's passphrase scheme."""
    meta: dict[str, Any] = field(default_factory=dict)
    """Asgard's own data, JSON."""
    serial: int = 0
    """How often `state.json` was written."""

    def __iter__(self) -> Iterator[Record]:
        yield from self.live.values()
        yield from self.retired

    @property
    def unfinished(self) -> dict[str, tuple[str, Record]]:
        """The creations that an interrupted run began, by URN."""
        return {urn: begun for urn, begun in self.pending.items() if begun[0] == "creating"}

    def still_unfinished(self, before: State) -> dict[str, tuple[str, Record]]:
        """Of the creations that were unfinished before, those whose resource has not come into this state since."""

        def id_of(state: State, urn: str) -> object:
            return state.live[urn].get("id") if urn in state.live else None

        return {urn: begun for urn, begun in before.unfinished.items() if id_of(self, urn) == id_of(before, urn)}

    def copy(self) -> State:
        """Another state with the same records."""
        return replace(
            self,
            live=dict(self.live),
            retired=list(self.retired),
            pending=dict(self.pending),
            meta=copy.deepcopy(self.meta),
        )

    def apply(self, entry: dict[str, Any]) -> None:
        """One entry of the steps log."""
        did = entry["do"]
        if did == "pending":
            self.pending[entry["resource"]["urn"]] = (entry["type"], entry["resource"])
        elif did == "settled":
            self.pending.pop(entry["urn"], None)
        elif did == "put":
            self.pending.pop(entry["resource"]["urn"], None)
            self.live[entry["resource"]["urn"]] = entry["resource"]
        elif did == "retire":
            self.retired.append({**self.live.pop(entry["urn"]), "delete": True})
        elif did == "drop":
            self.pending.pop(entry["urn"], None)
            self.live.pop(entry["urn"], None)
        elif did == "drop-retired":
            self.pending.pop(entry["urn"], None)
            self.retired = [r for r in self.retired if (r["urn"], r.get("id")) != (entry["urn"], entry.get("id"))]
        elif did == "salt":
            self.salt = entry["salt"]
        elif did == "meta":
            self.meta = entry["meta"]
        else:
            raise Failed(
                f"the steps log holds an entry that this version of Asgard does not know: {did}",
                "use the version that wrote it",
            )

    def deployment(self) -> dict[str, Any]:
        """The `deployment` of the export form: dependencies before dependents, no references to deleted resources."""
        ordered = graph.in_order(list(self))
        present = {record["urn"] for record in ordered}
        deployment: dict[str, Any] = {
            "manifest": {
                "time": now(),
                "magic": hashlib.sha256(ENGINE_VERSION.encode()).hexdigest(),
                "version": ENGINE_VERSION,
            },
        }
        if self.salt:
            deployment["secrets_providers"] = {"type": "passphrase", "state": {"salt": self.salt}}
        deployment["resources"] = [graph.pruned(record, present) for record in ordered]
        if self.pending:
            deployment["pending_operations"] = [
                {"resource": record, "type": kind} for kind, record in self.pending.values()
            ]
        deployment["metadata"] = {}
        return deployment

    def export(self) -> dict[str, Any]:
        """What `pulumi stack import` accepts."""
        return {"version": VERSION, "deployment": self.deployment()}


def parse(document: dict[str, Any], source: str) -> State:
    """Read an export; raises WrongUsage if it is not one that this version reads. `source` names it in the message."""
    version = document.get("version")
    if version != VERSION or not isinstance(document.get("deployment"), dict):
        raise WrongUsage(
            f"{source} is not a state that Asgard reads: version {version!r}",
            f"Pulumi's export form has version {VERSION}",
        )
    deployment = document["deployment"]
    own = dict(document.get("asgard") or {})
    state = State(serial=own.pop("serial", 0), meta=own)
    secrets = deployment.get("secrets_providers") or {}
    if secrets.get("type", "passphrase") != "passphrase":
        raise WrongUsage(
            f"{source} keeps its secrets with {secrets['type']!r}", "Asgard reads states with the provider `passphrase`"
        )
    state.salt = (secrets.get("state") or {}).get("salt")
    for record in deployment.get("resources") or ():
        if record.get("delete"):
            state.retired.append(record)
        else:
            state.live[record["urn"]] = record
    for operation in deployment.get("pending_operations") or ():
        state.pending[operation["resource"]["urn"]] = (operation["type"], operation["resource"])
    return state


class StateStore:
    """Reads and writes the state of one stack's directory. One process at a time: the caller holds the stack's lease."""

    def __init__(self, directory: Path, guard: Callable[[], None] | None = None) -> None:
        """`guard` is called before each write and raises when the lease is lost."""
        self.directory = directory
        self.path = directory / "state.json"
        self.log_path = directory / "steps.log"
        self.backend = directory / "pulumi"
        """Where the Pulumi CLI works while it runs; left behind if a CLI run was killed or could not be recorded."""
        self.guard = guard or (lambda: None)
        self.warnings: list[str] = []
        """Oddities found while reading, as sentences."""
        self._known: tuple[tuple[int, ...], State] | None = None
        """What `state.json` holds, and what identifies the file as unchanged: a large one takes time to read."""

    def exists(self) -> bool:
        """Whether anything was ever recorded for this stack."""
        return self.path.exists() or self.log_path.exists()

    @property
    def interrupted(self) -> bool:
        """Whether an interrupted run left more than `state.json` holds; a save folds it in."""
        return self.log_path.exists() or self.backend.exists()

    def load(self) -> State:
        """`state.json` with the log replayed; an empty state for a new stack. Changes nothing on disk."""
        self.warnings = []
        state = State()
        if self._known is not None and self._known[0] == _mark(self.path):
            state = self._known[1].copy()
        elif self.path.exists():
            mark = _mark(self.path)
            try:
                document = json.loads(self.path.read_bytes())
            except ValueError as error:
                raise Failed(
                    f"{self.path} is not JSON: {error}", "bring it back from a backup, or import an export"
                ) from None
            state = parse(document, str(self.path))
            self._known = (mark, state.copy())
        for entry in self._log_entries(state.serial):
            state.apply(entry)
        return self._left_by_cli(state)

    def save(self, state: State) -> None:
        """Write `state.json` and drop the log that it now contains."""
        self.guard()
        private_dir(self.directory)
        state.serial += 1
        document = {**state.export(), "asgard": {**state.meta, "serial": state.serial}}
        write_atomic(self.path, json.dumps(document, separators=(",", ":"), ensure_ascii=False))
        self._known = (_mark(self.path), parse(document, str(self.path)).copy())
        self.log_path.unlink(missing_ok=True)
        shutil.rmtree(self.backend, ignore_errors=True)

    def cli_checkpoint(self) -> State | None:
        """What the Pulumi CLI's private backend holds: secrets as ciphertext, while an export by the Automation API has
        them in the clear."""
        found = sorted(self.backend.glob("backend/.pulumi/stacks/*/*.json"))
        latest = json.loads(found[0].read_bytes())["checkpoint"].get("latest") if found else None
        return parse({"version": VERSION, "deployment": latest}, str(found[0])) if latest else None

    def _left_by_cli(self, state: State) -> State:
        """After a run of the CLI that was interrupted its checkpoint is newer than ours."""
        newer = self.cli_checkpoint()
        if newer is None or not (newer.live or newer.pending):
            return state
        self.warnings.append("a run of the Pulumi CLI was interrupted: using its checkpoint")
        newer.meta, newer.serial = state.meta, state.serial
        # An import into the CLI drops what a run before it had begun.
        newer.pending = newer.still_unfinished(state) | newer.pending
        return newer

    def _log_entries(self, serial: int) -> Iterator[dict[str, Any]]:
        if not self.log_path.exists():
            return
        lines = self.log_path.read_bytes().split(b"\n")
        complete, tail = lines[:-1], lines[-1]
        if tail:
            self.warnings.append(f"the last line of {self.log_path} is incomplete, as after a kill: it is ignored")
        entries: list[dict[str, Any]] = []
        for number, line in enumerate(complete, 1):
            try:
                entries.append(json.loads(line))
            except ValueError:
                if number == len(complete):
                    self.warnings.append(f"the last line of {self.log_path} is damaged, as after a kill: it is ignored")
                    break
                raise Failed(
                    f"{self.log_path}:{number} is damaged",
                    "bring the file back from a backup; what follows that line can't be trusted",
                ) from None
        if not entries:
            return
        head = entries[0]
        if head.get("format") != LOG_FORMAT:
            raise Failed(
                f"{self.log_path} has a format that this version of Asgard does not know",
                "use the version that wrote it",
            )
        if head["base"] == serial:
            yield from entries[1:]


def _mark(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def now() -> str:
    """The time as Pulumi writes it (RFC 3339, UTC)."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
