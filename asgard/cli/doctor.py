"""`asgard doctor`: what this machine lacks."""

from __future__ import annotations

from asgard.cli.command import command, single
from asgard.core import console
from asgard.core.console import Table
from asgard.core.errors import ExitCode

app = single()


@command(app, example="asgard doctor")
def doctor() -> int:
    """Check that this machine has what Asgard needs (Java, Kafka, ports, disk, engine), and say how to fix what is wrong.

    Exits with 1 if something is wrong.
    """
    from asgard.compose.doctor import checks

    found = checks()
    rows = [["ok" if check.ok else "WRONG", check.name, check.what] for check in found]
    advice = "\n".join(f"{check.name}: {check.mend}" for check in found if not check.ok and check.mend)
    console.emit(found, Table(["", "check", "found"], rows), text=advice or None)
    return ExitCode.OK if all(check.ok for check in found) else ExitCode.FAILED
