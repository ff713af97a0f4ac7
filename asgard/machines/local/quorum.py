"""Whether a recreated controller is a voter of the metadata quorum again. Times are seconds."""

from __future__ import annotations

import time

from asgard.core.errors import AsgardError, Failed
from asgard.kafka.connection import Connection, read_properties
from asgard.machines.local.rundir import RunDir
from asgard.machines.local.spec import HOST

_POLL_S = 0.2


def wait_voter(run_dir: RunDir, deadline_s: float = 60.0) -> None:
    """Wait until the quorum counts this node, with the directory that it has now, among its voters.

    Until then the quorum counts the wiped directory, and tolerates one failure less. Nodes that are not controllers
    need no wait. Raises `Failed` when the deadline passes.
    """
    from asgard.kafka.admin import connect

    spec = run_dir.spec()
    if not spec.is_controller:
        return
    directory = read_properties(run_dir.log_dir / "meta.properties")["directory.id"]
    until = time.monotonic() + deadline_s
    seen: object = None
    while time.monotonic() < until:
        try:
            control_plane = connect(cluster_connection(run_dir), deadline_s=5)
            try:
                seen = [(voter.id, voter.directory) for voter in control_plane.quorum().voters]
            finally:
                control_plane.close()
            if (spec.id, directory) in seen:
                return
        except AsgardError as error:
            seen = error.what
        time.sleep(_POLL_S)
    raise Failed(
        f"node {spec.id} runs, but is not a voter of the metadata quorum after {deadline_s:.0f} s: {seen}",
        f"Its log says why: {run_dir.logs / 'server.log'}. Don't remove another controller until it is one.",
    )


def cluster_connection(run_dir: RunDir) -> Connection:
    """How the administrator reaches the brokers of this node's cluster, from the run directories."""
    siblings = [RunDir(path.parent).spec() for path in run_dir.path.parent.glob("*/node.json")]
    # While a cluster switches to TLS, or back, only the listeners that every node has can be used.
    tls = bool(siblings) and all(spec.tls_first for spec in siblings)
    servers = [f"{HOST}:{spec.tls_port if tls else spec.client_port}" for spec in siblings if spec.is_broker]
    credentials = run_dir.credentials()
    ca = run_dir.authority.certificate_file.absolute() if tls else None
    return Connection(",".join(servers), credentials.client_properties(ca) if credentials else {})
