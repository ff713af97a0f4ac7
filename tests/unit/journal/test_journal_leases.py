"""Leases as their holders and those who wait meet them."""

import os
import subprocess
import sys
import threading
import time

import pytest

from asgard.core.errors import Busy, ExitCode
from asgard.journal import leases
from asgard.journal.leases import LeaseLost, Priority, Timing
from asgard.journal.rules import TIMING
from asgard.journal.store.database import open_journal

NAME = leases.cluster_change("c1")
QUICK = Timing(ttl_s=60, renew_s=20, look_s=0.02, poll_s=0.01, call_deadline_s=10)


def hold(journal, priority=Priority.CHANGE, doing="odin up orders", **more):
    return leases.hold(journal, NAME, priority=priority, doing=doing, **more)


def wait_until(condition):
    """Look until it is so; the test runner's own time-out is the limit."""
    while not condition():
        time.sleep(0.005)


def test_fences_rise_and_are_never_used_again(journal):
    fences = []
    for _ in range(3):
        with hold(journal) as lease:
            fences.append(lease.fence)
    assert fences == [1, 2, 3]


def test_a_second_one_is_told_who_holds_it_since_when_doing_what(journal):
    with hold(journal), pytest.raises(Busy) as refused, hold(journal, doing="odin up billing"):
        pass
    assert refused.value.exit_code == ExitCode.BUSY
    assert f"{NAME} is held by odin up orders" in refused.value.what
    assert f"pid {os.getpid()} on" in refused.value.what
    assert "2027-01-15 08:00:00 UTC" in refused.value.what
    assert leases.waiting(journal) == []


def test_another_cluster_and_its_faults_have_leases_of_their_own(journal):
    with hold(journal), leases.hold(journal, leases.cluster_change("c2"), priority=Priority.HEAL, doing="heal"):
        leases.refuse_if_held(journal, leases.cluster_fault("c1"))
        with pytest.raises(Busy, match="cluster/c2/change is held by heal"):
            leases.refuse_if_held(journal, leases.cluster_change("c2"))


def test_it_is_free_again_when_the_block_fails(journal):
    with pytest.raises(ZeroDivisionError), hold(journal):
        raise ZeroDivisionError
    leases.refuse_if_held(journal, NAME)


def test_a_holder_hands_over_to_the_more_urgent_and_not_to_its_equal(journal):
    got = []

    def ask(priority):
        with hold(journal, priority, doing=priority.name, wait_s=60, timing=QUICK):
            got.append(priority)

    with hold(journal, timing=QUICK) as lease:
        threads = [threading.Thread(target=ask, args=[p]) for p in (Priority.CHANGE, Priority.BALANCE)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(leases.waiting(journal)) == 2)
        time.sleep(5 * QUICK.look_s)
        assert lease.wanted_by is None
        threads.append(threading.Thread(target=ask, args=[Priority.HEAL]))
        threads[-1].start()
        wait_until(lambda: lease.wanted_by is not None)
        assert lease.wanted_by.doing == "HEAL"
        assert [wait.doing for _, wait in leases.waiting(journal)] == ["HEAL", "CHANGE", "BALANCE"]
    for thread in threads:
        thread.join()
    assert got == [Priority.HEAL, Priority.CHANGE, Priority.BALANCE]
    assert leases.waiting(journal) == []


def test_who_waits_is_told_why_once_and_gives_up_in_the_end(journal):
    told = []
    with hold(journal), pytest.raises(Busy), hold(journal, wait_s=0.1, timing=QUICK, on_wait=told.append):
        pass
    assert len(told) == 1
    assert "is held by odin up orders" in told[0]
    assert leases.waiting(journal) == []


def test_a_lease_that_was_taken_over_lets_its_old_holder_write_nothing(journal, clock):
    with hold(journal) as old:
        old.check(5)
        clock.at += TIMING.ttl_s + TIMING.call_deadline_s
        with hold(journal, doing="odin up billing") as new:
            assert new.fence > old.fence
            with pytest.raises(LeaseLost, match="another process took it over"):
                old.check(5)
            with pytest.raises(LeaseLost), old.guard():
                pytest.fail("the block must not run")
            new.check(5)
        with pytest.raises(LeaseLost):
            old.check(5)


def test_a_holder_that_slept_goes_on_where_nobody_came(journal, clock):
    with hold(journal) as lease:
        clock.at += 3600
        assert lease.remaining_s() < 0
        lease.check(5)
        assert lease.remaining_s() > 10


def test_nobody_takes_it_before_the_end_and_one_call_deadline(journal, clock):
    with hold(journal) as lease:
        clock.at += TIMING.ttl_s + TIMING.call_deadline_s - 0.1
        with pytest.raises(Busy), hold(journal):
            pass
        assert lease.remaining_s() < 0


def test_a_call_longer_than_the_lease_is_a_mistake_of_the_caller(journal):
    with hold(journal) as lease, pytest.raises(ValueError, match="can't be covered"):
        lease.check(TIMING.ttl_s)


def test_what_guard_writes_is_undone_where_the_block_fails(journal):
    from asgard.journal import events

    with hold(journal) as lease:
        with pytest.raises(ZeroDivisionError), lease.guard() as connection:
            events.record(journal, "odin.stack.provisioned", "orders", connection=connection)
            raise ZeroDivisionError
        assert events.read(journal) == []


def test_a_child_process_does_not_hold_its_parents_lease(journal):
    with hold(journal) as lease:
        child = os.fork()
        if child == 0:
            try:
                lease.check(5)
            except LeaseLost as error:
                os._exit(0 if "a child of the process" in error.what else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        lease.check(5)


HOLDER = """
import sys, time
from asgard.journal import leases
from asgard.journal.store.database import open_journal
with leases.hold(open_journal(sys.argv[1]), "cluster/c1/change", priority=leases.Priority.CHANGE, doing="odin up") as lease:
    print(lease.fence, flush=True)
    time.sleep(600)
"""


def test_the_lease_of_a_killed_process_is_taken_over_at_once(tmp_path):
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    with (
        open_journal(url) as journal,
        subprocess.Popen([sys.executable, "-c", HOLDER, url], stdout=subprocess.PIPE, text=True) as holder,
    ):
        assert holder.stdout.readline() == "1\n"
        with pytest.raises(Busy, match=f"odin up .*pid {holder.pid}"), hold(journal):
            pass
        holder.kill()
        holder.wait()
        with hold(journal) as lease:
            assert lease.fence == 2


def test_a_terminated_process_gives_its_lease_back(tmp_path):
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    code = HOLDER.replace("import sys, time", "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(0))")
    with (
        open_journal(url) as journal,
        subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True) as holder,
    ):
        assert holder.stdout.readline() == "1\n"
        holder.terminate()
        assert holder.wait() == 0
        (state,) = leases.listed(journal)
        assert (state.holder, state.fence) == (None, 1)
