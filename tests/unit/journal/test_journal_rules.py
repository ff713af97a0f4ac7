"""Who may have a lease now: decisions as tables."""

import pytest

from asgard.core.process import Identity
from asgard.journal.rules import Blocked, Claimant, LeaseState, Priority, Wait, blocked

NOW = 1000.0
ME, OTHER, DEAD = (Identity("h", "boot", pid, 1.0) for pid in (1, 2, 3))


def is_dead(who):
    return who == DEAD


def claimant(who=OTHER, priority=Priority.CHANGE, since=NOW - 60, until=NOW + 10):
    return Claimant(who, "ann", "odin up orders", priority, since, until)


def held(who=OTHER, takeover_at=NOW + 20):
    return LeaseState("cluster/x/change", 7, claimant(who), takeover_at)


RELEASED = LeaseState("cluster/x/change", 7, None, 0.0)
MINE = Wait("mine", claimant(ME, since=NOW - 5))


@pytest.mark.parametrize(
    ("state", "waits", "free"),
    [
        pytest.param(None, [], True, id="never held"),
        pytest.param(RELEASED, [], True, id="released"),
        pytest.param(held(), [], False, id="held"),
        pytest.param(held(DEAD), [], True, id="a dead holder is taken over at once"),
        pytest.param(held(takeover_at=NOW + 0.1), [], False, id="a call of its holder may still be under way"),
        pytest.param(held(takeover_at=NOW), [], True, id="end and one call deadline are past"),
        pytest.param(RELEASED, [Wait("a", claimant(priority=Priority.HEAL))], False, id="a higher one waits"),
        pytest.param(RELEASED, [Wait("a", claimant(priority=Priority.BALANCE))], True, id="a lower one waits"),
        pytest.param(RELEASED, [Wait("a", claimant(since=NOW - 9))], False, id="an equal one waits longer"),
        pytest.param(RELEASED, [Wait("a", claimant(since=NOW - 1))], True, id="an equal one came later"),
        pytest.param(RELEASED, [Wait("a", claimant(priority=40, until=NOW))], True, id="a request that lapsed"),
        pytest.param(RELEASED, [Wait("a", claimant(DEAD, priority=40))], True, id="a dead one waits"),
    ],
)
def test_a_lease_is_free_or_says_who_stands_in_the_way(state, waits, free):
    assert (blocked(state, waits, MINE, NOW, is_dead) is None) == free


def test_the_sentence_says_who_since_when_doing_what():
    assert Blocked(claimant(), holds=True).sentence("cluster/x/change", NOW) == (
        "cluster/x/change is held by odin up orders (ann, pid 2 on h), since 1970-01-01 00:15:40 UTC (60 s)"
    )
    assert "is free, but reserved for" in Blocked(claimant(), holds=False).sentence("l", NOW)


def test_priorities_stand_in_the_order_of_urgency():
    assert Priority.HEAL > Priority.CHANGE > Priority.FILL > Priority.BALANCE
