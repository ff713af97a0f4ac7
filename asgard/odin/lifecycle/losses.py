"""Which records the planned steps of a run would lose."""

from __future__ import annotations

import time

from asgard.core.errors import Unreachable
from asgard.kafka.model import ConfigChange
from asgard.kafka.ports import ControlPlane
from asgard.odin import targets
from asgard.odin.engine.state import State
from asgard.odin.engine.steps import Result, Step
from asgard.odin.lifecycle.session import Session
from asgard.odin.resources.dataloss import BROKER_RELEVANT, Loss, config_losses, deletion_losses
from asgard.odin.resources.kinds import CONFIG, TOPIC
from asgard.odin.spec.model import StackSpec


def losses_of(result: Result, session: Session, state: State, spec: StackSpec | None = None) -> list[Loss]:
    """The losses of all steps, by topic. Asks the cluster only if a step could lose anything.

    If the cluster of a local stack does not answer, the losses are unknown and none are listed.
    """
    gone = [_topic(step) for step in result.steps if step.type == TOPIC and step.op in ("delete", "replace")]
    changes = [change for step in result.steps if (change := config_change(step, state)) is not None]
    restarts = any(targets.holds_properties(s.type) and s.op in ("update", "replace") for s in result.steps)
    if not gone and not changes and not restarts:
        return []
    try:
        control = session.control(state)
        if spec is not None and restarts:
            changes.insert(0, _static_change(spec, control))
        found = config_losses(control, changes, int(time.time() * 1000))
        found |= deletion_losses(control, gone)
    except Unreachable:
        if session.external is not None:
            raise
        return []
    return [found[topic] for topic in sorted(found)]


def topics_of(result: Result) -> frozenset[str]:
    """The topics that a run's steps are about."""
    return frozenset(_topic(step) for step in result.steps if step.type == TOPIC)


def config_change(step: Step, state: State) -> ConfigChange | None:
    """The change of configs that a step makes to topics that exist; None for a step without any."""
    if (
        step.type not in (TOPIC, CONFIG)
        or step.op not in ("create", "update", "delete")
        or (step.type == TOPIC and step.op != "update")
    ):
        return None
    before = step.old if step.op != "create" else None
    after = step.new if step.op != "delete" else None
    old, new = ((values or {}).get("config") or {} for values in (before, after))
    changed = {key: value for key, value in new.items() if old.get(key) != value}
    unset = old.keys() - new.keys()
    if not changed and not unset:
        return None
    if step.type == TOPIC:
        return ConfigChange("topic", _topic(step), changed, tuple(sorted(unset)))
    previous = (state.live.get(step.urn, {}).get("outputs") or {}).get("previous") or {}
    back = {key: previous[key] for key in unset & previous.keys()}
    broker = (after or before or {}).get("broker", "")
    return ConfigChange("broker", broker, changed | back, tuple(sorted(unset - back.keys())))


def _static_change(spec: StackSpec, control: ControlPlane) -> ConfigChange:
    """What the server.properties of the stack file change of the configs in force. On AWS no step shows them.

    The cluster-wide default wins over them.
    """
    beneath = set(BROKER_RELEVANT) - control.broker_configs("").keys()
    wanted = spec.kafka.static_config | spec.kafka.dynamic_config
    return ConfigChange(
        "broker", "", {k: wanted[k] for k in beneath if k in wanted}, tuple(sorted(beneath - wanted.keys()))
    )


def _topic(step: Step) -> str:
    return str((step.old or step.new or {}).get("name", step.name))
