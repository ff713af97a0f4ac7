"""What a load would do, in lines for people, before it asks for confirmation. Pure."""

from __future__ import annotations

from asgard.core.units import format_size
from asgard.loki.load.pace import SendSchedule
from asgard.loki.load.scenario import Producers, Scenario, Values
from asgard.loki.load.scratch import WrittenTopics


def preview(load: Scenario, topics: WrittenTopics, cluster: str, workers: int) -> list[str]:
    """What the load would do, in lines for people."""
    warm_up = f" ({load.warm_up_words})" if load.warm_up_s else ""
    what = "load" if load.name == "load" else f"load {load.name}"
    lines = [f"{what} on {cluster}: {load.duration_s:g} s{warm_up}, {workers} worker{'s' if workers > 1 else ''}"]
    for group in load.producers:
        size = "rides" if group.values.events else group.values.file or _sizes(group.values)
        how = (
            f"{_records(group)} records at most" if group.open_loop else f"full speed, {load.records:,} records at most"
        )
        lines.append(f"  {group.users} x {group.name}: {how} of {size}, acks={group.acks}")
    for new in topics.new:
        where = f"{new.partitions} partitions, replication {new.replication}"
        lines.append(f"  scratch topic {new.name} for {topics.stands_in[new.name]}: {where}; deleted afterwards")
    lines += [f"  writes into the topic {name} itself" for name in topics.in_place]
    return lines


def _sizes(values: Values) -> str:
    if values.smallest_bytes == values.largest_bytes:
        return format_size(values.largest_bytes)
    return f"{format_size(values.smallest_bytes)} to {format_size(values.largest_bytes)}"


def _records(group: Producers) -> str:
    return f"{SendSchedule(group.stages).total:,}"
