"""Limits set by the owner of a cluster: how full a broker may be, and how fast data may move.

Read from the `limits:` of a stack file or of `thor.yaml`. Fractions are of 1, sizes bytes, rates bytes per second. A
plan never breaks hard limits; `tolerance` is a goal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from asgard.core.errors import InvalidFile

if TYPE_CHECKING:
    from asgard.core.schema.limits import DirectoryLimits

DEFAULT_THROTTLE_BYTES_PER_S = 50_000_000


@dataclass(frozen=True)
class DirectoryLimit:
    """Hard limits of one log directory. `capacity_bytes` None: what its volume reports; `disk` None: its broker's."""

    disk: float | None = None
    capacity_bytes: int | None = None


@dataclass(frozen=True)
class BrokerLimit:
    """Hard limits of one broker; None: no limit. `capacity_bytes` None: what its log directories report.

    `log_dirs` has the directories that differ, by path.
    """

    disk: float | None = None
    capacity_bytes: int | None = None
    bytes_in_per_s: float | None = None
    bytes_out_per_s: float | None = None
    replicas: int | None = None
    leaders: int | None = None
    log_dirs: dict[str, DirectoryLimit] = field(default_factory=dict)


@dataclass(frozen=True)
class Limits:
    """Limits of a cluster. `of` has those of one broker, `of_directory` those of one log directory."""

    disk: float = 0.8
    bytes_in_per_s: float | None = None
    bytes_out_per_s: float | None = None
    replicas: int | None = None
    leaders: int | None = None
    tolerance: float = 0.1
    min_gain: float = 0.05
    exclude_topics: tuple[str, ...] = ()
    exclude_brokers: frozenset[int] = frozenset()
    throttle_bytes_per_s: float | None = None
    moves_per_broker: int | None = None
    batch_bytes: int | None = None
    windows: tuple[str, ...] = ()
    brokers: dict[int, BrokerLimit] = field(default_factory=dict)
    log_dirs: dict[str, DirectoryLimit] = field(default_factory=dict)

    def of_directory(self, broker: int, path: str) -> DirectoryLimit:
        """The limits of a log directory: those of that broker, else of that path on all brokers. A broker's own `disk`
        overrides them."""
        own = self.brokers.get(broker, BrokerLimit())
        here, everywhere = own.log_dirs.get(path, DirectoryLimit()), self.log_dirs.get(path, DirectoryLimit())
        disk = own.disk if here.disk is None else here.disk
        return DirectoryLimit(
            everywhere.disk if disk is None else disk,
            everywhere.capacity_bytes if here.capacity_bytes is None else here.capacity_bytes,
        )

    def of(self, broker: int) -> BrokerLimit:
        """The hard limits of a broker: its own if it has them, else those of all."""
        own = self.brokers.get(broker, BrokerLimit())
        return BrokerLimit(
            self.disk if own.disk is None else own.disk,
            own.capacity_bytes,
            self.bytes_in_per_s if own.bytes_in_per_s is None else own.bytes_in_per_s,
            self.bytes_out_per_s if own.bytes_out_per_s is None else own.bytes_out_per_s,
            self.replicas if own.replicas is None else own.replicas,
            self.leaders if own.leaders is None else own.leaders,
            own.log_dirs,
        )

    def excludes_topic(self, topic: str) -> bool:
        """Whether the topic is moved only if a broker must be emptied."""
        return any(fnmatchcase(topic, pattern) for pattern in self.exclude_topics)

    @property
    def rate_bytes_per_s(self) -> float:
        """The rate used for planning: the throttle, or 50 MB/s if none is set."""
        return self.throttle_bytes_per_s or DEFAULT_THROTTLE_BYTES_PER_S


def read(path: Path | str) -> Limits:
    """The `limits:` of a YAML file; the defaults if it has none. Raises InvalidFile and WrongUsage."""
    from asgard.core import yaml
    from asgard.core.schema.limits import LimitsFile
    from asgard.core.schema.validate import check

    document = yaml.read(path)
    checked = check(document, LimitsFile)
    problems = list(checked.problems)
    section = checked.value.limits if checked.value else None
    for key in section.brokers if section else ():
        if not key.isdecimal():
            problems.append(
                document.problem(("limits", "brokers", key), "is not a broker id; allowed are broker ids", at_key=True)
            )
    if problems or section is None:
        raise InvalidFile(problems)
    return Limits(
        section.disk,
        section.bytes_in,
        section.bytes_out,
        section.replicas,
        section.leaders,
        section.tolerance,
        section.min_gain,
        tuple(section.exclude_topics),
        frozenset(section.exclude_brokers),
        section.throttle,
        section.moves_per_broker,
        section.batch,
        tuple(section.windows),
        {
            int(key): BrokerLimit(
                b.disk, b.capacity, b.bytes_in, b.bytes_out, b.replicas, b.leaders, _directories(b.log_dirs)
            )
            for key, b in section.brokers.items()
        },
        _directories(section.log_dirs),
    )


def _directories(section: Mapping[str, DirectoryLimits]) -> dict[str, DirectoryLimit]:
    return {path: DirectoryLimit(d.disk, d.capacity) for path, d in section.items()}
