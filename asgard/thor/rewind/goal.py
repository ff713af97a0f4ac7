"""Where a group should continue reading, by partition, and what it would reread or skip. Pure: offsets in, offsets out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from asgard.core.errors import InvalidFile, Problem, WrongUsage
from asgard.kafka.model import Offsets

TopicPartition = tuple[str, int]


@dataclass(frozen=True)
class Goal:
    """What was requested. `offsets` are those of a file or another group; `by` shifts (negative: back)."""

    kind: Literal["start", "end", "time", "offsets", "by"]
    words: str
    at_ms: int = 0
    by: int = 0
    offsets: dict[TopicPartition, int] = field(default_factory=dict)


@dataclass(frozen=True)
class OffsetChange:
    """A partition's committed offset before and after (None: none). `start` and `end` are what the partition holds."""

    topic: str
    partition: int
    before: int | None
    after: int | None
    start: int
    end: int

    @property
    def read_again(self) -> int:
        """Offsets that the group would read a second time; an upper bound of the records."""
        if self.before is None or self.after is None:
            return 0
        return max(0, min(self.before, self.end) - max(self.after, self.start))

    @property
    def skipped(self) -> int:
        """Unread offsets that the group would skip."""
        if self.before is None or self.after is None:
            return 0
        return max(0, self.after - max(self.before, self.start))


def changes(
    goal: Goal,
    committed: Mapping[TopicPartition, int],
    holds: Mapping[TopicPartition, Offsets],
    at: Mapping[TopicPartition, int],
) -> list[OffsetChange]:
    """The partitions whose offset changes. `holds` are the partitions considered, `at` the offsets of the goal's time.

    Offsets outside a partition's range become its first or last.
    """
    found = []
    for (topic, partition), known in sorted(holds.items()):
        before = committed.get((topic, partition))
        after = _wanted(goal, (topic, partition), before, known, at)
        if after is None:
            continue
        after = max(known.start, min(after, known.end))
        if after != before:
            found.append(OffsetChange(topic, partition, before, after, known.start, known.end))
    return found


def _wanted(
    goal: Goal, key: TopicPartition, before: int | None, known: Offsets, at: Mapping[TopicPartition, int]
) -> int | None:
    match goal.kind:
        case "start":
            return known.start
        case "end":
            return known.end
        case "time":
            return at.get(key, known.end)
        case "by":
            return None if before is None else before + goal.by
        case _:
            return goal.offsets.get(key)


def read_file(path: Path, group: str) -> dict[TopicPartition, int]:
    """The offsets of a CSV file as exported by Kafka's kafka-consumer-groups: `topic,partition,offset`, optionally preceded by the group.

    Lines of other groups are skipped. Raises InvalidFile and WrongUsage.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"can't read the offsets {path}: {error}") from error
    found: dict[TopicPartition, int] = {}
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        cells = [cell.strip().strip('"') for cell in line.split(",")]
        if not line.strip() or line.startswith("#"):
            continue
        if len(cells) not in (3, 4):
            problems.append(
                Problem(str(path), number, 1, "", "allowed is topic,partition,offset, or group,topic,partition,offset")
            )
            continue
        if len(cells) == 4 and cells.pop(0) != group:
            continue
        bad = next(
            (name for name, cell in zip(("partition", "offset"), cells[1:], strict=True) if not cell.isdecimal()), None
        )
        if bad is not None:
            cell = cells[1] if bad == "partition" else cells[2]
            problems.append(
                Problem(
                    str(path),
                    number,
                    line.index(cell) + 1 if cell else 1,
                    bad,
                    f"is {cell!r}; allowed is a whole number",
                )
            )
            continue
        found[cells[0], int(cells[1])] = int(cells[2])
    if problems:
        raise InvalidFile(problems)
    if not found:
        raise WrongUsage(f"{path} holds no offset of group {group}", "Write lines of topic,partition,offset.")
    return found
