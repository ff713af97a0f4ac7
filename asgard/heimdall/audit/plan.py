"""What is audited: tiers of topics, the width of the windows, and how long a window waits for late records. Read from a file or flags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asgard.core.errors import InvalidFile, WrongUsage

WINDOW_S = 600
LATENESS_S = 600.0


@dataclass(frozen=True)
class Tier:
    """A stage that records pass through."""

    name: str
    topics: tuple[str, ...]


@dataclass(frozen=True)
class AuditPlan:
    """One audit. Records that reached a tier are expected in the next one, in the window of their intended send time."""

    name: str
    tiers: tuple[Tier, ...]
    window_s: int = WINDOW_S
    lateness_s: float = LATENESS_S

    @property
    def topics(self) -> dict[str, int]:
        """Topic to the number of its tier."""
        return {topic: number for number, tier in enumerate(self.tiers) for topic in tier.topics}


def of_topics(topics: Sequence[str], name: str | None = None) -> AuditPlan:
    """Each topic is a tier, in the order given. Raises WrongUsage."""
    if doubled := {topic for topic in topics if topics.count(topic) > 1}:
        raise WrongUsage(f"{', '.join(sorted(doubled))} is given twice", "A topic belongs to one tier of an audit.")
    return AuditPlan(name or " > ".join(topics), tuple(Tier(topic, (topic,)) for topic in topics))


def read(path: Path) -> AuditPlan:
    """The audit of a YAML file (`asgard.audit/v1`). Raises InvalidFile and WrongUsage."""
    from asgard.core import yaml
    from asgard.core.schema.audit import AuditFile
    from asgard.core.schema.validate import check

    document = yaml.read(path)
    checked = check(document, AuditFile)
    if checked.value is None or checked.problems:
        raise InvalidFile(checked.problems)
    file, problems, tiers, topics = checked.value, [], set[str](), set[str]()
    for i, tier in enumerate(file.tiers):
        if tier.name in tiers:
            problems.append(document.problem(("tiers", i, "name"), f"is {tier.name!r}, as an earlier tier's"))
        tiers.add(tier.name)
        for j, topic in enumerate(tier.topics):
            if topic in topics:
                message = f"is {topic!r}, which is in a tier already; a topic belongs to one tier"
                problems.append(document.problem(("tiers", i, "topics", j), message))
            topics.add(topic)
    if file.window < 1 or file.window != int(file.window) or 86400 % int(file.window):
        problems.append(
            document.problem(("window",), "is not whole seconds that divide a day; allowed is 1m, 10m, 1h …")
        )
    if problems:
        raise InvalidFile(problems)
    found = tuple(Tier(tier.name, tuple(tier.topics)) for tier in file.tiers)
    return AuditPlan(file.name or path.stem, found, int(file.window), float(file.lateness))
