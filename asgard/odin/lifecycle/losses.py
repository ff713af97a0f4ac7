"""Which records the planned steps of a run would lose."""

from __future__ import annotations

import time

from asgard.core.errors import Unreachable
from asgard.kafka.model import ConfigChange
from asgard.odin.engine.state import State
from asgard.odin.engine.steps import Result, Step
from asgard.odin.lifecycle.session import Session
from asgard.odin.resources.dataloss import Loss, config_losses, deletion_losses, topic_defaults
from asgard.odin.resources.kinds import BROKER, CONFIG, TOPIC
from asgard.odin.spec.model import StackSpec

_CONFIGS = {TOPIC: "config", CONFIG: "config", BROKER: "staticConfig"}
"""Where a resource keeps the configs that decide how long records are kept."""


def losses_of(result: Result, session: Session, state: State, spec: StackSpec | None = None) -> list[Loss]:
    """The losses of all steps, by topic. Asks the cluster only if a step could lose anything.

    If the cluster of a local stack does not answer, the losses are unknown and none are listed.
    """
    gone = [_topic(step) for step in result.steps if step.type == TOPIC and step.op in ("delete", "replace")]
    changes: list[ConfigChange] = []
    for step in result.steps:
        change = config_change(step)
        if change is not None and change not in changes[-1:]:  # brokers of a stack all change alike
            changes.append(change)
    if not gone and not changes:
        return []
    try:
        control = session.control(state)
        version = spec.kafka.version if spec is not None else None
        defaults = topic_defaults(version, {**static_config(state), **control.broker_configs("")})
        found = config_losses(control, changes, defaults, int(time.time() * 1000))
        found |= deletion_losses(control, gone)
    except Unreachable:
        if session.external is not None:
            raise
        return []
    return [found[topic] for topic in sorted(found)]


def topics_of(result: Result) -> frozenset[str]:
    """The topics that a run's steps are about."""
    return frozenset(_topic(step) for step in result.steps if step.type == TOPIC)


def static_config(state: State) -> dict[str, str]:
    """The static configs that the nodes of a local stack run with; empty for other stacks."""
    found: dict[str, str] = next(
        (record["outputs"].get("staticConfig", {}) for record in state.live.values() if record["type"] == BROKER), {}
    )
    return found


def config_change(step: Step) -> ConfigChange | None:
    """The change of configs that a step makes to topics that exist; None for a step without any.

    A static config of the brokers counts as a change of the cluster-wide default: for topics it is one.
    """
    attribute = _CONFIGS.get(step.type)
    if (
        attribute is None
        or step.op not in ("create", "update", "delete")
        or (step.type != CONFIG and step.op != "update")
    ):
        return None
    before = step.old if step.op != "create" else None
    after = step.new if step.op != "delete" else None
    old, new = ((values or {}).get(attribute) or {} for values in (before, after))
    changed = {key: value for key, value in new.items() if old.get(key) != value}
    unset = tuple(sorted(old.keys() - new.keys()))
    if not changed and not unset:
        return None
    if step.type == TOPIC:
        return ConfigChange("topic", _topic(step), changed, unset)
    return ConfigChange(
        "broker", "" if step.type == BROKER else (after or before or {}).get("broker", ""), changed, unset
    )


def _topic(step: Step) -> str:
    return str((step.old or step.new or {}).get("name", step.name))
