"""Throttles clients: sets a client quota for a while."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asgard.core.errors import WrongUsage
from asgard.kafka.model import QuotaEntity
from asgard.kafka.ports import ControlPlane
from asgard.loki.chaos.kind import FaultKind, FaultPlan, Reach
from asgard.loki.chaos.site import ChaosSite


def squeeze_quota(
    site: ChaosSite,
    user: str | None = None,
    client_id: str | None = None,
    produce: float | None = None,
    consume: float | None = None,
) -> FaultPlan:
    """Limit a user, a client id or both to so many bytes a second. An empty name means all that have no quota of their own."""
    entity = QuotaEntity(user, client_id)
    ours = {
        name: float(value)
        for name, value in (("producer_byte_rate", produce), ("consumer_byte_rate", consume))
        if value is not None
    }
    if user is None and client_id is None:
        raise WrongUsage(
            "no user or client id was named",
            "Give user, client_id or both; '' is the default for all without their own quota.",
        )
    if not ours or min(ours.values()) < 1:
        raise WrongUsage("no rate was given", "Give produce, consume or both: bytes a second, 1 or more.")
    before = site.control.quotas().get(entity, {})

    def do() -> None:
        set_quota(site.control, entity, ours)

    who = " and ".join(
        f"{what} {name or 'any'}" for what, name in (("user", user), ("client id", client_id)) if name is not None
    )
    undo = {
        "user": user, "client_id": client_id, "ours": ours, "before": {name: before.get(name) for name in ours},
    }  # fmt: skip
    rates = ", ".join(f"{name.partition('_')[0]} {value:.0f} bytes/s" for name, value in ours.items())
    return FaultPlan(f"quota of {who}", f"quota of {who} squeezed: {rates}", do, undo)


def set_quota(control: ControlPlane, entity: QuotaEntity, values: Mapping[str, float | None]) -> None:
    """Set quotas (None: remove). Raises Kafka's error if it refuses."""
    for error in control.alter_quotas({entity: values}).values():
        if error is not None:
            raise error


def put_back(reach: Reach, undo: Mapping[str, Any]) -> str:
    """Restore quotas that are still as they were set; other tools have changed the others.

    One that already reads as before is written anyway: the broker that was asked may not have seen the change yet.
    """
    control, entity = reach.control(), QuotaEntity(undo["user"], undo["client_id"])
    now = control.quotas().get(entity, {})
    before = undo["before"]
    back = {name: before[name] for name, ours in undo["ours"].items() if now.get(name) in (ours, before[name])}
    if not back:
        return "another tool has changed the quota since; it stays"
    set_quota(control, entity, back)
    return "the quota is restored"


KINDS = {"squeeze_quota": FaultKind(squeeze_quota, put_back)}
