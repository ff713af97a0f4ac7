"""Who is asking, on one machine: the OS user, mapped to a person of `bifrost.yaml`. And whether the files can be trusted.

Teams, policy and store belong to the data team's own user; others reach them through sudo, as in
`sudo -u bifrost asgard bifrost request …`. Then the person is the user who called sudo (SUDO_UID, which sudo sets). It is trusted only in
a process that runs as the owner of `bifrost.yaml`, as which others can't run; their own processes can't read the store.
"""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from asgard.bifrost.teams import Actor, TeamDirectory
from asgard.core.errors import Refused


@dataclass(frozen=True)
class Caller:
    """The OS user who asks. `delegated`: through sudo, so files they name on the command line are not opened for them."""

    os_user: str
    delegated: bool


def caller() -> Caller:
    """The OS user behind this process."""
    own = os.getuid()
    named = os.environ.get("SUDO_UID", "")
    if named.isdecimal() and int(named) != own:
        return Caller(_name_of(int(named)), True)
    return Caller(_name_of(own), False)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid-{uid}"


def actor(directory: TeamDirectory, who: Caller) -> Actor:
    """The person. Raises Refused if no person in `bifrost.yaml` has that OS user."""
    name = directory.named_by_os(who.os_user)
    if name is None:
        raise Refused(
            f"the OS user {who.os_user} is not in {directory.file.name}",
            "Ask the data team to add you to your team: {name: …, os_user: …}.",
        )
    return directory.actor(name)


def check_files(*files: Path) -> None:
    """Raise Refused if others could have written or replaced one of these files."""
    for file in files:
        for path in (file, file.parent):
            try:
                found = path.stat()
            except FileNotFoundError:
                continue
            if found.st_uid not in (0, os.geteuid()):
                raise Refused(
                    f"{path} belongs to {_name_of(found.st_uid)}, not to {_name_of(os.geteuid())} who runs this",
                    "Run it as that user: sudo -u USER asgard bifrost …",
                )
            sticky = stat.S_ISDIR(found.st_mode) and bool(found.st_mode & stat.S_ISVTX)
            if found.st_mode & 0o022 and not sticky:
                raise Refused(f"{path} can be written by others", f"Take that away: chmod go-w {path}")
