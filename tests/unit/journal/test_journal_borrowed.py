"""A process that writes for another one which holds the lease."""

import pytest

from asgard.journal import leases, operations
from asgard.journal.borrowed import Borrowed
from asgard.journal.errors import LeaseLost
from asgard.journal.leases import Priority
from asgard.journal.rules import TIMING

NAME = leases.cluster_change("c1")


def hold(journal):
    return leases.hold(journal, NAME, priority=Priority.CHANGE, doing="odin up orders")


def test_it_may_write_as_long_as_the_lease_is_held_and_no_longer(journal):
    with hold(journal) as lease:
        borrowed = Borrowed(journal, lease.name, lease.fence)
        borrowed.check(5)
    with pytest.raises(LeaseLost, match="cluster/c1/change is no longer ours: another process took it over"):
        borrowed.check(5)
    with hold(journal), pytest.raises(LeaseLost):
        borrowed.check(5)


def test_a_call_that_would_outlive_the_lease_renews_it_first(journal, clock):
    with hold(journal) as lease:
        clock.at += TIMING.ttl_s - 1
        Borrowed(journal, lease.name, lease.fence).check(5)
        (state,) = leases.listed(journal)
        assert state.holder.until == clock.at + TIMING.ttl_s


def test_what_it_sets_for_a_while_is_in_the_undo_log_of_the_one_that_holds(journal):
    with hold(journal) as lease:
        borrowed = Borrowed(journal, lease.name, lease.fence)
        begun = operations.begin(journal, "asgard.reassignment/v1", "stack orders", {"moves": []}, borrowed)
        assert [entry.abandoned for entry in operations.unfinished(journal)] == [False]
        operations.finish(journal, begun, borrowed)
        assert operations.unfinished(journal) == []
        left = operations.begin(journal, "asgard.reassignment/v1", "stack orders", {"moves": []}, borrowed)
    with hold(journal):
        assert [entry.abandoned for entry in operations.unfinished(journal)] == [True]
        with pytest.raises(LeaseLost):
            operations.finish(journal, left, borrowed)
