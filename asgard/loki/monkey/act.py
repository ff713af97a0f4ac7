"""Takes the victim away: a fault by name, which the monkey does not put back. Losing one is routine, or it shows here that it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgard.core.errors import Refused
from asgard.loki.monkey.choose import Victim

if TYPE_CHECKING:
    from asgard.loki.chaos.site import ChaosSite, Fault


def action(victim: Victim) -> tuple[str, dict[str, Any]]:
    """The name of the fault and its arguments."""
    group, member = victim.group, victim.member
    match group.kind:
        case "broker":
            return "kill_broker", {"broker": int(member.id)}
        case "ec2":
            return f"{group.action}_instance", {"instance": member.id, "region": group.region}
        case "asg":
            return "kill_asg_instance", {"instance": member.id, "region": group.region}
        case "volume":
            return "detach_volume", {"volume": member.id, "region": group.region}
        case "ecs":
            return "stop_task", {"cluster": group.cluster, "task": member.id, "region": group.region}
        case "container":
            return "kill_container", {"container": member.id, "socket": group.socket}


def refusal(site: ChaosSite, victim: Victim) -> str:
    """Why the blast radius does not allow it (a majority of controllers, the last replica in sync); empty if it does."""
    from asgard.loki.chaos import breaking

    name, arguments = action(victim)
    try:
        breaking.refuse_beyond_limits(site, breaking.planned(site, name, arguments))
    except Refused as error:
        return error.what
    return ""


def take(site: ChaosSite, victim: Victim) -> Fault:
    """Break it, and close its entry in the undo log: from now on bringing it back is up to the healing.

    Until that is written, the next command that changes things puts it back. Raises what the machine's adapter raises.
    """
    from asgard.journal import operations
    from asgard.loki import chaos

    name, arguments = action(victim)
    fault = chaos.inject(site, name, **arguments)
    if fault.operation.id in {open_.operation.id for open_ in chaos.open_faults(site)}:
        operations.finish(site.journal, fault.operation, site.lease, "left for healing")
    return fault


def way_back(victim: Victim) -> str:
    """How to bring it back by hand, for a person."""
    group, member = victim.group, victim.member
    region = f" --region {group.region}" if group.region else ""
    match (group.kind, group.action):
        case ("broker", _):
            return "`asgard thor heal --yes` starts it again, as `asgard thor watch` does by itself"
        case ("ec2", "stop"):
            return f"by hand: aws ec2 start-instances --instance-ids {member.id}{region}"
        case ("ec2", "reboot"):
            return "it comes back by itself"
        case ("ec2", _):
            return "there is no way back: it is terminated"
        case ("asg", _):
            return f"there is no way back: it is terminated, and {member.group} starts another"
        case ("volume", _):
            return f"`asgard thor heal --yes` replaces the node; by hand: aws ec2 attach-volume --volume-id {member.id}{region}"
        case ("ecs", _):
            return f"there is no way back: it is stopped, and {member.group} starts another"
        case _:
            return f"the engine does not restart it by itself; by hand: docker start {member.id[:12]}"
