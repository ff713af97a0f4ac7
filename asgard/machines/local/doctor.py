"""Checks what a machine needs to run Kafka, one item at a time: what was found, and how to fix what is missing.

Nothing is fetched or changed.
"""

from __future__ import annotations

import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

from asgard.core import paths
from asgard.core.errors import AsgardError
from asgard.core.units import format_size
from asgard.kafka.distribution import jars
from asgard.kafka.distribution.home import find_kafka
from asgard.kafka.distribution.java import find_java

_WANTED_DISK_BYTES = 2 * 1024**3
_WANTED_FILES = 4096
_PORTS_OF_A_CLUSTER = 6
_NETWORK_FILE_SYSTEMS = frozenset(
    (
        "nfs",
        "nfs4",
        "cifs",
        "smbfs",
        "smb3",
        "afpfs",
        "webdav",
        "9p",
        "ceph",
        "lustre",
        "gpfs",
        "fuse.sshfs",
        "fuse.glusterfs",
    )
)


@dataclass(frozen=True)
class Check:
    """One check. `what` was found; `mend` says how to fix it, if needed."""

    name: str
    ok: bool
    what: str
    mend: str | None = None


def check_machine(version: str = jars.DEFAULT_VERSION) -> list[Check]:
    """All checks, in the order in which a start would need them."""
    home = paths.home()
    return [
        check_java(),
        check_kafka(version),
        check_ports(),
        check_disk(home),
        check_file_system(home, _mounts()),
        check_open_files(),
    ]


def check_java() -> Check:
    """Java 17 or newer."""
    try:
        java = find_java()
    except AsgardError as error:
        return Check("java", False, error.what, error.hint)
    return Check("java", True, f"Java {java.version} from {java.source}: {java.path}")


def check_kafka(version: str) -> Check:
    """Kafka's jars, present and intact, or a way to get them."""
    try:
        found = find_kafka(version)
        if found is not None:
            return Check("kafka", True, f"Kafka {found.version} from {found.source}")
        jars.repository()
    except AsgardError as error:
        return Check("kafka", False, error.what, error.hint)
    lock = jars.shipped(version)
    size = f" ({len(lock.jars)} jars, {format_size(lock.size_bytes)})" if lock else ""
    return Check("kafka", True, f"Kafka {version} is fetched at its first use{size}; `asgard kafka fetch` does it now")


def check_ports() -> Check:
    """Free loopback ports for the listeners of a three-broker cluster."""
    from asgard.machines.local.tcp_ports import free_ports

    try:
        found = free_ports(_PORTS_OF_A_CLUSTER)
    except (AsgardError, OSError) as error:
        return Check("ports", False, f"no free ports on 127.0.0.1: {error}", "Is loopback up? `ip address show lo`")
    return Check("ports", True, f"free ports on 127.0.0.1, {found[0]} for one")


def check_disk(home: Path) -> Check:
    """Space where Asgard writes."""
    free = shutil.disk_usage(_existing(home)).free
    where = f"{format_size(free)} free for {home}"
    if free >= _WANTED_DISK_BYTES:
        return Check("disk", True, where)
    mend = f"Make room ({format_size(_WANTED_DISK_BYTES)} to begin with), or move everything with ASGARD_HOME."
    return Check("disk", False, where, mend)


def check_file_system(home: Path, mounts: dict[str, str]) -> Check:
    """A local file system: SQLite's and Kafka's locks don't hold on network ones. `mounts` is mount point to type."""
    real = _existing(home).resolve()
    point = max((m for m in mounts if real.is_relative_to(m)), key=len, default="/")
    kind = mounts.get(point, "unknown")
    if kind in _NETWORK_FILE_SYSTEMS:
        return Check(
            "file system",
            False,
            f"{home} is on {kind} ({point}): locks of the journal and of Kafka's logs don't work there",
            "Set ASGARD_HOME to a directory on a local disk.",
        )
    return Check("file system", True, f"{home} is on {kind} ({point})")


def check_open_files() -> Check:
    """The limit of open files: a broker holds a few for each partition."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= _WANTED_FILES:
        shown = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
        return Check("open files", True, f"limit {shown}")
    mend = f"Raise it to {_WANTED_FILES} or more: `ulimit -Hn`, or LimitNOFILE of the service."
    return Check("open files", False, f"limit {hard}", mend)


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _mounts() -> dict[str, str]:
    import psutil

    return {p.mountpoint: p.fstype for p in psutil.disk_partitions(all=True)}
