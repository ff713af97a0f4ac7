"""A PostgreSQL server of the test's own: Debian's binaries, a scratch data directory, a random port on 127.0.0.1.

As root it runs as the user `postgres`, because the server refuses to run as root. `find()` says why there is none.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def find() -> tuple[Path | None, str]:
    """The newest installed server's folder of programs, or None and why."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parent.parent.name))
    on_path = shutil.which("initdb")
    programs = found[-1].parent if found else Path(on_path).parent if on_path else None
    if programs is None:
        return None, "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            return None, "PostgreSQL does not run as root, and there is no user postgres"
    return programs, ""


class Postgres:
    """A running server; `database()` gives the URL of a new, empty database."""

    def __init__(self, programs: Path, port: int) -> None:
        self._programs = programs
        self._port = port

    def database(self) -> str:
        """The SQLAlchemy URL of a database that no other test uses."""
        name = f"t{secrets.token_hex(6)}"
        where = ["-h", "127.0.0.1", "-p", str(self._port), "-U", "postgres"]
        subprocess.run([self._programs / "createdb", *where, name], check=True, timeout=60)
        return f"postgresql://postgres@127.0.0.1:{self._port}/{name}"


@contextmanager
def running() -> Iterator[Postgres]:
    """A server that ends with the block, with everything it wrote."""
    programs, why_not = find()
    if programs is None:
        raise RuntimeError(why_not)
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="asgard-pg-") as scratch:
        folder = Path(scratch)
        if user:
            shutil.chown(folder, "postgres")
        data, log, port = folder / "data", folder / "log", _free_port()

        def run(*command: object) -> None:
            # Files and no pipes: the server would keep a pipe open and this call waiting.
            with (folder / "out").open("wb") as out:
                done = subprocess.run(
                    [str(c) for c in command], stdout=out, stderr=out, cwd=folder, timeout=120, **user
                )  # type: ignore[call-overload]
            if done.returncode:
                said = (folder / "out").read_text() + (log.read_text() if log.exists() else "")
                raise RuntimeError(f"{command[0]} failed: {said}")

        run(programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c shared_buffers=16MB"
        run(programs / "pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start")
        try:
            yield Postgres(programs, port)
        finally:
            run(programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
