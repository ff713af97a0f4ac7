"""All actions by name. What an action needs is imported only when it is used."""

from __future__ import annotations

from importlib import import_module

from asgard.core.errors import WrongUsage
from asgard.loki.chaos.kind import FaultKind

_FAULTS = "asgard.loki.chaos.faults"
_MACHINES = "asgard.loki.chaos.faults.machines"
_CLOUD = "asgard.loki.chaos.faults.cloud"
MODULES = {
    "kill_broker": f"{_FAULTS}.brokers",
    "stop_broker": f"{_FAULTS}.brokers",
    "pause_broker": f"{_FAULTS}.brokers",
    "restart_broker": f"{_FAULTS}.brokers",
    "kill_controller": f"{_FAULTS}.brokers",
    "lose_rack": f"{_FAULTS}.brokers",
    "rolling_restart": f"{_FAULTS}.bounces",
    "chase_leader": f"{_FAULTS}.bounces",
    "fail_log_dir": f"{_FAULTS}.log_dirs",
    "leader_storm": f"{_FAULTS}.leaders",
    "kill_consumers": f"{_FAULTS}.groups",
    "rewind_group": f"{_FAULTS}.groups",
    "squeeze_quota": f"{_FAULTS}.quotas",
    "kill_process": f"{_FAULTS}.processes",
    "stop_instance": _MACHINES,
    "terminate_instance": _MACHINES,
    "reboot_instance": _MACHINES,
    "kill_asg_instance": _MACHINES,
    "kill_container": _MACHINES,
    "detach_volume": _CLOUD,
    "stop_task": _CLOUD,
    "run_fis_experiment": _CLOUD,
}
"""Action to the module whose `KINDS` has it."""


def kind(action: str) -> FaultKind:
    """What an action does. Raises WrongUsage for an unknown name."""
    if action not in MODULES:
        from asgard.core.schema.validate import nearest

        raise WrongUsage(f"there is no action {action!r}{nearest(action, MODULES)}", f"Actions: {', '.join(MODULES)}.")
    found: FaultKind = import_module(MODULES[action]).KINDS[action]
    return found
