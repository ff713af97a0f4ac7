"""Carrying out plans: batch by batch, under a throttle, with everything on disk before it is in the cluster.

`run` a plan, `cancel` what is half done, `inherit` what somebody handed over; `settle` is for the undo log.
"""

from asgard.thor.execute.decide import PRIORITIES
from asgard.thor.execute.record import FORMAT
from asgard.thor.execute.result import Executed, Progress
from asgard.thor.execute.runner import run
from asgard.thor.execute.takeover import Cancelled, Inherited, cancel, inherit, must_wait, settle

__all__ = [
    "FORMAT",
    "PRIORITIES",
    "Cancelled",
    "Executed",
    "Inherited",
    "Progress",
    "cancel",
    "inherit",
    "must_wait",
    "run",
    "settle",
]
