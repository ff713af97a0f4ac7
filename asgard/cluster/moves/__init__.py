"""Executes plans: batch by batch, under a throttle, with everything on disk before it is in the cluster.

`run` a plan, `cancel` an unfinished one, `inherit` what another command handed over; `settle` is for the undo log.
"""

from asgard.cluster.moves.decide import PRIORITIES
from asgard.cluster.moves.record import FORMAT
from asgard.cluster.moves.result import Executed, MovesProgress
from asgard.cluster.moves.runner import run
from asgard.cluster.moves.stuck import Ended
from asgard.cluster.moves.stuck import end as end_stuck
from asgard.cluster.moves.takeover import Cancelled, Inherited, cancel, inherit, must_wait, put_back, settle

__all__ = [
    "FORMAT",
    "PRIORITIES",
    "Cancelled",
    "Ended",
    "Executed",
    "Inherited",
    "MovesProgress",
    "cancel",
    "end_stuck",
    "inherit",
    "must_wait",
    "put_back",
    "run",
    "settle",
]
