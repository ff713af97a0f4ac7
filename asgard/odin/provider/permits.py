"""What a run may do beyond the ordinary, and the sentences that refuse the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from asgard.core.errors import Refused
from asgard.odin.resources.dataloss import Loss


@dataclass(frozen=True)
class Permits:
    """`allow_data_loss`: topics that may lose records. `adopting`: URNs whose creation an earlier run began and never
    finished."""

    allow_data_loss: frozenset[str] = field(default_factory=frozenset)
    adopting: frozenset[str] = field(default_factory=frozenset)

    def check_losses(self, losses: Mapping[str, Loss]) -> None:
        """Raise Refused if a change deletes records of a topic that was not named."""
        lost = [losses[name] for name in sorted(losses) if name not in self.allow_data_loss]
        if lost:
            told = "; ".join(f"{counted(loss.records)} of {loss.topic} ({', '.join(loss.why)})" for loss in lost)
            allow = " ".join(f"--allow-data-loss {loss.topic}" for loss in lost)
            raise Refused(f"this may delete {told}", f"To allow it: {allow}")


def counted(records: int) -> str:
    """`1 record`, `12,000 records`."""
    return f"{records:,} record{'' if records == 1 else 's'}"


def exists_already(what: str, because: str = "") -> Refused:
    """The refusal of a resource that exists and isn't in the state."""
    return Refused(
        f"{what} exists already and isn't this stack's{f' ({because})' if because else ''}",
        "Take it over with `asgard odin import`, or choose another name.",
    )


def loses_records(topic: str, records: int | None, doing: str) -> Refused:
    """The refusal of a change that would lose records."""
    if records is None:
        held = "may hold records (a partition without leader can't tell)"
    else:
        held = f"holds {counted(records)}"
    return Refused(f"{doing} would lose data: the topic {topic} {held}", f"To allow it: --allow-data-loss {topic}")
