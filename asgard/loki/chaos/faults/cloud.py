"""What experiments can do to AWS besides instances: `detach_volume`, `stop_task`, `run_fis_experiment`.

A detached volume is attached again when the fault is over, if its instance still exists. A stopped task can't be brought back:
its service starts another. An experiment of Fault Injection Service is stopped, and FIS puts back what its actions can put back.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any

from asgard.core.errors import Refused, WrongUsage
from asgard.loki.chaos.faults.machines import Labels, one_of
from asgard.loki.chaos.kind import FaultKind, FaultPlan, Notes, Reach
from asgard.loki.chaos.site import ChaosSite
from asgard.machines.aws import ebs, ecs, fis


def detach_volume(
    site: ChaosSite, volume: str | None = None, tags: Labels | None = None, region: str | None = None
) -> FaultPlan:
    """Detach an EBS volume by force, and attach it again afterwards."""
    chosen = one_of(site, "volume", volume, "tags", tags, lambda wanted: ebs.members(wanted, region))
    held = ebs.attachment(chosen, region)
    if held is None:
        raise Refused(f"{chosen} is not attached to an instance", "Name one that is, or its tags.")
    undo = {"volume": chosen, "instance": held[0], "device": held[1], "region": region}
    subject = f"volume {chosen}"
    return FaultPlan(
        subject, f"{subject} of {held[0]} detached", partial(_detach, chosen, held[0], region), undo, machines=1
    )


def stop_task(
    site: ChaosSite, cluster: str, task: str | None = None, tags: Labels | None = None, region: str | None = None
) -> FaultPlan:
    """Stop a task of an ECS cluster: its service starts another."""
    chosen = one_of(site, "task", task, "tags", tags, lambda wanted: ecs.members(cluster, wanted, region))
    subject = f"task {chosen.rpartition('/')[2]}"
    undo = {"task": chosen, "region": region}
    return FaultPlan(
        subject,
        f"{subject} of {cluster} stopped",
        partial(_stop, cluster, chosen, region),
        undo,
        machines=1,
        lasts=False,
    )


def run_fis_experiment(site: ChaosSite, template: str, machines: int = 1, region: str | None = None) -> FaultPlan:
    """Start an experiment of AWS Fault Injection Service, and stop it afterwards.

    `machines` is how many it may touch, for the blast radius: FIS picks them by the template. Raises Refused for a template
    without a stop condition: nothing would end it if Asgard could not.
    """
    if machines < 1:
        raise WrongUsage(f"machines is {machines}; allowed is 1 or more")
    found = fis.template(template, region)
    if not found.guarded:
        raise Refused(
            f"FIS template {template} has no stop condition",
            "Give it a CloudWatch alarm that stops it, then run it again.",
        )
    notes, token = Notes(), str(uuid.UUID(int=site.rng.getrandbits(128), version=4))
    subject = f"FIS template {template}"
    text = f"{subject} started: {', '.join(found.actions)}"
    undo = {"experiment": None, "template": template, "token": token, "region": region}
    return FaultPlan(
        subject, text, partial(_start, template, token, region, notes), undo, machines=machines, notes=notes
    )


def _detach(volume: str, instance: str, region: str | None) -> None:
    ebs.detach_volume(volume, instance, region)


def _stop(cluster: str, task: str, region: str | None) -> None:
    ecs.stop_task(cluster, task, region)


def _start(template: str, token: str, region: str | None, notes: Notes) -> None:
    notes.write({"experiment": fis.start(template, token, region)})


def _attached(reach: Reach, undo: Mapping[str, Any]) -> str:
    return ebs.attach_volume(str(undo["volume"]), str(undo["instance"]), str(undo["device"]), undo["region"])


def _restarted(reach: Reach, undo: Mapping[str, Any]) -> str:
    return f"{undo['task']} may have been stopped: its service starts another"


def _stopped(reach: Reach, undo: Mapping[str, Any]) -> str:
    experiment = undo["experiment"]
    if experiment is None:
        # Killed between the call and its answer: the same token finds the experiment it started, or starts one that is stopped at once.
        experiment = fis.start(str(undo["template"]), str(undo["token"]), undo["region"])
    return fis.stop(str(experiment), undo["region"])


KINDS = {
    "detach_volume": FaultKind(detach_volume, _attached),
    "stop_task": FaultKind(stop_task, _restarted),
    "run_fis_experiment": FaultKind(run_fis_experiment, _stopped),
}
