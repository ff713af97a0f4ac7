"""PostgreSQL behind `core.database`: the journal does there what it does on SQLite, and failures are sentences."""

import threading

import pytest
import sqlalchemy as sa

from asgard.core.database import Schema, meta_table, open_database
from asgard.core.errors import Refused, Unreachable
from asgard.journal import claims, events, leases, operations
from asgard.journal.leases import Priority
from asgard.journal.store import tables
from asgard.journal.store.database import open_journal


def _shelf():
    metadata = sa.MetaData()
    meta = meta_table(metadata, "heimdall_meta")
    sa.Table("heimdall_shelf", metadata, sa.Column("n", sa.Integer, primary_key=True))
    return Schema("shelf", metadata, meta, 1, "ASGARD_STORE", "shelf.db", "what is on it")


def test_events_operations_and_claims(postgres_server):
    url = postgres_server.database()
    with open_journal(url) as journal, open_journal(url) as other:
        first = events.record(journal, "odin.stack.provisioned", "orders", {"topics": 3})
        assert events.read(other) == [first]
        assert abs(first.at - other.time()) < 60
        with leases.hold(journal, "cluster/c1/change", priority=Priority.CHANGE, doing="odin up") as lease:
            assert lease.fence == 1
            operation = operations.begin(journal, "thor.throttle", "b1", {"rate": None}, lease)
            assert [left.operation.id for left in operations.unfinished(other)] == [operation.id]
        with leases.hold(other, "cluster/c1/change", priority=Priority.CHANGE, doing="odin up") as lease:
            assert lease.fence == 2
        claims.claim(journal, "c1", "shop", [("topic", "orders")])
        assert claims.owners(other, "c1") == {("topic", "orders"): "shop"}


def test_one_at_a_time_holds_a_lease(postgres_server):
    url = postgres_server.database()
    inside, most, failures = [], [], []

    def work(name):
        try:
            with open_journal(url) as journal:
                for _ in range(3):
                    with leases.hold(journal, "cluster/c1/change", priority=Priority.CHANGE, doing=name, wait_s=60):
                        inside.append(name)
                        most.append(len(inside))
                        inside.remove(name)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert most == [1] * 12


def test_many_may_open_a_database_that_is_empty(postgres_server):
    url, start, failures = postgres_server.database(), threading.Barrier(6), []

    def go():
        start.wait()
        try:
            with open_journal(url) as journal:
                events.record(journal, "odin.stack.provisioned", "orders")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=go) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with open_journal(url) as journal:
        assert len(events.read(journal)) == 6


def test_journal_and_store_share_one_database_and_each_has_its_version(postgres_server):
    url = postgres_server.database()
    with open_journal(url), open_database(_shelf(), url):
        pass
    with open_journal(url) as journal, journal.write() as connection:
        connection.execute(sa.update(tables.meta).values(value="99"))
    with pytest.raises(Refused, match="written by a newer Asgard"):
        open_journal(url)
    open_database(_shelf(), url).close()


def test_a_server_that_is_not_there_is_a_sentence_without_the_password(postgres_server):
    with pytest.raises(Unreachable, match=r"the journal postgresql.*can't be used") as error:
        open_journal("postgresql://asgard:geheim@127.0.0.1:1/asgard")
    assert "geheim" not in str(error.value)
    assert "ASGARD_JOURNAL" in error.value.hint


def test_two_stores_in_one_sqlite_file(tmp_path):
    url = f"sqlite:///{tmp_path / 'both.db'}"
    with open_journal(url), open_database(_shelf(), url) as shelf, shelf.read() as connection:
        assert sorted(sa.inspect(connection).get_table_names())[-2:] == ["heimdall_meta", "heimdall_shelf"]
