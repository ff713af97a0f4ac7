"""What a run may do beyond the ordinary, and the sentences that refuse the rest."""

from __future__ import annotations

from dataclasses import dataclass, field

from asgard.core.errors import Refused


@dataclass(frozen=True)
class Permits:
    """`allow_data_loss`: topics that may lose records. `adopting`: URNs whose creation a former run began and never ended."""

    allow_data_loss: frozenset[str] = field(default_factory=frozenset)
    adopting: frozenset[str] = field(default_factory=frozenset)


def exists_already(what: str, because: str = "") -> Refused:
    """The refusal of a thing that is there and isn't in the state."""
    return Refused(
        f"{what} exists already and isn't this stack's{f' ({because})' if because else ''}",
        "Take it over with `asgard odin import`, or choose another name.",
    )


def loses_records(topic: str, records: int | None, doing: str) -> Refused:
    """The refusal of a change that would lose records."""
    held = (
        "may hold records (a partition without leader can't tell)" if records is None else f"holds {records:,} records"
    )
    return Refused(f"{doing} would lose data: the topic {topic} {held}", f"If that is meant: --allow-data-loss {topic}")
