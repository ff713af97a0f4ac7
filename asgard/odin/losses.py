"""Which records the planned steps of a run would lose."""

from __future__ import annotations

import time

from asgard.core.errors import Unreachable
from asgard.kafka.model import ConfigChange
from asgard.odin.dataloss import Loss, config_losses, deletion_losses, topic_defaults
from asgard.odin.engine.state import State
from asgard.odin.engine.steps import Result, Step
from asgard.odin.resources.kinds import CONFIG, TOPIC
from asgard.odin.session import Session
from asgard.odin.spec import StackSpec


def losses_of(result: Result, session: Session, state: State, spec: StackSpec | None = None) -> list[Loss]:
    """The losses of all steps, by topic. Asks the cluster only where a step could lose anything.

    Where the cluster of a local stack does not answer, nothing is known and nothing is named.
    """
    gone = [_topic(step) for step in result.steps if step.type == TOPIC and step.op in ("delete", "replace")]
    changes = [change for step in result.steps if (change := config_change(step)) is not None]
    if not gone and not changes:
        return []
    try:
        control = session.control(state)
        version = spec.kafka.version if spec is not None else None
        brokers = control.broker_configs("")
        if spec is not None:
            brokers = {**spec.kafka.static_config, **brokers}
        found = config_losses(control, changes, topic_defaults(version, brokers), int(time.time() * 1000))
        found |= deletion_losses(control, gone)
    except Unreachable:
        if session.external is not None:
            raise
        return []
    return [found[topic] for topic in sorted(found)]


def config_change(step: Step) -> ConfigChange | None:
    """The change of dynamic configs that an update makes; None for any other step."""
    if step.op != "update" or step.type not in (TOPIC, CONFIG):
        return None
    old, new = ((values or {}).get("config") or {} for values in (step.old, step.new))
    changed = {key: value for key, value in new.items() if old.get(key) != value}
    unset = tuple(sorted(old.keys() - new.keys()))
    if not changed and not unset:
        return None
    kind, name = ("topic", _topic(step)) if step.type == TOPIC else ("broker", (step.new or {}).get("broker", ""))
    return ConfigChange("topic" if kind == "topic" else "broker", name, changed, unset)


def _topic(step: Step) -> str:
    return str((step.old or step.new or {}).get("name", step.name))
