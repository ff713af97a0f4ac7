"""When a raised retention is put back, and when it has to wait: the decisions, with lags given. tests/integration has the real thing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asgard.cluster.held import HeldCluster
from asgard.cluster.limits import Limits
from asgard.compose import keeping
from asgard.core.errors import Busy, Refused, Unreachable
from asgard.core.schema.recipe import RaiseRetention
from asgard.heimdall.lag.model import GroupLag, PartitionLag
from asgard.journal import events, leases, operations
from asgard.journal.leases import Priority
from asgard.journal.store.database import open_journal
from asgard.kafka.groups import UNANSWERED
from asgard.kafka.model import Broker, ClusterSnapshot, LogDir, Partition
from tests.harness.heimdall_days import group_lag

HOUR_S, DAY_MS = 3600.0, 86_400_000
GIB = 1024**3


class Cluster:
    """Configs of topics, and what groups have not read."""

    def __init__(self) -> None:
        self.configs: dict[str, dict[str, str]] = {"orders": {"retention.ms": str(DAY_MS)}, "bills": {}}
        self.lags: dict[str, GroupLag] = {}
        self.ends = {"orders": np.array([11]), "bills": np.array([11])}

    def topic_configs(self, names: Any) -> dict[str, dict[str, str]]:
        return {t: dict(self.configs[t]) for t in names if t in self.configs}

    def effective_topic_configs(self, names: Any, keys: Any) -> dict[str, dict[str, str]]:
        defaults = {"retention.ms": str(DAY_MS), "retention.bytes": "-1"}
        return {t: {**defaults, **self.configs[t]} for t in names}

    def alter_configs(self, changes: Any) -> dict[Any, None]:
        for c in changes:
            for key in c.unset:
                self.configs[c.name].pop(key, None)
            self.configs[c.name].update(c.set)
        return {}

    def topics(self, names: Any) -> dict[str, Any]:
        return {t: t for t in names if t in self.configs}


class Bench:
    """A held cluster, and a recipe's run on it."""

    def __init__(self, held: HeldCluster, cluster: Cluster) -> None:
        self.held, self.cluster, self.told = held, cluster, list[str]()

    def behind(self, group: str, *, age_h: float | None, left_h: float | None, topic: str = "orders", expired: int = 0) -> None:  # fmt: skip
        lag = group_lag(group, lag=10, topic=topic, expired=expired)
        part = PartitionLag(topic, 0, "slow", "", 1, 11, 10, expired, None if age_h is None else age_h * HOUR_S, 0.0, None, None if left_h is None else left_h * HOUR_S)  # fmt: skip
        self.cluster.lags[group] = replace(lag, worst=(part,))

    def has_read(self, group: str) -> None:
        lag = self.cluster.lags[group]
        self.cluster.lags[group] = replace(lag, worst=tuple(replace(p, lag=0, time_lag_s=0.0) for p in lag.worst))

    def run(self, group: str = "late", run: str = "r1", extra: str = "24h", limits: Limits = Limits()) -> Any:
        given = RaiseRetention.model_validate({"extra": extra})
        memory = SimpleNamespace(run=run)
        attempt: Any = SimpleNamespace(step=SimpleNamespace(given=given), memory=memory, tell=self.told.append)
        return keeping.raise_retention(self.held, attempt, limits, group)

    @property
    def retention_h(self) -> dict[str, float | None]:
        return {t: int(c["retention.ms"]) / 3.6e6 if "retention.ms" in c else None for t, c in self.cluster.configs.items()}  # fmt: skip


@pytest.fixture
def bench(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    cluster = Cluster()
    brokers = (Broker(1, None, "h", 1, "up", (LogDir("/d", 100 * GIB, 50 * GIB),)),)
    parts = tuple(Partition(t, 0, (1,), (1,), 1, size_bytes=GIB, bytes_in_per_s=0.0) for t in ("orders", "bills"))
    snapshot = ClusterSnapshot("now", "c", 1, brokers, parts, {}, None)
    monkeypatch.setattr(keeping.look, "take", lambda control, window_s: snapshot)
    monkeypatch.setattr(keeping, "_lags", lambda control, names: tuple(cluster.lags[n] for n in names if n in cluster.lags))  # fmt: skip
    monkeypatch.setattr(
        "asgard.heimdall.lag.ask.look",
        lambda control: SimpleNamespace(problems={}, ends=cluster.ends, committed={g: dict.fromkeys(x.topics) for g, x in cluster.lags.items()}),
    )  # fmt: skip
    with (
        open_journal(f"sqlite:///{tmp_path}/journal.db") as journal,
        leases.hold(journal, leases.cluster_change("c"), priority=Priority.HEAL, doing="test") as lease,
    ):
        yield Bench(HeldCluster("c", "test", cluster, journal, lease), cluster)  # type: ignore[arg-type]


def settled(bench: Bench) -> list[tuple[bool, bool, str]]:
    (found,) = (u.operation for u in operations.unfinished(bench.held.journal))
    try:
        outcome = keeping.settle(bench.held.control, found, bench.held.lease)  # type: ignore[arg-type]
    except Busy as error:
        return [(False, True, error.what)]
    operations.finish(bench.held.journal, found, bench.held.lease, outcome)
    return [(True, False, outcome)]


def test_it_is_raised_once_waits_for_the_group_and_is_put_back(bench: Bench) -> None:
    bench.behind("late", age_h=20, left_h=4)
    assert bench.run().outcome == "done" and bench.retention_h["orders"] == 48
    assert settled(bench)[0][2] == "late has 10 records of orders unread, the oldest 20 h old"
    bench.has_read("late")
    assert settled(bench) == [(True, False, "orders has its retention of before (retention.ms=86400000)")]
    assert bench.retention_h["orders"] == 24
    kinds = [e.kind for e in events.read(bench.held.journal, events.EventFilter(kind="thor.retention.*"))]
    assert kinds == [keeping.RAISED, keeping.RESTORED]


def test_a_topic_without_a_retention_of_its_own_has_none_again(bench: Bench) -> None:
    bench.behind("late", age_h=20, left_h=4, topic="bills")
    bench.run()
    assert bench.retention_h["bills"] == 48
    bench.has_read("late")
    assert settled(bench)[0][0] and bench.retention_h["bills"] is None


def test_nothing_is_raised_that_is_not_in_danger(bench: Bench) -> None:
    bench.behind("late", age_h=1, left_h=23)
    assert bench.run(extra="6h").outcome == "nothing" and bench.retention_h["orders"] == 24


def test_a_group_that_could_not_be_measured_is_not_taken_to_be_safe(bench: Bench) -> None:
    with pytest.raises(Unreachable, match="late loses unread data can't be told: its coordinator does not answer"):
        bench.run()
    bench.behind("late", age_h=None, left_h=None)
    bench.cluster.lags["late"] = replace(bench.cluster.lags["late"], unmeasured=frozenset({"age"}), because="no age")
    with pytest.raises(Unreachable, match="no age"):
        bench.run()


def test_another_group_that_would_lose_data_by_it_is_waited_for_and_one_that_had_lost_some_is_not(bench: Bench) -> None:
    bench.behind("late", age_h=20, left_h=4)
    bench.run()
    bench.has_read("late")
    bench.behind("other", age_h=30, left_h=18)
    assert settled(bench)[0][2].startswith("other has 10 records")
    bench.behind("other", age_h=30, left_h=0, expired=5)
    assert settled(bench)[0][0]


def test_what_is_not_measured_is_waited_for_but_not_for_ever(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.behind("late", age_h=20, left_h=4)
    bench.run()
    bench.behind("late", age_h=None, left_h=None)
    assert settled(bench)[0][1]
    later = bench.held.journal.time() + 8 * 86400
    monkeypatch.setattr(type(bench.held.lease.journal), "time", lambda self: later)
    done, _, outcome = settled(bench)[0]
    assert done and outcome.endswith("its time is over") and bench.retention_h["orders"] == 24


def test_a_partition_without_a_leader_may_hold_unread_records(bench: Bench) -> None:
    bench.behind("late", age_h=20, left_h=4)
    bench.run()
    bench.has_read("late")
    bench.cluster.ends["orders"] = np.array([11, UNANSWERED])
    assert settled(bench)[0][2] == "whether orders was read can't be told: a partition has no leader that answers"
    bench.cluster.ends["orders"] = np.array([11, 11])
    assert settled(bench)[0][0]


def test_the_same_run_sets_again_what_it_had_written_down_and_another_goes_further(bench: Bench) -> None:
    bench.behind("late", age_h=20, left_h=4)
    bench.run()
    bench.cluster.configs["orders"]["retention.ms"] = str(DAY_MS)  # as if it had been killed before the write
    assert bench.run().outcome == "done" and bench.retention_h["orders"] == 48
    bench.behind("late", age_h=44, left_h=4)
    assert bench.run(run="r2").outcome == "done" and bench.retention_h["orders"] == 72
    assert len(operations.unfinished(bench.held.journal)) == 1
    bench.has_read("late")
    assert settled(bench)[0][0] and bench.retention_h["orders"] == 24, "back to where it was at first"


def test_what_somebody_set_meanwhile_stays(bench: Bench) -> None:
    bench.behind("late", age_h=20, left_h=4)
    bench.run()
    bench.cluster.configs["orders"]["retention.ms"] = "7"
    bench.has_read("late")
    assert "or one that was set meanwhile" in settled(bench)[0][2] and bench.cluster.configs["orders"]["retention.ms"] == "7"  # fmt: skip


def test_a_topic_or_a_group_that_is_gone_is_not_waited_for(bench: Bench) -> None:
    bench.behind("late", age_h=20, left_h=4)
    bench.run()
    del bench.cluster.configs["orders"]
    assert settled(bench) == [(True, False, "topic orders is gone")]


def test_without_room_nothing_is_begun(bench: Bench) -> None:
    bench.behind("late", age_h=20, left_h=4)
    with pytest.raises(Refused, match="the disk limit of broker 1"):
        bench.run(limits=Limits(disk=0.5))
    assert operations.unfinished(bench.held.journal) == [] and bench.retention_h["orders"] == 24
