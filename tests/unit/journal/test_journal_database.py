"""The journal's file: private, made once, old versions, and every way in which it can't be used as a sentence."""

import errno
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from asgard.core.errors import Busy, Failed, Refused, Unreachable, WrongUsage
from asgard.journal import claims, events, leases, operations
from asgard.journal.leases import Priority
from asgard.journal.store import tables
from asgard.journal.store.database import open_journal

V1 = Path(__file__).parents[2] / "data" / "journal-v1.sql"


def url(path):
    return f"sqlite:///{path}"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ASGARD_JOURNAL", raising=False)
    return tmp_path / "home"


def test_only_its_owner_may_look_into_the_journal(home):
    umask = os.umask(0)
    try:
        with open_journal() as journal:
            events.record(journal, "odin.stack.provisioned", "orders")
            modes = {p.name: p.stat().st_mode & 0o777 for p in [home, *home.iterdir()]}
    finally:
        os.umask(umask)
    assert modes == {"home": 0o700, "journal.db": 0o600, "journal.db-wal": 0o600, "journal.db-shm": 0o600}


def test_readers_and_a_writer_do_not_wait_for_each_other(home):
    with open_journal() as journal, journal.write(), open_journal(busy_timeout_s=0.01) as other:
        assert events.read(other) == []


def test_another_place_is_named_by_url(home, tmp_path, monkeypatch):
    monkeypatch.setenv("ASGARD_JOURNAL", url(tmp_path / "elsewhere.db"))
    open_journal().close()
    assert (tmp_path / "elsewhere.db").exists()
    assert not (home / "journal.db").exists()


def test_a_url_that_is_none_is_wrong_usage(home, monkeypatch):
    for text in ["nonsense", "nosuchdb://host/name"]:
        monkeypatch.setenv("ASGARD_JOURNAL", text)
        with pytest.raises(WrongUsage, match="not a database URL"):
            open_journal()


def test_many_may_open_a_journal_that_is_not_there_yet(home):
    start, failures = threading.Barrier(8), []

    def go():
        start.wait()
        try:
            with open_journal() as journal:
                events.record(journal, "odin.stack.provisioned", "orders")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with open_journal() as journal:
        assert len(events.read(journal)) == 8
    assert [p.name for p in home.iterdir()] == ["journal.db"]


def test_a_journal_of_version_1_is_read_and_goes_on(tmp_path):
    with sqlite3.connect(tmp_path / "journal.db") as raw:
        raw.executescript(V1.read_text())
    raw.close()
    with open_journal(url(tmp_path / "journal.db")) as journal:
        (event,) = events.read(journal)
        assert (event.id, event.kind, event.data) == (1, "odin.stack.provisioned", {"topics": 3})
        (left,) = operations.unfinished(journal)
        assert (left.abandoned, left.operation.undo, left.operation.fence) == (True, {"rate": None}, 2)
        assert claims.owners(journal, "c1") == {("topic", "orders.created"): "orders", ("user", "orders-api"): "orders"}
        with leases.hold(journal, "cluster/c1/change", priority=Priority.CHANGE, doing="odin up") as lease:
            assert lease.fence == 3
        assert events.record(journal, "odin.stack.provisioned", "orders").id == 2


@pytest.mark.parametrize(("version", "age"), [(0, "an older"), (tables.SCHEMA_VERSION + 1, "a newer")])
def test_a_journal_of_another_version_is_refused_and_stays_as_it_is(tmp_path, version, age):
    open_journal(url(tmp_path / "journal.db")).close()
    with sqlite3.connect(tmp_path / "journal.db") as raw:
        raw.execute("update asgard_meta set value = ?", [str(version)])
    raw.close()
    before = (tmp_path / "journal.db").read_bytes()
    with pytest.raises(Refused, match=f"written by {age} Asgard"):
        open_journal(url(tmp_path / "journal.db"))
    assert (tmp_path / "journal.db").read_bytes() == before


def test_somebody_elses_database_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "journal.db") as raw:
        raw.execute("create table theirs (x)")
    raw.close()
    with pytest.raises(Refused, match="not an Asgard journal"):
        open_journal(url(tmp_path / "journal.db"))


def test_a_file_that_is_no_database_is_a_sentence(tmp_path):
    (tmp_path / "journal.db").write_text("not a database, whatever its name says\n" * 100)
    with pytest.raises(Failed, match="damaged"):
        open_journal(url(tmp_path / "journal.db"))


def test_a_home_that_can_not_be_written_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "home").write_text("a file where the directory should be")
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ASGARD_JOURNAL", raising=False)
    with pytest.raises(Unreachable, match="can't be used") as error:
        open_journal()
    assert "ASGARD_HOME" in error.value.hint


def test_a_journal_that_is_written_for_too_long_is_busy(home):
    with (
        open_journal() as journal,
        journal.write(),
        open_journal(busy_timeout_s=0.05) as other,
        pytest.raises(Busy, match="is busy"),
    ):
        events.record(other, "odin.stack.provisioned", "orders")


def test_a_full_disk_is_a_sentence_and_harms_nothing(home):
    with open_journal() as journal:
        events.record(journal, "odin.stack.provisioned", "first")

        @sa.event.listens_for(journal.engine, "begin")
        def _small(connection):
            # SQLite's own limit stands for the disk's: the file may not grow.
            connection.exec_driver_sql("PRAGMA max_page_count=1")

        with pytest.raises(Failed, match="full"):
            events.record(journal, "odin.stack.provisioned", "orders", {"text": "x" * 1_000_000})
    with open_journal() as journal:
        assert [e.subject for e in events.read(journal)] == ["first"]


def test_a_full_disk_when_it_is_made_is_a_sentence(home, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(Failed, match="full"):
        open_journal()


WRITER = """
import itertools, sys
from asgard.journal import events
from asgard.journal.store.database import open_journal
journal = open_journal(sys.argv[1])
for n in itertools.count():
    print(events.record(journal, "odin.stack.provisioned", f"s{n}").id, flush=True)
"""


def test_what_was_recorded_before_a_kill_is_there_after_it(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, url(tmp_path / "j.db")], stdout=subprocess.PIPE, text=True
    ) as writer:
        seen = [int(writer.stdout.readline()) for _ in range(20)]
        writer.kill()
        seen += [int(line) for line in writer.stdout.read().split("\n")[:-1]]
    with open_journal(url(tmp_path / "j.db")) as journal:
        ids = [e.id for e in events.read(journal)]
    assert ids[: len(seen)] == seen
    assert len(ids) - len(seen) <= 1
