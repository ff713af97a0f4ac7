"""A plan in a few lines: what is copied is counted apart from what only gets another leader."""

from __future__ import annotations

from asgard.cli.thor.summary import summary
from asgard.cluster.plan import Batch, Change, Plan, Spread

SPREAD = Spread(1.0, 1.0, 1.2, 1.0)


def plan(*changes: tuple[tuple[int, ...], tuple[int, ...]]) -> Plan:
    made = tuple(
        Change("orders", n, before, after, 0 if set(after) == set(before) else 1000, 1, "")
        for n, (before, after) in enumerate(changes)
    )
    return Plan("heal", (), "id", "", made, (Batch(1, len(made), 1000, 1.0),), (), SPREAD, SPREAD)


def test_changes_of_leaders_alone_are_counted_apart() -> None:
    other, order = ((1, 2), (1, 3)), ((1, 2), (2, 1))
    assert summary(plan(other, other)).startswith("heal: 2 partitions, 2.0 KiB to copy")
    assert summary(plan(other, order)).startswith("heal: 1 partition, 1 partition with another preferred leader only, ")
    assert summary(plan(order, order)).startswith("heal: 2 partitions with another preferred leader only, 0 B to copy")
    assert summary(plan()) == "heal: nothing to do"
