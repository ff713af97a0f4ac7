"""The audit's state in a database: what is read back is what was committed, on SQLite and on PostgreSQL, however often it is opened."""

from __future__ import annotations

import random

import numpy as np
import pytest

from asgard.core import events
from asgard.core.errors import Busy, Refused
from asgard.heimdall.audit import run as audit_run
from asgard.heimdall.audit.columns import Columns, of_stamps
from asgard.heimdall.audit.plan import AuditPlan, Tier
from asgard.heimdall.audit.store import AuditStore, open_store
from asgard.kafka import stamp
from asgard.kafka.model import Offsets, Partition, Topic

PLAN = AuditPlan("orders", (Tier("raw", ("r",)), Tier("next", ("n1", "n2"))), lateness_s=600)
S = 1_000_000


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'audit.db'}"
    return request.getfixturevalue("postgres_server").database()


def batches(seed: int) -> list[tuple[str, Columns]]:
    """Records over two hours in a random order: some lost, some doubled, some without a stamp, some late."""
    chance = random.Random(seed)
    runs = [bytes([n]) * 16 for n in range(3)]
    found = []
    for part in range(12):
        for topic in ("r", "n1", "n2"):
            rows = []
            for i in range(part * 40, part * 40 + 40):
                due = i * 7.5 if chance.random() > 0.01 else 1.0
                if topic == "r" or (chance.random() > 0.1 and (i % 2 == 0) == (topic == "n1")):
                    rows += [(i, due)] * (2 if chance.random() < 0.05 else 1)
            stamps = b"".join(
                stamp.make(runs[i % 3], i % 2, i * 300, int(due * S), b"") if i % 17 else bytes(stamp.SIZE)
                for i, due in rows
            )
            at = np.array([int((due + 1) * S) for _, due in rows], np.int64)
            if rows:
                found.append((topic, of_stamps(np.arange(len(rows)) % 2, at, stamps)))
    return found


def run(url: str, given: list[tuple[str, Columns]], reopen: float, seed: int, name: str):
    """Count with commits; at random the store is opened anew, and what was not committed is counted again."""
    chance = random.Random(seed)
    with open_store(url) as database:
        plan = AuditPlan(name, PLAN.tiers, lateness_s=600)
        store, at, committed = AuditStore(database, "c", plan), 0, 0
        while at < len(given):
            store.counts.add(*given[at])
            at += 1
            if chance.random() < 0.3 or at == len(given):
                store.commit(store.counts.due(set()))
                committed = at
            elif chance.random() < reopen:
                store, at = AuditStore(database, "c", plan), committed
        return AuditStore(database, "c", plan).report(), AuditStore(database, "c", plan).untold()


@pytest.mark.parametrize("seed", range(1))
def test_an_auditor_that_dies_between_its_commits_counts_what_one_that_lives_counts(url, seed):
    given = batches(seed)
    whole, _ = run(url, given, 0.0, seed, "lives")
    died, untold = run(url, given, 0.6, seed + 100, "dies")
    # When windows close differs with the commits, so late records may differ; what is in both is the same.
    assert sum(r.records + r.late for r in whole) == sum(r.records + r.late for r in died)
    assert sum(r.records for r in died) > 500 and any(r.state == "closed" for r in died)
    again, _ = run(url, given, 0.0, seed, "again")
    assert again == whole
    assert [row for row in died if row.troubled] == untold


def test_windows_stay_open_while_a_partition_that_may_hold_their_records_has_no_leader(tmp_path, monkeypatch):
    leaders = {("r", 0): 1, ("n1", 0): 1, ("n1", 1): -1, ("n2", 0): 1}
    given = {("r", 0): range(400), ("n1", 0): range(0, 400, 2), ("n1", 1): range(1, 400, 2), ("n2", 0): range(0)}

    class Control:
        def topics(self, names):
            parts = [Partition(t, p, (1,), (1,), leader) for (t, p), leader in leaders.items()]
            return {n: Topic(n, f"id-{n}", False, tuple(p for p in parts if p.topic == n)) for n in names}

        def offsets(self, wanted):
            return {where: Offsets(0, len(given[where])) for where in wanted if leaders[where] > 0}

    def read(store, connection, ends, absent):
        for (topic, partition), span in ends.items():
            if rows := given[topic, partition][span.start : span.end]:
                stamps = b"".join(stamp.make(bytes(16), 0, i, i * 10 * S, b"") for i in rows)
                at_us = np.array([i * 10 * S for i in rows], np.int64)
                store.counts.add(topic, of_stamps(np.full(len(rows), partition), at_us, stamps))
        audit_run._move_on(store, {where: span.end for where, span in ends.items()})
        yield 0

    warned, told = [], []
    monkeypatch.setattr(audit_run, "_read", read)
    with open_store(f"sqlite:///{tmp_path / 'audit.db'}") as database, events.listening(warned.append):
        store = AuditStore(database, "c", PLAN)
        audit_run.audit(store, None, Control(), tell=told.append)
        assert not told and not any(row.state == "closed" for row in store.report())
        assert any(event.text.startswith("n1-1: no leader answers") for event in warned)
        leaders["n1", 1] = 1
        audit_run.audit(store, None, Control(), tell=told.append)
        closed = [row for row in store.report() if row.state == "closed"]
        assert closed and not told and all(not row.lost for row in closed)


def test_a_store_that_is_opened_again_knows_open_windows_to_the_bit(url):
    with open_store(url) as database:
        store = AuditStore(database, "c", PLAN)
        for topic, columns in batches(9):
            store.counts.add(topic, columns)
        before = store.report()
        store.commit()
        again = AuditStore(database, "c", PLAN)
        assert again.report() == before
        assert {key: dict(w.ids.spans()) for key, w in again.counts.windows.items()} == {
            key: dict(w.ids.spans()) for key, w in store.counts.windows.items()
        }


def test_what_was_lost_is_remembered_until_it_comes(url):
    records = [(i, i) for i in range(9)]

    def of(rows):
        stamps = b"".join(stamp.make(bytes(16), 0, i, due * S, b"") for i, due in rows)
        return of_stamps(np.zeros(len(rows), np.int64), np.array([due * S for _, due in rows], np.int64), stamps)

    with open_store(url) as database:
        store = AuditStore(database, "c", PLAN)
        store.counts.add("r", of(records))
        store.counts.add("n1", of(records[:4]))
        store.commit(600)
        assert [(r.topic, r.lost) for r in store.report() if r.lost] == [("r", 5)]
        for late, lost in (([records[5]], 4), ([records[5], records[1]], 4), (records[4:], 0)):
            store = AuditStore(database, "c", PLAN)
            store.counts.add("n2", of(late))
            store.commit()
            assert sum(r.lost or 0 for r in AuditStore(database, "c", PLAN).report()) == lost
        assert store.counts.missing == AuditStore(database, "c", PLAN).counts.missing == {}


def test_what_the_journal_was_given_is_not_told_again(url):
    given = batches(4)
    run(url, given, 0.0, 4, "orders")
    with open_store(url) as database:
        store = AuditStore(database, "c", PLAN)
        untold = store.untold()
        store.told(untold[:1])
        assert untold and store.untold() == untold[1:]


def test_other_tiers_under_the_same_name_are_refused_and_the_older_auditor_stops(url):
    with open_store(url) as database:
        first = AuditStore(database, "c", PLAN)
        AuditStore(database, "c", AuditPlan("orders", PLAN.tiers, lateness_s=5))
        with pytest.raises(Busy):
            first.commit()
        with pytest.raises(Refused, match="other tiers"):
            AuditStore(database, "c", AuditPlan("orders", PLAN.tiers[:1]))
        AuditStore(database, "another cluster", AuditPlan("orders", PLAN.tiers[:1]))
