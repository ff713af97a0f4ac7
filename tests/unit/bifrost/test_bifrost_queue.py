"""Whose trouble it is when the queue fails: a request's own, or that of all; without a cluster, so Odin's part is played here."""

from itertools import pairwise
from types import SimpleNamespace

import pytest

from asgard.bifrost import service
from asgard.bifrost.desired import Desired, UserRow
from asgard.bifrost.gate import Bifrost
from asgard.bifrost.read import request_of
from asgard.bifrost.store import queue, rows
from asgard.bifrost.store.tables import SCHEMA
from asgard.compose import bifrost_queue, bifrost_stack, bifrost_tick, web
from asgard.core.database import Database
from asgard.core.errors import AsgardError, Busy, Failed, InvalidFile, Refused, Unreachable
from asgard.odin.engine.steps import Failure

NAMES = ("orders.q0", "orders.q1", "orders.q2", "orders.q3")


@pytest.fixture
def asked(gate):
    """Four approved requests, on a stack that is only a file."""
    (gate.directory.file.parent / "asgard.yaml").write_text("{stack: s, target: local, kafka: {brokers: 1}}\n")
    for name in NAMES:
        wanted = request_of({"topics": [{"name": name, "partitions": 1}]})
        assert service.submit(gate, gate.directory.actor("linus"), wanted).request.state == "approved"
    return gate


@pytest.fixture
def ups(monkeypatch):
    """What Odin was asked for, by the names in each batch; `ups.fail(names)` raises what goes wrong."""
    seen = SimpleNamespace(batches=[], fail=lambda names: None)

    def up(spec, where, batch, applied, *, mend):
        names = [r.subject for r in batch]
        seen.batches.append(names)
        seen.fail(names)

    monkeypatch.setattr(bifrost_queue, "_up", up)
    return seen


def found(gate):
    return service.requests(gate, gate.directory.actor("linus"))


def states(gate):
    return {r.subject: (r.state, r.attempts) for r in found(gate)}


def reasons(gate):
    return {r.subject: r.reason for r in found(gate)}


def test_trouble_after_a_request_was_taken_back_holds_up_the_others_with_its_own_reason(asked, ups):
    def fail(names):
        if "orders.q0" in names:
            raise bifrost_queue._Rejected([Failure("urn::s::Topic::orders.q0", "Kafka said no")])
        raise Busy("a drain holds the lease")

    ups.fail = fail
    with pytest.raises(Busy, match="a drain holds"):
        bifrost_queue.run_queue(asked, "dev")
    assert states(asked) == {"orders.q0": ("failed", 1), **dict.fromkeys(NAMES[1:], ("approved", 0))}
    assert reasons(asked) == {"orders.q0": "Kafka said no", **dict.fromkeys(NAMES[1:], "a drain holds the lease")}


def test_a_mistake_in_the_stack_file_fails_no_request(asked, ups):
    (asked.directory.file.parent / "asgard.yaml").write_text("{stack: s, target: local, kafka: {broker: 1}}\n")
    with pytest.raises(InvalidFile, match="did you mean brokers"):
        bifrost_queue.run_queue(asked, "dev")
    assert states(asked) == dict.fromkeys(NAMES, ("approved", 1)) and ups.batches == []
    assert all("did you mean brokers" in reason for reason in reasons(asked).values())


def test_what_fails_without_the_requests_too_fails_none_of_them(asked, ups):
    def fail(names):
        raise Refused("the context is protected")

    ups.fail = fail
    with pytest.raises(Refused, match="the context is protected"):
        bifrost_queue.run_queue(asked, "dev")
    assert ups.batches == [list(NAMES), []]
    assert states(asked) == dict.fromkeys(NAMES, ("approved", 1))


def test_a_failure_of_git_fails_no_request(asked, ups, monkeypatch):
    def commit(*_):
        raise bifrost_stack.GitFailed("git commit failed: index.lock exists")

    with monkeypatch.context() as broken, pytest.raises(Failed, match=r"index\.lock"):
        broken.setattr(bifrost_stack, "commit_part", commit)
        bifrost_queue.run_queue(asked, "dev")
    assert states(asked) == dict.fromkeys(NAMES, ("approved", 1)) and ups.batches == []


def test_a_resource_of_no_request_fails_none_of_them(asked, ups):
    def fail(names):
        raise bifrost_queue._Rejected([Failure("urn::s::Topic::other", "Kafka said no")])

    ups.fail = fail
    with pytest.raises(AsgardError, match="Kafka said no"):
        bifrost_queue.run_queue(asked, "dev")
    assert states(asked) == dict.fromkeys(NAMES, ("approved", 1))


def test_what_fails_only_with_a_request_is_its_own_and_the_others_are_made(asked, ups):
    def fail(names):
        if "orders.q2" in names:
            raise Failed("one of these names is wrong")

    ups.fail = fail
    applied = bifrost_queue.run_queue(asked, "dev")
    assert [r.subject for r in applied.failed] == ["orders.q2"] and applied.later == []
    assert states(asked) == {**dict.fromkeys(NAMES, ("ready", 1)), "orders.q2": ("failed", 1)}
    assert reasons(asked)["orders.q2"] == "one of these names is wrong"
    text = (asked.directory.file.parent / "asgard.bifrost.yaml").read_text()
    assert [name for name in NAMES if name in text] == ["orders.q0", "orders.q1", "orders.q3"]


def test_a_text_that_cannot_be_read_does_not_replace_the_managed_file(asked, ups):
    bifrost_queue.run_queue(asked, "dev")
    file = asked.directory.file.parent / "asgard.bifrost.yaml"
    text = file.read_text()
    desired = Desired()
    twice = UserRow("orders.u", "orders", principals=("orders.u", "orders.u"))
    with asked.store.write() as connection:
        rows.save(connection, "dev", desired, [desired.put("user", "orders.u", twice)], 1.0)
        queue.mark_dirty(connection, "dev")
    with pytest.raises(InvalidFile, match=r"is 'orders\.u' again"):
        bifrost_queue.run_queue(asked, "dev")
    assert file.read_text() == text


@pytest.mark.parametrize(("error", "after"), [(Busy("a drill"), ("approved", 0)), (Unreachable("no"), ("failed", 6))])
def test_waiting_for_a_lease_is_no_try(asked, ups, error, after):
    def fail(names):
        if names:
            raise error

    ups.fail = fail
    start = asked.store.time()
    for turn in range(8):
        at = start + turn * 7200
        later = Bifrost(asked.directory, Database(SCHEMA, asked.store.engine, asked.store.where, lambda at=at: at))
        if bifrost_queue.waiting(later, later.environment(None)):
            try:
                bifrost_queue.run_queue(later, "dev")
            except type(error):
                continue
    assert states(asked) == dict.fromkeys(NAMES, after)


class Clock:
    """A clock that waiting moves on, in place of the thread's event: `busy` sets it again and again, as people who approve do."""

    def __init__(self, work):
        self.now, self.set_, self.work = 0.0, False, work

    def monotonic(self):
        return self.now

    def set(self):
        self.set_ = True

    def clear(self):
        self.set_ = False

    def wait(self, timeout):
        self.now += 0.0 if self.set_ else timeout
        if self.now >= 600:
            self.work._over.set()


@pytest.fixture
def portal(asked, monkeypatch):
    """The portal's thread without the thread; what it did, and when."""
    work = web.PortalWork()
    clock = work._wanted = Clock(work)
    did = []
    monkeypatch.setattr(web, "time", clock)
    monkeypatch.setattr(bifrost_tick, "tick", lambda gate: did.append(("tick", clock.now)))

    def run(queue):
        def run_queue(gate, environment, **_):
            did.append(("queue", clock.now))
            queue(clock)

        monkeypatch.setattr(bifrost_queue, "run_queue", run_queue)
        clock.set()
        work._run(SimpleNamespace(gate=asked))
        return did

    return run


def test_the_portal_does_not_spin_while_another_command_holds_the_lease(portal):
    def busy(clock):
        raise Busy("a drill holds the lease")

    did = portal(busy)
    assert did == [("queue", 0.0), *(("tick", 60.0 * n) for n in range(1, 10))]


def test_the_portal_ticks_however_many_approvals_there_are(portal):
    def more(clock):
        clock.now += 7.0
        clock.set()

    did = portal(more)
    ticks = [at for what, at in did if what == "tick"]
    assert len(ticks) >= 8 and all(later - at <= 67.0 for at, later in pairwise(ticks))
