"""Which brokers exceed their limits, counted in the same way as in the planner. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from asgard.cluster.placement import Placement
from asgard.core import units


@dataclass(frozen=True)
class OverLimit:
    """A broker over a limit; `value` and `limit` in readable form."""

    broker: int
    what: str
    value: str
    limit: str
    would_help: str
    log_dir: str = ""

    def __str__(self) -> str:
        where = f"the log directory {self.log_dir} of broker {self.broker}" if self.log_dir else f"broker {self.broker}"
        return f"{where} is over its limit of {self.what}: {self.value}, allowed {self.limit}. {self.would_help}"


def over_limits(placement: Placement) -> list[OverLimit]:
    """Every limit exceeded by a broker that is up. Unmeasured values never count as exceeded."""
    return [over for b in range(len(placement.brokers)) if placement.up[b] for over in _of(placement, b)]


def _of(placement: Placement, b: int) -> Iterator[OverLimit]:
    broker = placement.ids[b]
    balance = "`asgard thor plan balance` shows what could move."
    capacity = placement.capacity[b]
    if capacity and placement.disk[b] > placement.disk_cap[b]:
        used = placement.disk[b] + placement.base[b]
        other = placement.base[b] > placement.disk[b]
        helps = (
            f"{units.format_size(placement.base[b])} of that is not Kafka's: make room on the volume."
            if other
            else balance
        )
        limit = f"{placement.limits.of(broker).disk or 1.0:.0%} of {units.format_size(capacity)}"
        yield OverLimit(broker, "disk", f"{used / capacity:.1%}", limit, helps)
    several = len(placement.brokers[b].log_dirs) > 1
    for d in placement.dirs.of.get(b, ()) if several else ():
        if d.capacity and d.bytes > d.cap:
            other = d.base > d.bytes and all((p, b) in placement.dirs.at for p in placement.on[b])
            helps = f"`asgard thor plan disks {broker}` shows what could move."
            if other:
                helps = f"{units.format_size(d.base)} of that are not replicas: make room on the volume."
            limit = f"{d.disk:.0%} of {units.format_size(d.capacity)}"
            yield OverLimit(broker, "disk", f"{d.used / d.capacity:.1%}", limit, helps, d.path)
    if placement.count[b] > placement.count_cap[b]:
        yield OverLimit(broker, "replicas", str(placement.count[b]), f"{placement.count_cap[b]:.0f}", balance)
    if placement.leads[b] > placement.leads_cap[b]:
        helps = "`asgard thor plan leaders` shows which brokers could lead instead."
        yield OverLimit(broker, "leaders", str(placement.leads[b]), f"{placement.leads_cap[b]:.0f}", helps)
    for what, value, cap in (
        ("bytes in", placement.bytes_in[b], placement.in_cap[b]),
        ("bytes out", placement.bytes_out[b], placement.out_cap[b]),
    ):
        if value > cap:
            yield OverLimit(broker, what, f"{units.format_size(value)}/s", f"{units.format_size(cap)}/s", balance)
