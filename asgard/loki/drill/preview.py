"""What a drill would do, in lines for people, before it asks for confirmation. Pure."""

from __future__ import annotations

from asgard.core.units import format_duration, format_size
from asgard.loki.drill.scenarios import PARTITIONS, SIZE_BYTES, DrillPlan, Strike

_WORDS = {
    "kill_broker": "broker {broker} is killed (SIGKILL)",
    "pause_broker": "broker {broker} hangs (SIGSTOP)",
    "kill_controller": "the active controller is killed (SIGKILL)",
    "lose_rack": "all brokers of rack {rack} are killed (SIGKILL)",
    "rolling_restart": "every broker is restarted, one after the other",
}
_ROLES = {
    "follower": "a follower hangs (SIGSTOP)",
    "leader": "the broker that leads its partitions is killed (SIGKILL)",
}


def preview(plan: DrillPlan, cluster: str, runs: int) -> list[str]:
    """What the drill would do, in lines for people."""
    safety = plan.safety
    lines = [f"drill {plan.scenario} on {cluster}, seed {plan.seed}: {plan.about}"]
    lines.append(
        f"  {plan.rate_per_s:,.0f} records/s of {format_size(SIZE_BYTES)} with acks={safety.acks} to a scratch topic of {PARTITIONS} "
        f"partitions, {safety.replication} replicas, min.insync.replicas={safety.min_isr}; deleted afterwards"
    )
    lines += [f"  {_when(plan, i)}: {_what(step)}" for i, step in enumerate(plan.steps)]
    lines.append("  Thor heals; the drill puts back what Thor leaves; then every record is checked")
    if plan.loses:
        lines.append(
            "  this scenario loses records of its topic on purpose; any other topic that trusts one replica may lose some too"
        )
    if runs > 1:
        lines.append(f"  and {runs - 1} more with the seeds up to {plan.seed + runs - 1}, each drawn anew")
    return lines


def _when(plan: DrillPlan, number: int) -> str:
    after = format_duration(plan.steps[number].after_s)
    if number == 0:
        return f"{after} after the start"
    return f"{after} after that began" if not plan.steps[number - 1].alone else f"{after} after that is healed"


def _what(step: Strike) -> str:
    text = _WORDS.get(step.action, step.action).format(**step.arguments) if step.role is None else _ROLES[step.role]
    return f"{text} for {format_duration(step.lasts_s)}" if step.lasts_s is not None else text
