"""After an `up`: wait until users can log in and work on every broker, not only on the one that was asked.

Kafka's controller confirms a change before every broker has applied it; on a busy machine one of them could refuse a
client that connects right away.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from asgard.core.errors import Unreachable
from asgard.kafka.ports import ControlPlane
from asgard.odin.engine.steps import Result
from asgard.odin.resources.identity import acl_of
from asgard.odin.resources.kinds import ACL, USER

WAIT_S = 10.0
_POLL_S = 0.05


def wait_for_access(connected: Callable[[], ControlPlane], result: Result) -> bool:
    """Wait until every broker that is up shows the users and ACLs that a run created; False if that timed out.

    A broker that does not answer is skipped: it gets them before it serves again.
    """
    made = [step for step in result.steps if step.op in ("create", "replace") and step.new]
    users = {str((step.new or {})["name"]) for step in made if step.type == USER}
    acls = {acl_of(step.new or {}) for step in made if step.type == ACL}
    if not users and not acls:
        return True
    until = time.monotonic() + WAIT_S
    control = connected()
    for broker in control.cluster().brokers:
        if broker.state != "up":
            continue
        try:
            while not (users <= control.users(broker.id).keys() and (not acls or acls <= control.acls(broker.id))):
                if time.monotonic() > until:
                    return False
                time.sleep(_POLL_S)
        except Unreachable:
            continue
    return True
