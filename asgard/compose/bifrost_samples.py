"""A few records of a topic for the catalogue: read by Heimdall, masked before display, with a record of who looked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asgard.bifrost import samples
from asgard.bifrost.gate import Bifrost
from asgard.bifrost.teams import Actor
from asgard.compose import bifrost_stack
from asgard.core.errors import WrongUsage

MOST_PARTITIONS = 64
"""Of a topic with more, only this many are sampled."""


@dataclass(frozen=True)
class RecordSample:
    """Records of a topic, newest last: as `heimdall peek --json` returns them, and how many partitions were sampled."""

    topic: str
    environment: str
    masked: bool
    partitions: int
    records: tuple[dict[str, Any], ...] = ()


def sample(
    gate: Bifrost, who: Actor, name: str, environment: str | None = None, last: int | None = None
) -> RecordSample:
    """The newest records of a topic, for those allowed to see them. `last`: this many, at most what bifrost.yaml allows."""
    from asgard.heimdall.tail import masks as masking
    from asgard.heimdall.tail import read
    from asgard.heimdall.tail.show import Shown
    from asgard.journal import events as journalled
    from asgard.journal.store.database import open_journal
    from asgard.odin.lifecycle import session

    where = gate.environment(environment)
    rule = samples.rule_for(gate, who, name, where.name)
    count = rule.last if last is None else min(last, rule.last)
    masks = masking.read(rule.masks) if rule.masks is not None else masking.Masks()
    spec = bifrost_stack.stack_spec(where)
    with session.reading(spec.name, spec) as opened:
        state = opened.store.load()
        connection, control = opened.connection(state), opened.control(state)
        if connection is None:
            raise WrongUsage(f"stack {spec.name} has no cluster yet", f"asgard odin up -f {where.stack}")
        chosen = {name: set(range(MOST_PARTITIONS))}
        offsets = read.spans(control, [name], read.Stretch(last=count), chosen)
    with open_journal() as journal:
        journalled.record(journal, "bifrost.records.viewed", name, {"environment": where.name}, actor=who.name)
    shown = [line for r in read.newest(connection, offsets, count) if (line := Shown(masks=masks)(r)) is not None]
    return RecordSample(name, where.name, rule.masks is not None, len(offsets), tuple(line.document for line in shown))
