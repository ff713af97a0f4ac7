"""A log directory that fails: renamed away, a plain file in its place, as Kafka's own system tests do it.

Kafka notices when it next opens a file there, at the latest with the next checkpoint (5 s), and takes the directory offline;
the broker continues with the others. A directory that comes back is used again from the broker's next start on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asgard.core import process
from asgard.core.errors import Failed, Refused, WrongUsage
from asgard.kafka.ports import ControlPlane
from asgard.loki.chaos.faults.brokers import nodes_of, running
from asgard.loki.chaos.kind import FaultKind, FaultPlan, Reach
from asgard.loki.chaos.site import ChaosSite

_METADATA = "__cluster_metadata-0"
_MARK = "Asgard moved the log directory that was here to make it fail; `asgard recover` puts it back.\n"


def fail_log_dir(site: ChaosSite, broker: int | None = None, directory: str | None = None) -> FaultPlan:
    """Let a log directory of a broker fail, or one that `site.rng` picks; never the one with the cluster's metadata."""
    node = running(site, broker)
    nodes_of(site)
    there = [Path(d.path) for d in site.control.log_dirs([node.id]).get(node.id, ()) if not d.offline]
    able = [path for path in there if path.is_dir() and not (path / _METADATA).exists()]
    if directory is not None:
        if Path(directory) not in there:
            raise WrongUsage(
                f"broker {node.id} has no log directory {directory}", f"It has {', '.join(map(str, there))}."
            )
        able = [path for path in able if path == Path(directory)]
    if not able:
        raise Refused(
            f"broker {node.id} has no log directory that may fail: without the one with the cluster's metadata, the whole broker would stop",
            "A broker with two log directories survives the loss of one.",
        )
    path = site.rng.choice(able)
    aside = path.with_name(f"{path.name}.failed")

    def do() -> None:
        path.rename(aside)
        path.write_text(_MARK)

    undo = {"broker": node.id, "path": str(path), "aside": str(aside), "host": process.identity().host}
    return FaultPlan(
        f"log directory of broker {node.id}", f"log directory {path} of broker {node.id} failed", do, undo, (node.id,)
    )


def put_back(reach: Reach, undo: Mapping[str, Any]) -> str:
    """Put the directory back in its place, and have the broker use it again. Raises Failed and Refused."""
    broker, path, aside = int(undo["broker"]), Path(undo["path"]), Path(undo["aside"])
    back = aside.is_dir()
    if back:
        if path.is_file() and path.read_text() == _MARK:
            path.unlink()
        if path.exists():
            raise Failed(
                f"{path} exists again, and so does {aside}, the original",
                "Stop the broker, keep the one with its records under the first name, then run `asgard recover`.",
            )
        aside.rename(path)
    if reach.nodes is None:
        if not path.is_dir():
            raise Refused(
                f"{path} of broker {broker} is not on this machine", "Run `asgard recover` on the machine that has it."
            )
        return f"{path} is back" if back else f"{path} was already back"
    state = next((n.state for n in reach.nodes.nodes() if n.id == broker), None)
    if state is None:
        return f"broker {broker} is gone"
    if state != "running":
        reach.nodes.start(broker)
    elif back or _offline(reach.control(), broker, path):
        reach.nodes.restart(broker)
    else:
        return f"{path} was already back"
    return f"{path} is back, broker {broker} restarted"


def _offline(control: ControlPlane, broker: int, path: Path) -> bool:
    """Whether the broker, which is running, has that directory offline."""
    found = control.log_dirs([broker]).get(broker)
    return found is not None and not any(Path(d.path) == path and not d.offline for d in found)


KINDS = {"fail_log_dir": FaultKind(fail_log_dir, put_back)}
