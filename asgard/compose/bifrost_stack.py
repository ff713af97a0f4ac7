"""Bifrost's view of a stack: the stack file's own contents, and the managed file beside it, written and kept in git.

The file holds exactly what the store desires. Manual changes to it are shown and stop the queue: they are never overwritten
without an answer.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from asgard.bifrost.desired import Desired, Field, TopicRow, Undo, UserRow, rendered
from asgard.bifrost.gate import Bifrost
from asgard.bifrost.policy.world import Headroom
from asgard.bifrost.store import rows
from asgard.bifrost.teams import Environment
from asgard.core import paths
from asgard.core.errors import Failed, Refused
from asgard.machines import targets
from asgard.odin.spec.parts import part_path

if TYPE_CHECKING:
    from asgard.odin.spec.model import StackSpec, UserSpec

GIT_S = 30.0


class GitFailed(Failed):
    """git did not keep the managed file."""


def stack_spec(environment: Environment, part: str | None = None) -> StackSpec:
    """The stack with its managed file, or with another text in its place."""
    from asgard.odin.spec.read import load

    return load(environment.stack, part=part)


def sync(gate: Bifrost, environment: Environment) -> None:
    """Import the stack file's own contents if they changed: topics with owners, users, the cluster's size. Adopted grants that it no
    longer has go.
    """
    try:
        found = environment.stack.stat()
    except OSError:
        return
    stamp = f"{found.st_mtime_ns}:{found.st_size}"
    with gate.store.read() as connection:
        if rows.value(connection, f"stack:{environment.name}") == stamp:
            return
    spec = stack_spec(environment, part="")
    with gate.store.write() as connection:
        desired = rows.load(connection, environment.name)
        changed: list[Undo] = []
        wanted = _rows_of(gate, spec)
        for kind in ("topic", "user"):
            table = desired.table(kind)
            for name, row in list(table.items()):
                if row.origin == "stack" and (kind, name) not in wanted:
                    changed.append(desired.put(kind, name, None))
        for (kind, name), row in wanted.items():
            known = desired.table(kind).get(name)
            if known is None or (known.origin == "stack" and known != _claimed(row, known)):
                changed.append(desired.put(kind, name, row if known is None else _claimed(row, known)))
        there = {(user.name, *access) for user in spec.users for access in access_of(user)}
        for key, grant in list(desired.grants.items()):
            if grant.origin == "adopted" and key not in there:
                changed.append(desired.put("grant", key, None))
        rows.save(connection, environment.name, desired, changed, gate.store.now(connection))
        rows.set_value(
            connection, f"headroom:{environment.name}", json.dumps(asdict(_headroom(gate, environment, spec)))
        )
        rows.set_value(connection, f"stack:{environment.name}", stamp)


def access_of(user: UserSpec) -> Iterator[tuple[Field, str]]:
    """What a user of the stack file may do there."""
    yield from (("produce", name) for name in user.produce)
    yield from (("consume", name) for name in user.consume)
    yield from (("groups", name) for name in user.groups)


def _claimed(row: TopicRow | UserRow, known: TopicRow | UserRow) -> TopicRow | UserRow:
    """Keeps what people have since said about it (its owner, tags, description)."""
    from dataclasses import replace

    if isinstance(row, TopicRow) and isinstance(known, TopicRow):
        return replace(row, team=row.team or known.team, tags=known.tags, description=known.description)
    return replace(row, team=row.team or known.team)


def _rows_of(gate: Bifrost, spec: StackSpec) -> Mapping[tuple[str, str], TopicRow | UserRow]:
    teams = gate.directory.by_name
    found: dict[tuple[str, str], TopicRow | UserRow] = {}
    for topic in spec.topics:
        kept = topic.config.get("retention.ms", "")
        found["topic", topic.name] = TopicRow(
            topic.name,
            topic.owner if topic.owner in teams else None,
            "stack",
            topic.partitions,
            topic.replication,
            retention_ms=int(kept) if kept.lstrip("-").isdecimal() else None,
        )
    for user in spec.users:
        found["user", user.name] = UserRow(user.name, user.owner if user.owner in teams else None, "stack")
    return found


def _headroom(gate: Bifrost, environment: Environment, spec: StackSpec) -> Headroom:
    from dataclasses import replace

    with gate.store.read() as connection:
        known = rows.value(connection, f"headroom:{environment.name}")
    before = Headroom(**json.loads(known)) if known else Headroom()
    if not targets.of(spec.target).makes_brokers:
        return before
    isr = spec.kafka.min_insync_replicas
    brokers = spec.kafka.brokers
    return replace(before, brokers=brokers, default_replication=min(3, brokers), default_min_isr=isr)


def part_text(gate: Bifrost, environment: Environment, spec: StackSpec, desired: Desired) -> str:
    """The managed file as it should be."""
    if targets.of(spec.target).makes_brokers:
        return rendered(desired, spec.name)
    with gate.store.read() as connection:
        known = rows.value(connection, f"headroom:{environment.name}")
    head = Headroom(**json.loads(known)) if known else Headroom()
    return rendered(desired, spec.name, head.default_replication)


def digest(text: str) -> str:
    """Of a file's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def refuse_hand_edits(gate: Bifrost, environment: Environment, wanted: str, *, mend: bool) -> None:
    """Raise Refused, with the difference, if the managed file is not as Bifrost last wrote it; `mend` overwrites it."""
    path = part_path(environment.stack)
    there = path.read_text(encoding="utf-8") if path.is_file() else ""
    with gate.store.read() as connection:
        known = json.loads(rows.value(connection, f"part:{environment.name}") or "[]")
    if mend or there == wanted or digest(there) in known or (not there and not known):
        return
    lines = difflib.unified_diff(wanted.splitlines(), there.splitlines(), "wanted", path.name, lineterm="", n=0)
    shown = "\n".join(list(lines)[2:12])
    raise Refused(
        f"{path.name} was changed by hand:\n{shown}",
        "Request what should stay with `asgard bifrost request …`; then `asgard bifrost apply --mend` rewrites the file.",
    )


def write_part(gate: Bifrost, environment: Environment, text: str) -> bool:
    """Put the managed file in place. Returns whether it changed."""
    path = part_path(environment.stack)
    there = path.read_text(encoding="utf-8") if path.is_file() else ""
    if there == text:
        return False
    with gate.store.write() as connection:
        # Both count as Bifrost's own until the next write: a run may die between this and the rename.
        rows.set_value(connection, f"part:{environment.name}", json.dumps([digest(there), digest(text)]))
    paths.write_atomic(path, text, mode=0o644)
    return True


def commit_part(environment: Environment, author: str, subject: str, body: Iterable[str] = ()) -> bool:
    """Commit the managed file if its directory is a git repository. Returns whether there was anything to commit."""
    path = part_path(environment.stack)
    folder = path.parent
    if not _in_repository(folder) or not _git(folder, "status", "--porcelain", "--", path.name).strip():
        return False
    message = "\n".join([subject, "", *body]).rstrip()
    _git(folder, "add", "--", path.name)
    _git(folder, "commit", "-q", "--no-verify", f"--author={author}", "-m", message, "--", path.name)
    return True


def _in_repository(folder: Path) -> bool:
    try:
        return _git(folder, "rev-parse", "--is-inside-work-tree").strip() == "true"
    except GitFailed:
        return False


def _git(folder: Path, *args: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    environment |= {"GIT_COMMITTER_NAME": "asgard bifrost", "GIT_COMMITTER_EMAIL": "bifrost@localhost", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *args], cwd=folder, env=environment, capture_output=True, text=True, timeout=GIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitFailed(f"git {args[0]} in {folder} failed: {error}") from error
    if done.returncode != 0:
        raise GitFailed(f"git {args[0]} in {folder} failed: {done.stderr.strip().splitlines()[-1:] or ['no reason']}")
    return done.stdout
