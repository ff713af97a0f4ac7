"""`thor apply`: runs a plan on a command's cluster, and holds the cluster meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from asgard.core import events, units
from asgard.core.errors import WrongUsage
from asgard.kafka.target import Target

if TYPE_CHECKING:
    from asgard.cluster.limits import Limits
    from asgard.cluster.moves import Cancelled, Executed
    from asgard.cluster.plan import Plan
    from asgard.kafka.ports import ControlPlane

CANCEL_WAIT_S = 30.0
"""How long a cancel waits for the run it ends to hand over."""


def throttle_of(text: str | None, plan: Plan) -> float | Literal["auto"] | None:
    """The throttle of `--throttle`: bytes per second and broker, `auto`, or None for none.

    Without the option, the throttle the plan was calculated with, and none for a healing. Raises WrongUsage.
    """
    if text is None:
        return None if plan.kind == "heal" else plan.throttle_bytes_per_s
    if text == "auto":
        return "auto"
    if text == "none":
        return None
    try:
        rate = units.parse_rate(text)
        if rate <= 0:
            raise ValueError(f"is {text!r}; allowed is a rate above 0, as in 50MB/s")
    except ValueError as error:
        raise WrongUsage(f"--throttle {error}", "auto and none are allowed too.") from error
    return rate


def apply(
    target: Target,
    plan: Plan,
    limits: Limits,
    *,
    throttle: float | Literal["auto"] | None,
    confirm: str | None = None,
    control: ControlPlane | None = None,
) -> Executed:
    """Run a plan. Raises what `compose.holding.to_change` and `cluster.moves.run` raise."""
    from asgard.cluster import moves
    from asgard.compose import holding
    from asgard.thor.plan import replan

    with holding.to_change(
        target,
        priority=moves.PRIORITIES[plan.kind],
        doing=f"thor {plan.title}",
        confirm=confirm,
        healing=plan.kind == "heal",
        control=control,
    ) as held:
        if plan.kind == "heal":
            dead = {b.id for b in held.control.cluster().brokers if b.state != "up"}
            inherited = moves.inherit(held, dead)
            if inherited.from_whom:
                events.note(str(inherited))
            ended = moves.end_stuck(held, dead)
            if ended.moves:
                events.note(str(ended))
        return moves.run(held, plan, limits, replan=replan.again, throttle=throttle)


def cancel(target: Target, confirm: str | None = None) -> Cancelled:
    """Take back what is running or half done; an active run hands over first. Raises what `holding.to_change` raises."""
    from asgard.cluster import moves
    from asgard.compose import holding
    from asgard.journal.leases import Priority

    with holding.to_change(
        target, priority=Priority.CANCEL, doing="thor cancel", confirm=confirm, wait_s=CANCEL_WAIT_S
    ) as held:
        return moves.cancel(held)
