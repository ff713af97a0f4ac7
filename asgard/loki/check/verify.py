"""From a load's history to its verdict in one call: last read, check, the search on the disks, the judgement.

verdict = verify(directory, connection, control, nodes=targets.disks_of("orders"))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from asgard.kafka.connection import Connection
from asgard.kafka.ports import ControlPlane
from asgard.loki.check import traces
from asgard.loki.check.catalogue import Where
from asgard.loki.check.check import check
from asgard.loki.check.history import HistoryFiles
from asgard.loki.check.last_read import read_again
from asgard.loki.check.verdict import CheckVerdict, judge
from asgard.machines.targets import LogDisk


def verify(
    directory: Path,
    connection: Connection,
    control: ControlPlane,
    *,
    nodes: Iterable[LogDisk] = (),
    deadline_s: float = 120,
    settle_s: float | None = None,
    starts: Mapping[Where, int] | None = None,
) -> CheckVerdict:
    """The verdict on a load whose processes have ended and whose cluster has recovered.

    `nodes` are brokers of this machine, whose disks are searched if something is lost; the times and `starts` are those of
    `read_again`. Raises Unreachable if the cluster does not answer; `judge(check(…))` still gives what is known without a last
    read. Raises WrongUsage for a history that can't be read.
    """
    last = read_again(directory, connection, control, deadline_s=deadline_s, settle_s=settle_s, starts=starts)
    result = check(HistoryFiles(directory))
    found = traces.look(result, nodes, last.leaders, last.replicas) if result.missing else None
    return judge(result, unclean_election=last.unclean_election, traces=found, left=last.left)
