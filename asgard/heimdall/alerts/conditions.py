"""Does a rule hold, and where? Pure: one function for each kind of rule, from what was seen to findings.

If something was not measured, its rule neither holds nor fails: `unknown` names it, and its alert stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from asgard.core.schema.alerts import RuleKind
from asgard.core.units import format_duration, format_size
from asgard.heimdall.alerts.model import AlertRule, RuleMatch, Seen, Verdicts, Volume
from asgard.heimdall.lag.model import UNDATED, GroupLag
from asgard.heimdall.owners import Owners

NOTHING_KNOWN = Verdicts((), None)
LEAST_TREND_S = 3600.0
"""A trend needs samples over at least this long."""
DEFAULT_TIME_LAG_S, DEFAULT_LOSS_S, DEFAULT_DISK_S = 300.0, 6 * 3600.0, 7 * 86400.0


def judge(rule: AlertRule, seen: Seen, owners: Owners) -> Verdicts:
    """Where the rule holds now."""
    return _KINDS[rule.kind](rule, seen, owners)


def _time_lag(rule: AlertRule, seen: Seen, owners: Owners) -> Verdicts:
    above = DEFAULT_TIME_LAG_S if rule.above is None else rule.above
    found, unknown = [], set()
    for group in _groups(rule, seen):
        if group.time_lag_s is not None and group.time_lag_s > above:
            text = f"{group.name}: the oldest unread record is {format_duration(group.time_lag_s)} old (allowed: {format_duration(above)})"
            found.append(_of_group(group, text, group.time_lag_s, owners))
        elif group.lag is None or group.unmeasured & UNDATED:
            unknown.add(group.name)
    return _grouped(found, unknown, seen)


def _data_loss(rule: AlertRule, seen: Seen, owners: Owners) -> Verdicts:
    within = DEFAULT_LOSS_S if rule.within_s is None else rule.within_s
    found, unknown = [], set()
    for group in _groups(rule, seen):
        left = group.loses_data_in_s
        if left is not None and left <= within and group.lag:
            when = f"in {format_duration(left)}" if left > 0 else "now"
            text = f"{group.name}: retention begins to delete unread records {when} ({group.lag:,} are unread)"
            found.append(_of_group(group, text, left, owners))
        elif group.lag is None or group.unmeasured & UNDATED:
            unknown.add(group.name)
    return _grouped(found, unknown, seen)


def _group_stopped(rule: AlertRule, seen: Seen, owners: Owners) -> Verdicts:
    found, unknown = [], set()
    for group in _groups(rule, seen):
        if group.status in ("stalled", "stopped"):
            text = f"{group.name} is {group.status}: {group.because}"
            found.append(_of_group(group, text, float(group.lag or 0), owners))
        elif (group.lag is None and group.status == "unknown") or group.unmeasured & {"lag", "pace"}:
            unknown.add(group.name)
    return _grouped(found, unknown, seen)


def _volume_missing(rule: AlertRule, seen: Seen, owners: Owners) -> Verdicts:
    if seen.volume is None:
        return NOTHING_KNOWN
    by_topic: dict[str, RuleMatch] = {}
    unknown = set()
    for one in sorted(seen.volume, key=lambda c: c.count.window.start):
        topic = one.count.topic
        if not _matches(topic, rule.topics):
            continue
        if one.verdict == "unknown":
            unknown.add(topic)
        elif one.verdict in ("missing", "low", "late"):
            window = one.count.window
            labels = {
                "topic": topic,
                "owner": owners.of_topic(topic),
                "hour": window.label,
                "from": _utc(window.start),
                "until": _utc(window.end),
            }
            text = f"{topic}: records of {window.label} are {one.verdict}: {one.because}"
            by_topic[topic] = RuleMatch(topic, text, float(one.count.records or 0), labels)
    return Verdicts(tuple(by_topic.values()), frozenset(unknown - by_topic.keys()))


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _under_replicated(rule: AlertRule, seen: Seen, owners: Owners) -> Verdicts:
    if seen.under_replicated is None or seen.offline is None:
        return NOTHING_KNOWN
    if seen.offline == 0 and seen.under_replicated <= (rule.above or 0):
        return Verdicts()
    text = f"{seen.under_replicated:,} partitions are under-replicated"
    if seen.offline:
        text += f", {seen.offline:,} have no leader"
    return Verdicts((RuleMatch("cluster", text, float(seen.under_replicated)),))


def _disk_full(rule: AlertRule, seen: Seen, owners: Owners) -> Verdicts:
    if seen.disks is None:
        return NOTHING_KNOWN
    within = DEFAULT_DISK_S if rule.within_s is None else rule.within_s
    found, unknown = [], set()
    for name, samples in seen.disks.items():
        left = full_in_s(samples)
        if left is None:
            unknown.add(name)
        elif left <= within:
            now = samples[-1]
            free = format_size(max(now.capacity_bytes - now.used_bytes, 0))
            text = f"{name} is full in {format_duration(left)} at the rate of the last {format_duration(now.at - samples[0].at)} ({free} are free)"
            found.append(RuleMatch(name, text, left, {"disk": name}))
    return Verdicts(tuple(found), frozenset(unknown))


def full_in_s(samples: Sequence[Volume]) -> float | None:
    """When a volume is full at the trend of its samples (least squares); infinite if it does not grow, None: too few samples."""
    if not samples:
        return None
    now = samples[-1]
    if now.used_bytes >= now.capacity_bytes:
        return 0.0
    if now.at - samples[0].at < LEAST_TREND_S or len(samples) < 3:
        return None
    mean_at = sum(s.at for s in samples) / len(samples)
    mean_used = sum(s.used_bytes for s in samples) / len(samples)
    spread = sum((s.at - mean_at) ** 2 for s in samples)
    growth = sum((s.at - mean_at) * (s.used_bytes - mean_used) for s in samples) / spread
    return (now.capacity_bytes - now.used_bytes) / growth if growth > 0 else float("inf")


def _audit_loss(rule: AlertRule, seen: Seen, owners: Owners) -> Verdicts:
    if seen.losses is None:
        return NOTHING_KNOWN
    found = [
        RuleMatch(
            f"{one.audit}/{one.topic}",
            f"audit {one.audit}: {one.lost:,} records are missing in {one.topic}",
            float(one.lost),
            {"topic": one.topic, "owner": owners.of_topic(one.topic), "audit": one.audit},
            {"from": one.from_s, "until": one.until_s, "lost": one.lost},
        )
        for one in seen.losses
        if one.lost > (rule.above or 0) and _matches(one.topic, rule.topics)
    ]
    return Verdicts(tuple(found))


def _canary(rule: AlertRule, seen: Seen, owners: Owners) -> Verdicts:
    if seen.canary is None:
        return NOTHING_KNOWN
    found = [
        RuleMatch(broker, f"{broker}: {why}", 1.0, {"broker": broker.removeprefix("broker ")})
        for broker, why in seen.canary.items()
        if why
    ]
    return Verdicts(tuple(found))


_KINDS: dict[RuleKind, Callable[[AlertRule, Seen, Owners], Verdicts]] = {
    "time-lag": _time_lag,
    "data-loss": _data_loss,
    "group-stopped": _group_stopped,
    "volume-missing": _volume_missing,
    "under-replicated": _under_replicated,
    "disk-full": _disk_full,
    "audit-loss": _audit_loss,
    "canary": _canary,
}


def _groups(rule: AlertRule, seen: Seen) -> list[GroupLag]:
    return [g for g in seen.groups or () if _matches(g.name, rule.groups)]


def _grouped(found: list[RuleMatch], unknown: set[str], seen: Seen) -> Verdicts:
    """Groups that are not in the list are gone, unless a coordinator did not answer: then they are unknown."""
    if seen.groups is None:
        return NOTHING_KNOWN
    return Verdicts(tuple(found), None if seen.unknown_groups else frozenset(unknown))


def _of_group(group: GroupLag, text: str, value: float, owners: Owners) -> RuleMatch:
    """`topic` is that of its worst partition: where something can be done."""
    labels = {"group": group.name, "owner": owners.of_group(group.name)}
    if group.worst:
        labels["topic"] = group.worst[0].topic
    elif group.topics:
        labels["topic"] = group.topics[0]
    return RuleMatch(group.name, text, value, labels)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, p) for p in patterns)
