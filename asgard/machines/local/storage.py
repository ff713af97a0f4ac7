"""Formatting a node's log directory with Kafka's own StorageTool, so that after a kill at any instant no half-formatted directory is used.

The first quorum's nodes all begin with the same two files of metadata (KIP-853), so the tool runs once and the others
get copies, under their own ids. Its arguments are in a private file: no password, not even a salted one, appears in a
process's arguments.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from asgard.core import paths
from asgard.core.errors import Failed, Refused
from asgard.kafka.connection import read_properties, render_properties
from asgard.machines.local import process
from asgard.machines.local.rundir import RunDir
from asgard.machines.local.spec import HOST, Credentials, NodeSpec, voter_port

_ITERATIONS = 4096
_TIMEOUT_S = 120
_FIRST_METADATA = ("bootstrap.checkpoint", "__cluster_metadata-0/00000000000000000000-0000000000.checkpoint")
"""A cluster's initial records, and its first voters. Kafka never writes either again."""
_IDENTITY = {"version", "cluster.id", "node.id", "directory.id"}


def salted(user: str, password: str, salt: bytes) -> str:
    """A SCRAM-SHA-512 credential in StorageTool's notation (RFC 5802: SaltedPassword = PBKDF2)."""
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    return (
        f'SCRAM-SHA-512=[name={user},iterations={_ITERATIONS},salt="{base64.b64encode(salt).decode()}",'
        f'saltedpassword="{base64.b64encode(key).decode()}"]'
    )


def arguments(spec: NodeSpec, properties: Path, credentials: Credentials | None) -> list[str]:
    """StorageTool's arguments for this node."""
    chosen = ["format", "--cluster-id", spec.cluster_id, "--config", str(properties), "--ignore-formatted"]
    if not spec.first_voter:
        return [*chosen, "--no-initial-controllers"]
    voters = ",".join(f"{v.id}@{HOST}:{voter_port(spec, v)}:{v.directory_id}" for v in spec.voters)
    chosen += ["--initial-controllers", voters]
    if credentials is not None:
        chosen += ["--add-scram", salted(credentials.admin_user, credentials.admin_password, secrets.token_bytes(16))]
    return chosen


def ensure_formatted(run_dir: RunDir) -> None:
    """Format the log directory unless it is fully formatted. Raises `Failed` with StorageTool's own words."""
    if run_dir.formatted.is_file():
        return
    _end_earlier_try(run_dir)
    _wipe_half_formatted(run_dir)
    spec = run_dir.spec()
    with _one_of_the_cluster(run_dir) if spec.first_voter else contextlib.nullcontext():
        if not (spec.first_voter and spec.log_dirs == 1 and _copy_of_another(run_dir, spec)):
            _format(run_dir, spec)
        paths.write_atomic(run_dir.formatted, f"{spec.cluster_id}\n")


@contextlib.contextmanager
def _one_of_the_cluster(run_dir: RunDir) -> Iterator[None]:
    """The nodes of a new cluster are formatted one after the other; the lock ends with the process that holds it."""
    directory = os.open(run_dir.path.parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _copy_of_another(run_dir: RunDir, spec: NodeSpec) -> bool:
    """Give the node what the tool wrote for another voter of its first quorum, if there is one."""
    for path in sorted(run_dir.path.parent.glob("*/node.json")):
        other = RunDir(path.parent)
        if other.path == run_dir.path or not other.formatted.is_file() or not _alike(other, run_dir, spec):
            continue
        identity = read_properties(other.log_dir / "meta.properties")
        if set(identity) != _IDENTITY or identity["version"] != "1":
            return False
        for name in _FIRST_METADATA:
            (run_dir.log_dir / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(other.log_dir / name, run_dir.log_dir / name)
        own = next(voter.directory_id for voter in spec.voters if voter.id == spec.id)
        identity |= {"node.id": str(spec.id), "directory.id": own}
        paths.write_atomic(run_dir.log_dir / "meta.properties", render_properties(identity), mode=0o644)
        return True
    return False


def _alike(other: RunDir, run_dir: RunDir, spec: NodeSpec) -> bool:
    """Whether the tool would get the same arguments for both except for their ids, and the other still has its
    output."""
    there = other.spec()
    return (
        there.first_voter
        and (there.cluster_id, there.voters, there.version, there.tls)
        == (spec.cluster_id, spec.voters, spec.version, spec.tls)
        and other.credentials() == run_dir.credentials()
        and all((other.log_dir / name).is_file() for name in _FIRST_METADATA)
    )


def _format(run_dir: RunDir, spec: NodeSpec) -> None:
    """Run the tool."""
    with tempfile.NamedTemporaryFile("w", dir=run_dir.path, prefix=".format-", suffix=".args") as file:
        Path(file.name).chmod(0o600)
        lines = arguments(spec, run_dir.properties.absolute(), run_dir.credentials())
        file.write("\n".join(lines[1:]) + "\n")
        file.flush()
        command = [
            *process.java_command(spec.version, "-Xmx128m"),
            f"-Dlog4j2.configurationFile={run_dir.log4j2.absolute()}",
            process.marker(run_dir, "format"),
            "kafka.tools.StorageTool",
            lines[0],
            f"@{file.name}",
        ]
        done = process.run_tool(command, f"formatting node {spec.id}", _TIMEOUT_S)
    if done.returncode != 0:
        raise Failed(
            f"Kafka's StorageTool refused to format node {spec.id}: {process.first_words(done)}",
            f"Its configuration is {run_dir.properties}.",
        )


def _end_earlier_try(run_dir: RunDir) -> None:
    """A StorageTool whose caller was killed may still write here."""
    earlier = process.find(run_dir, "format")
    if earlier is not None:
        process.send(earlier, signal.SIGKILL)
        process.wait_gone(earlier, 10)


def _wipe_half_formatted(run_dir: RunDir) -> None:
    """Leftovers of an interrupted format. A directory that a broker has written to is never wiped here."""
    for leftover in run_dir.path.glob(".format-*.args"):
        with contextlib.suppress(FileNotFoundError):
            leftover.unlink()
    log_dirs = run_dir.every_log_dir(run_dir.spec())
    written = [path for path in log_dirs if any(s.stat().st_size for s in path.glob("*/*.log"))]
    if written:
        raise Refused(
            f"{written[0]} holds records, but its formatting may not have finished",
            f"If it is complete, create the empty file {run_dir.formatted}; else remove {run_dir.data}.",
        )
    for path in log_dirs:
        shutil.rmtree(path, ignore_errors=True)
        paths.private_dir(path)
