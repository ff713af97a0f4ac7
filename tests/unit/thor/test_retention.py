"""How much longer a topic may be kept: what it costs, which disk says no, and what is put back."""

from __future__ import annotations

import pytest

from asgard.cluster import kept
from asgard.cluster.kept import Kept
from asgard.cluster.limits import BrokerLimit, Limits
from asgard.core.errors import Refused
from asgard.kafka.model import Broker, ClusterSnapshot, LogDir, Partition
from asgard.thor import retention
from asgard.thor.retention import Disks

GIB = 1024**3
DAY_S = 86400.0
DAY = {"retention.ms": "86400000", "retention.bytes": "-1"}


def disks(*, size: int | None = GIB, rate: float | None = None, used: int = 50, limits: Limits = Limits(), down: int = 0) -> Disks:  # fmt: skip
    brokers = tuple(
        Broker(b, None, "h", 1, "fenced" if b == down else "up", () if b == down else (LogDir("/d", 100 * GIB, used * GIB),))
        for b in (1, 2, 3)
    )  # fmt: skip
    parts = tuple(Partition("orders", p, (1, 2, 3), (1, 2, 3), 1, size_bytes=size, bytes_in_per_s=rate) for p in (0, 1))
    return Disks(ClusterSnapshot("now", "c", 1, brokers, parts, {}, None), limits)


def test_a_longer_retention_costs_what_the_topic_holds_over_the_time_that_it_covers() -> None:
    longer = retention.plan("orders", DAY, disks(), DAY_S, 7 * DAY_S)
    assert longer.values == {"retention.ms": "172800000"} and longer.seconds == DAY_S and longer.held_back == ""
    assert longer.costs_bytes == pytest.approx(6 * GIB, rel=1e-6), "two partitions of 1 GiB on three brokers"


def test_a_rate_that_is_higher_now_counts() -> None:
    longer = retention.plan("orders", DAY, disks(rate=4 * GIB / DAY_S), DAY_S, 7 * DAY_S)
    assert longer.costs_bytes == pytest.approx(24 * GIB, rel=1e-6)


def test_what_the_fullest_disk_has_room_for_is_all_there_is() -> None:
    longer = retention.plan("orders", DAY, disks(used=79), DAY_S, 7 * DAY_S)
    assert (
        longer.seconds == pytest.approx(DAY_S / 2) and longer.held_back == "the disk limit of broker 1 allows no more"
    )
    assert retention.words(longer).startswith("orders keeps its records 12 h longer (up to 3.0 GiB more on disks); the")


@pytest.mark.parametrize("used", [80, 95])
def test_without_room_it_is_refused_and_said(used: int) -> None:
    with pytest.raises(Refused) as caught:
        retention.plan("orders", DAY, disks(used=used), DAY_S, 7 * DAY_S)
    assert caught.value.what == "orders can't be kept 1 d longer: the disk limit of broker 1 allows no more than 0.0 s"
    assert "limits.disk" in (caught.value.hint or "")


def test_a_broker_s_own_limit_and_what_was_promised_before_count() -> None:
    own = Limits(brokers={2: BrokerLimit(disk=0.51)})
    assert retention.plan("orders", DAY, disks(limits=own), DAY_S, 7 * DAY_S).held_back == "the disk limit of broker 2 allows no more"  # fmt: skip
    promised = disks(used=78)
    promised.promise("orders", DAY_S, DAY_S / 2)
    assert retention.plan("orders", DAY, promised, DAY_S, 7 * DAY_S).seconds == pytest.approx(DAY_S / 2)


def test_never_longer_than_at_most() -> None:
    longer = retention.plan("orders", DAY, disks(), DAY_S, DAY_S / 4)
    assert longer.seconds == DAY_S / 4 and longer.held_back == "at_most allows no more"
    with pytest.raises(Refused, match="at_most allows no more than 0"):
        retention.plan("orders", DAY, disks(), DAY_S, 0.0)


def test_a_limit_by_size_grows_with_the_time() -> None:
    longer = retention.plan("orders", {**DAY, "retention.bytes": "1000"}, disks(), DAY_S / 2, 7 * DAY_S)
    assert longer.values == {"retention.ms": "129600000", "retention.bytes": "1500"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"size": None}, "the size of orders-0 is not known"),
        ({"limits": Limits(brokers={1: BrokerLimit(capacity_bytes=0)}), "down": 2}, ""),
    ],
)
def test_what_is_not_known_is_no_room_and_a_broker_that_is_down_is_not_asked(given: dict[str, object], words: str) -> None:  # fmt: skip
    if words:
        with pytest.raises(Refused, match=words):
            retention.plan("orders", DAY, disks(**given), DAY_S, 7 * DAY_S)  # type: ignore[arg-type]
    else:
        assert retention.plan("orders", DAY, disks(**given), DAY_S, 7 * DAY_S).seconds == DAY_S  # type: ignore[arg-type]


def test_records_that_are_kept_for_ever_need_nothing() -> None:
    with pytest.raises(Refused, match="for ever"):
        retention.plan("orders", {"retention.ms": "-1"}, disks(), DAY_S, DAY_S)


def test_what_is_kept_is_no_drift_and_what_somebody_set_meanwhile_stays() -> None:
    one = Kept("orders", 1000, {"retention.ms": None}, ({"retention.ms": "5"}, {"retention.ms": "9"}), ("g",), 0.0, "r")
    assert kept.parse(one.undo("c")) == one
    assert kept.own({"retention.ms": "9", "cleanup.policy": "delete"}, one) == {"cleanup.policy": "delete"}
    assert kept.own({"retention.ms": "5"}, one) == {}, "the value before the last one, after a kill"
    assert kept.own({"retention.ms": "7"}, one) == {"retention.ms": "7"}
    other = Kept("orders", 1000, {"retention.ms": "3"}, ({"retention.ms": "5"},), ("g",), 0.0, "r")
    assert kept.own({"retention.ms": "5"}, other) == {"retention.ms": "3"}


def test_odin_looks_at_a_topic_as_it_is_without_what_is_kept() -> None:
    from types import SimpleNamespace
    from typing import Any, cast

    from asgard.odin.resources.observe import Observed

    there = {"orders": {"retention.ms": "9"}, "bills": {"retention.ms": "9"}}
    one = Kept("orders", 1000, {"retention.ms": "3"}, ({"retention.ms": "9"},), ("g",), 0.0, "r")
    control = cast(Any, SimpleNamespace(topic_configs=lambda names: there))
    observed = Observed(lambda: control, kept=lambda: {"orders": one})
    assert observed.topic_configs() == {"orders": {"retention.ms": "3"}, "bills": {"retention.ms": "9"}}
