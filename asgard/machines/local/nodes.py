"""The nodes of a stack on this machine, as the port that healing and load tests use."""

from __future__ import annotations

from pathlib import Path

from asgard.core.errors import WrongUsage
from asgard.kafka.model import Node
from asgard.machines import local as nodes
from asgard.machines.local import RunDir


class LocalNodes:
    """`NodeControl` over the run directories below a stack's directory. `start`, `restart` and `replace` wait until
    the node serves; a controller that was replaced is a voter again then."""

    def __init__(self, stack_dir: Path) -> None:
        self.directory = stack_dir / "nodes"

    def nodes(self) -> list[Node]:
        """All nodes of the stack, by id."""
        return [nodes.status(run_dir) for run_dir in nodes.list_nodes(self.directory)]

    def start(self, node: int) -> None:
        """Start it; a running one stays as it is."""
        nodes.start(self._of(node))
        nodes.wait_ready([self._of(node)])

    def stop(self, node: int) -> None:
        """Controlled shutdown."""
        nodes.stop(self._of(node))

    def kill(self, node: int) -> None:
        """SIGKILL."""
        nodes.kill(self._of(node))

    def pause(self, node: int) -> None:
        """SIGSTOP."""
        nodes.pause(self._of(node))

    def resume(self, node: int) -> None:
        """SIGCONT."""
        nodes.resume(self._of(node))

    def restart(self, node: int) -> None:
        """Controlled shutdown, start."""
        nodes.restart(self._of(node))

    def replace(self, node: int) -> None:
        """Recreate it with the same id. Raises `Refused` if the metadata quorum could not tolerate that."""
        nodes.replace(self._of(node))
        nodes.wait_ready([self._of(node)])
        nodes.wait_voter(self._of(node))

    def _of(self, node: int) -> RunDir:
        run_dir = RunDir(self.directory / str(node))
        if not run_dir.exists:
            known = ", ".join(r.path.name for r in nodes.list_nodes(self.directory)) or "none"
            raise WrongUsage(f"there is no node {node} in {self.directory} (nodes: {known})")
        return run_dir
