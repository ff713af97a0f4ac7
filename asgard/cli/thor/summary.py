"""A plan in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgard.core import units

if TYPE_CHECKING:
    from asgard.cluster.plan import Plan


def summary(plan: Plan) -> str:
    """What the plan does, what it can't do and why, in a few lines."""
    head = f"{plan.kind} {' '.join(plan.arguments)}".strip()
    if not plan.moved:
        lines = [f"{head}: nothing to do" if not plan.unmet else f"{head}: nothing can be done"]
    else:
        bound = plan.lower_bound_bytes
        least = f" ({plan.bytes_moved / bound:.2f} of the least possible)" if bound else ""
        batches = "1 batch" if len(plan.batches) == 1 else f"{len(plan.batches)} batches"
        lines = [
            f"{head}: {_what_moves(plan)}, {units.format_size(plan.bytes_moved)} to copy{least},"
            f" {batches}, about {units.format_duration(plan.seconds)} at {units.format_size(plan.throttle_bytes_per_s)}/s a broker"
        ]
        before, after = plan.spread_before, plan.spread_after
        if plan.dir_changes:
            lines.append("log directories are evened one broker at a time; no replica leaves its broker")
        lines.append(
            "largest over mean, before -> after: "
            f"disk {before.disk:.2f} -> {after.disk:.2f}, replicas {before.replicas:.2f} -> {after.replicas:.2f}, "
            f"leaders {before.leaders:.2f} -> {after.leaders:.2f}"
        )
    for unmet in plan.unmet:
        lines += [f"not met: {unmet}", f"  what would help: {unmet.would_help}"]
    lines += [f"note: {note}" for note in plan.notes]
    return "\n".join(lines)


def _what_moves(plan: Plan) -> str:
    reordered = sum(set(change.after) == set(change.before) for change in plan.changes)
    parts = [
        (len(plan.changes) - reordered, "partition", ""),
        (reordered, "partition", " with another preferred leader only"),
        (len(plan.dir_changes), "replica", " to other log directories"),
    ]
    return ", ".join(f"{n} {what}{'' if n == 1 else 's'}{where}" for n, what, where in parts if n)
