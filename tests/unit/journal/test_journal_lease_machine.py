"""Any order of taking, renewing, writing, sleeping, dying and clocks that go on: never two holders, fences only rise."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from asgard.core.process import Identity
from asgard.journal import lease_rows, leases
from asgard.journal.rules import Blocked, Claimant, Priority, Timing, Wait
from asgard.journal.store.database import open_journal
from tests.harness.examples import examples

NAME = "cluster/c1/change"
TIMING = Timing(ttl_s=15, renew_s=5, look_s=1, poll_s=0.25, call_deadline_s=10)
PROCESSES = st.integers(0, 3)


class LeaseMachine(RuleBasedStateMachine):
    """Four processes on two hosts in virtual time. `mine` is what each believes: its fence, and its own count of its end."""

    @initialize()
    def begin(self):
        self.now = 1_000_000.0
        self.directory = Path(tempfile.mkdtemp(prefix="asgard-lease-machine-"))
        self.journal = open_journal(f"sqlite:///{self.directory / 'journal.db'}", clock=lambda: self.now)
        self.who = {n: Identity(f"h{n % 2}", f"boot{n % 2}", 100 + n, 0.0) for n in range(4)}
        self.dead, self.mine, self.waits = set(), {}, {}
        self.highest, self.last_write = 0, 0

    def teardown(self):
        if hasattr(self, "journal"):
            self.journal.close()
            shutil.rmtree(self.directory)

    def _is_dead_for(self, n):
        """A process sees only the deaths on its own host."""
        return lambda who: who in self.dead and who.boot == self.who[n].boot

    @rule(n=PROCESSES, priority=st.sampled_from(Priority), wait=st.booleans())
    def ask(self, n, priority, wait):
        if n in self.mine:
            return
        request = self.waits.get(n) or Wait(f"w{n}", Claimant(self.who[n], "ann", f"work {n}", priority, 0.0, 0.0))
        is_dead = self._is_dead_for(n)
        got, request = lease_rows.attempt(self.journal, NAME, request, TIMING, register=wait, is_dead=is_dead)
        if isinstance(got, Blocked):
            if wait:
                self.waits[n] = request
            return
        fence, until = got
        assert fence == self.highest + 1
        for other, (_, ends) in self.mine.items():
            gone = self.now >= ends + TIMING.call_deadline_s or is_dead(self.who[other])
            assert gone, f"{n} took it while {other} still trusted it"
        for other in self.waits.values():
            alive = other.id != request.id and other.claimant.until > self.now and not is_dead(other.claimant.who)
            assert not (alive and other.claimant.priority > request.claimant.priority), "a higher one was overtaken"
        self.highest = fence
        self.mine[n] = (fence, until)
        self.waits.pop(n, None)

    @rule(n=PROCESSES)
    def renew(self, n):
        if n not in self.mine:
            return
        fence, _ = self.mine[n]
        until = lease_rows.renew(self.journal, NAME, fence, TIMING)
        assert (until is None) == (fence != self.highest)
        if until is None:
            del self.mine[n]
        else:
            self.mine[n] = (fence, until)

    @rule(n=PROCESSES)
    def checked_write(self, n):
        """A call of ten seconds at most, sent after a check: it ends before anybody else may begin."""
        if n in self.mine and self.mine[n][1] - self.now > TIMING.call_deadline_s:
            fence = self.mine[n][0]
            assert fence >= self.last_write
            self.last_write = fence

    @rule(n=PROCESSES)
    def release(self, n):
        if n in self.mine:
            lease_rows.give_back(self.journal, NAME, self.mine.pop(n)[0])

    @rule(n=PROCESSES)
    def die(self, n):
        self.dead.add(self.who[n])
        self.who[n] = replace(self.who[n], pid=self.who[n].pid + 10)
        self.mine.pop(n, None)
        self.waits.pop(n, None)

    @rule(seconds=st.sampled_from([0.1, 1, 5, 9, 14, 15, 24, 25, 60]))
    def time_goes_on(self, seconds):
        self.now += seconds

    @invariant()
    def at_most_one_may_write(self):
        if not hasattr(self, "journal"):
            return
        trusting = [n for n, (_, ends) in self.mine.items() if ends > self.now]
        assert len(trusting) <= 1

    @invariant()
    def the_journal_shows_the_highest_fence(self):
        if hasattr(self, "journal"):
            assert [s.fence for s in leases.listed(self.journal)] == ([self.highest] if self.highest else [])


TestLeaseMachine = LeaseMachine.TestCase
TestLeaseMachine.settings = settings(max_examples=examples(12), stateful_step_count=30, deadline=None)
