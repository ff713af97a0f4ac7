"""The store's rollups, retention and read API; the same answers from SQLite and PostgreSQL; whole samples only."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgard.heimdall import collect
from asgard.heimdall.store import pack, read, recent, rollup, tables, writer
from asgard.heimdall.store.read import ClusterStore
from asgard.heimdall.store.tables import DAY, HOUR, LEVELS, MINUTE, SAMPLE, open_store
from asgard.heimdall.store.writer import Keep
from asgard.heimdall.volume.model import Count
from tests.harness.storing import check_rollups, sample

BEGIN = 1_795_000_000 // DAY * DAY


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'heimdall.db'}"
    return request.getfixturevalue("postgres_server").database()


def fill(database, count=20, every_s=10, begin=BEGIN, cluster="c1"):
    with database.write() as connection:
        number = writer.cluster(connection, cluster)
        topics = writer.subjects(connection, number, "topic", ["orders", "payments"])
        groups = writer.subjects(connection, number, "group", ["billing"])
    for n in range(count):
        with database.write() as connection:
            writer.add_sample(
                connection, number, begin + n * every_s, sample(n, list(topics.values()), list(groups.values()))
            )
    return number


def test_samples_and_their_rollups_are_read_back(url):
    with open_store(url) as database:
        fill(database)
        store = ClusterStore(database, "c1")
        window = store.window(BEGIN + 150)
        assert [s.at - BEGIN for s in window] == [150, 160, 170, 180, 190]
        assert window[-1].ends["orders"].tolist() == [1900, 1900, 1900]
        assert window[-1].committed["billing"]["orders"].tolist() == [1900 - 95, -1, 1900 - 95]
        series = store.topic_series("orders", BEGIN, BEGIN + 3600)
        assert [(p.start - BEGIN, p.level_s, p.records, p.samples) for p in series] == [
            (0, 60, 1500, 6),  # nothing is known to have come before the first sample
            (60, 60, 1800, 6),
            (120, 60, 1800, 6),
            (180, 60, 600, 2),
        ]
        group = store.group_series("billing", BEGIN, BEGIN + 3600)
        assert [(p.lag, p.lag_max, p.time_lag_s, p.status) for p in group] == [
            (50, 50, 5.0, "ok"),
            (110, 110, 11.0, "ok"),
            (170, 170, 17.0, "ok"),
            (190, 190, 19.0, "ok"),
        ]
        latest = store.latest()
        assert latest is not None
        assert (latest.at, latest.topics["orders"], latest.groups["billing"].lag) == (BEGIN + 190, 5700, 190)
        assert store.topics(BEGIN, BEGIN + 200 * DAY)["orders"] == 5700
        assert store.cluster_series(BEGIN, BEGIN + 60)[0].brokers == 3
        check_rollups(database)


def test_an_unknown_cluster_topic_or_group_is_empty(url):
    with open_store(url) as database:
        fill(database, 3)
        other = ClusterStore(database, "c2")
        assert (other.known, other.latest(), other.window(0), list(other.hours(0, BEGIN))) == (False, None, [], [])
        assert ClusterStore(database, "c1").topic_series("nothing", BEGIN, BEGIN + 600) == []


def test_a_slot_takes_one_sample_and_time_does_not_go_back(url):
    with open_store(url) as database:
        number = fill(database, 5)
        for at in (BEGIN + 40, BEGIN + 49, BEGIN + 10):
            with database.write() as connection:
                assert not writer.add_sample(connection, number, at, sample(4, [1, 2], [3]))
        check_rollups(database)


def test_counted_hours_are_kept_once(url):
    with open_store(url) as database:
        fill(database, 1)
        hour = {
            "t_id": np.array([1, 2]),
            "t_records": np.array([10, -1]),
            "t_bytes": np.array([100, -1]),
            "t_flags": np.array([0, 10]),
        }
        with database.write() as connection:
            assert writer.add_hours(connection, 1, {BEGIN: hour}) == 1
            assert writer.add_hours(connection, 1, {BEGIN: hour, BEGIN + HOUR: hour}) == 1
        found = ClusterStore(database, "c1").hours(BEGIN, BEGIN + HOUR)
        assert [(c.topic, c.records, c.bytes, c.approximate) for c in found] == [
            ("orders", 10, 100, ()),
            ("payments", None, None, ("transactional", "retention deleted")),
        ]
        assert ClusterStore(database, "c1").counted_hours(BEGIN, BEGIN + DAY) == {BEGIN, BEGIN + HOUR}


def test_an_hour_that_was_counted_without_a_partition_is_counted_again_for_its_topic(url):
    def hour(*rows: tuple[int, int, int]) -> dict[str, np.ndarray]:
        ids, records, flags = (np.array(column) for column in zip(*rows, strict=True))
        return {"t_id": ids, "t_records": records, "t_bytes": records * 10, "t_flags": flags}

    def counted() -> dict[str, int | None]:
        return {c.topic: c.records for c in ClusterStore(database, "c1").hours(BEGIN, BEGIN + HOUR)}

    with open_store(url) as database:
        fill(database, 1)
        silent = read.SILENT
        with database.write() as connection:
            writer.add_hours(connection, 1, {BEGIN: hour((1, 10, 0), (2, 5, silent)), BEGIN + HOUR: hour((1, 1, 0))})
        store = ClusterStore(database, "c1")
        assert store.silent_hours(BEGIN, BEGIN + DAY) == {BEGIN: {"payments"}}
        with database.write() as connection:
            writer.replace_silent(connection, 1, [1, 2], {BEGIN: hour((1, 99, 0), (2, 7, silent))})
        assert counted() == {"orders": 10, "payments": 7}, "what was whole stays"
        with database.write() as connection:
            writer.replace_silent(connection, 1, [1], {BEGIN: hour((1, 99, 0))})
            writer.replace_silent(connection, 1, [2], {BEGIN: hour((2, 20, 0)), BEGIN + HOUR: hour((2, 3, 0))})
        assert counted() == {"orders": 10, "payments": 20} and not store.silent_hours(BEGIN, BEGIN + DAY)


def test_a_collector_counts_such_hours_again_once_all_leaders_answer(tmp_path, monkeypatch):
    asked, why = [], ["1 of 2 partitions have no leader that answers"]
    monkeypatch.setattr(collect.volume_ask, "logs", lambda control, topics=None: asked.append(topics))
    monkeypatch.setattr(
        collect.volume_ask,
        "counted",
        lambda known, windows, now: [Count("orders", w, 5 if why else 9, None, tuple(why)) for w in windows],
    )
    now = BEGIN + 10 * HOUR + collect.SETTLED_S
    with open_store(f"sqlite:///{tmp_path / 'heimdall.db'}") as database:
        fill(database, 1)

        def counted(answering: set[str], now: float = now) -> tuple[int, list[int | None]]:
            store = ClusterStore(database, "c1")
            new = collect.count_hours(None, database, store, now, 2, answering)
            return new, [hour.records for hour in store.hours(BEGIN, BEGIN + DAY)]

        assert counted(set()) == (2, [5, 5]) and asked == [None]
        why.clear()
        assert counted(set()) == (0, [5, 5]) and asked == [None], "it has no leader yet, so Kafka is not asked"
        assert counted({"orders", "payments"}) == (0, [9, 9]) and asked == [None, {"orders"}]
        assert counted({"orders", "payments"}) == (0, [9, 9]) and len(asked) == 2


def test_gaps_are_named(url):
    with open_store(url) as database:
        fill(database, 12)
        with database.write() as connection:
            writer.add_sample(connection, 1, BEGIN + 600, sample(60, [1, 2], [3]))
        assert ClusterStore(database, "c1").gaps(BEGIN, BEGIN + DAY) == [(BEGIN + 120, BEGIN + 600)]


def levels(database):
    with database.read() as connection:
        rows = connection.execute(tables.samples.select()).all()
    return {level: sum(row.level == level for row in rows) for level in LEVELS}


def test_retention_and_size_take_the_oldest_of_the_finest_first(tmp_path):
    with tables.open_database(
        tables.SCHEMA, f"sqlite:///{tmp_path / 'h.db'}", clock=lambda: BEGIN + 2000.0
    ) as database:
        fill(database, 200)
        assert levels(database) == {SAMPLE: 200, MINUTE: 34, HOUR: 1, DAY: 1}
        writer.prune(database, Keep(sample_s=500))
        assert levels(database) == {SAMPLE: 50, MINUTE: 34, HOUR: 1, DAY: 1}
        with database.read() as connection:
            bytes_now = writer.size(connection)
        writer.prune(database, Keep(max_bytes=bytes_now // 2))
        left = levels(database)
        assert left[SAMPLE] < 50 and left[HOUR] == left[DAY] == 1
        with database.read() as connection:
            assert writer.size(connection) <= bytes_now // 2
        writer.prune(database, Keep(max_bytes=0))
        assert levels(database) == {SAMPLE: 1, MINUTE: 1, HOUR: 1, DAY: 1}, "the newest of each stay"


@given(st.lists(st.lists(st.integers(-1, 50), min_size=3, max_size=3), min_size=2, max_size=12))
@settings(deadline=None)
def test_a_rollup_of_parts_is_that_of_the_whole(rows):
    samples = []
    for n, ends in enumerate(rows):
        found = sample(n, [1], [2])
        found["end"], found["start"] = np.array(ends), np.zeros(3, np.int64)
        samples.append(found)
    periods = [rollup.period(s, b) for b, s in zip([None, *samples], samples, strict=False)]
    left = periods[0]
    for period in periods[1:]:
        left = rollup.merge(left, period)
    right = periods[-1]
    for period in periods[-2::-1]:
        right = rollup.merge(period, right)
    for name in left:
        assert np.array_equal(left[name], right[name], equal_nan=left[name].dtype.kind == "f"), name
    assert (left["t_records"] >= 0).all()


@given(st.lists(st.integers(-(2**62), 2**62), max_size=20), st.lists(st.floats(allow_infinity=False), max_size=5))
def test_packed_arrays_come_back(numbers, reals):
    given_ = {"a": np.array(numbers, np.int64), "b": np.array(reals, float)}
    back = pack.unpack(pack.pack(given_))
    assert all(np.array_equal(given_[n], back[n], equal_nan=True) and given_[n].dtype == back[n].dtype for n in given_)


def test_a_killed_collector_leaves_whole_samples(url):
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.harness.storing", url], stdout=subprocess.PIPE, text=True
        ) as child:
            seen = [int(child.stdout.readline()) for _ in range(12)]
            child.kill()
            seen += [int(line) for line in child.stdout.read().split("\n")[:-1]]
        with open_store(url) as database:
            slots = check_rollups(database)
        assert set(seen) <= set(slots), "a sample that was told is there"
    assert len(slots) == len(set(slots))


def test_a_look_uses_the_store_only_while_something_collects(url, monkeypatch):
    monkeypatch.setenv("ASGARD_STORE", url)
    with open_store() as database:
        fill(database)
    end = BEGIN + 190.0
    assert len(recent.window("c1", None, end + 5)) == 20
    assert set(recent.window("c1", ["billing"], end + 5)[0].committed) == {"billing"}
    assert recent.window("c1", ["other"], end + 5)[0].committed == {}
    assert recent.window("c1", None, end + 61) == []
    assert recent.window("c2", None, end + 5) == []


def test_a_look_makes_no_store(tmp_path, monkeypatch):
    monkeypatch.delenv("ASGARD_STORE", raising=False)
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path / "home"))
    assert recent.window("c1", None, BEGIN) == []
    assert not (tmp_path / "home").exists()
