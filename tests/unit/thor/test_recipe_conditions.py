"""Conditions of recipes: what can be asked of a cluster, how it is answered, and what is said of mistakes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asgard.cluster.findings import KINDS
from asgard.cluster.limits import BrokerLimit, Limits
from asgard.core import condition, cron
from asgard.kafka.model import Broker, ClusterSnapshot, LogDir, Partition, Quorum, TopicFacts, Voter
from asgard.thor.recipes import facts
from asgard.thor.recipes.facts import ClusterFacts


def broker(number: int, used: int | None = 10, **more: object) -> Broker:
    return Broker(number, rack=f"r{number}", log_dirs=(LogDir("/d", 100, used),), **more)  # type: ignore[arg-type]


HEALTHY = ClusterSnapshot(
    "2026-11-24T09:00:00Z",
    "c",
    1,
    (broker(1, 91), broker(2, 40), broker(3, 40), broker(4, 1)),
    (
        Partition("t", 0, (1, 2, 3), (1, 2, 3), 1, size_bytes=10),
        Partition("t", 1, (2, 3, 1), (1, 2, 3), 2, size_bytes=10),
        Partition("t", 2, (3, 1, 2), (1, 2, 3), 1, size_bytes=10),
        Partition("u", 0, (1, 2), (1, 2), 1, size_bytes=10),
    ),
    {"t": TopicFacts(2), "u": TopicFacts(2)},
    Quorum(1, (Voter(1, 0), Voter(2, 0), Voter(3, 0))),
)
BROKEN = replace(
    HEALTHY,
    brokers=(broker(1, 91), broker(2, 40), Broker(3, "r3", state="fenced"), broker(4, 1)),
    partitions=(
        Partition("t", 0, (1, 2, 3), (1, 2), 1),
        Partition("t", 1, (2, 3, 1), (1,), 1),
        Partition("t", 2, (3, 1, 2, 4), (1, 2, 3), 1, adding=(4,), removing=(3,)),
        Partition("u", 0, (3,), (), -1),
    ),
)
EVEN = replace(HEALTHY, partitions=tuple(Partition("t", n, (n % 4 + 1,), (n % 4 + 1,), n % 4 + 1) for n in range(5)))
"""Five leaders on four brokers: as even as can be."""


@pytest.mark.parametrize(
    ("snapshot", "text", "holds", "because"),
    [
        (HEALTHY, "under_replicated == 0", True, "it is 0"),
        (BROKEN, "under_replicated == 0", False, "it is 3"),
        (BROKEN, "under_min_isr > 0", True, "it is 2"),
        (HEALTHY, "at_min_isr == 0", False, "it is 1"),
        (BROKEN, "offline_partitions == 1", True, "it is 1"),
        (BROKEN, "reassigning >= 1", True, "it is 1"),
        (BROKEN, "brokers_up == 3", True, "it is 3"),
        (BROKEN, "brokers_down != 0", True, "it is 1"),
        (HEALTHY, "brokers_empty > 0", True, "it is 1"),
        (HEALTHY, "controllers_spare >= 1", True, "it is 1"),
        (HEALTHY, "not_preferred > 20%", True, "it is 25.0%"),
        (HEALTHY, "leader_spread <= 150%", False, "it is 300.0%"),
        (HEALTHY, "replica_spread <= 100%", False, "it is 133.3%"),
        (HEALTHY, "disk_spread > 100%", True, "it is 145.5%"),
        (EVEN, "leader_spread <= 100%", True, "it is 100.0%"),
        (HEALTHY, "any broker.disk > 80%", True, "broker 1: 91.0%"),
        (HEALTHY, "every broker.disk <= 80%", False, "broker 1: 91.0%"),
        (HEALTHY, "broker[2,3].disk <= 80%", True, "broker 2: 40.0%, broker 3: 40.0%"),
        (BROKEN, "every broker.state == up", False, "broker 3: fenced"),
        (BROKEN, "every broker.disk < 95%", True, "broker 1: 91.0%, broker 2: 40.0%, broker 4: 1.0%"),
        (HEALTHY, "broker[4].replicas == 0", True, "broker 4: 0"),
        (HEALTHY, "broker[7].replicas == 0", True, "broker 7: 0"),
        (HEALTHY, "any broker.bytes > 39", True, "broker 1: 40 B, broker 2: 40 B"),
        (HEALTHY, "any broker.bytes_in > 1MB/s", None, "bytes_in of broker 1, 2, 3 and 1 more was not measured"),
        (BROKEN, "broker[3].disk < 80%", None, "disk of broker 3 was not measured"),
        (replace(HEALTHY, quorum=None), "controllers_spare > 0", None, "not measured"),
        (BROKEN, "findings.broker-fenced > 0", True, "1 found"),
        (HEALTHY, "findings.broker-fenced > 0", False, "0 found"),
        (HEALTHY, "under_replicated > 0 or brokers_up == 4", True, "it is 4"),
        (HEALTHY, "under_replicated > 0 or brokers_up == 5", False, "it is 0; it is 4"),
        (HEALTHY, "any broker.bytes_in > 1MB/s or brokers_up == 4", True, "it is 4"),
    ],
)  # fmt: skip
def test_a_condition_is_answered_with_the_figures_behind_it(
    snapshot: ClusterSnapshot, text: str, holds: bool | None, because: str
) -> None:
    verdict = ClusterFacts(snapshot).judge(condition.parse(text))
    assert (verdict.holds, verdict.because) == (holds, because)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("brokers_down == 0", "brokers_down == 0 does not hold (it is 1)"),
        ("brokers_down > 0 or brokers_up > 9 or offline_partitions > 0", "brokers_down > 0 holds (it is 1); offline_partitions > 0 holds (it is 1)"),
        ("brokers_up > 9 or brokers_up > 8", "none of brokers_up > 9, brokers_up > 8 holds"),
        ("brokers_up > 9 or brokers_up > 8 or brokers_up > 7 or brokers_up > 6", "none of brokers_up > 9, brokers_up > 8, brokers_up > 7 and 1 more holds"),
        ("broker[3].disk > 9%", "broker[3].disk > 9% is unknown (disk of broker 3 was not measured)"),
    ],
)  # fmt: skip
def test_an_answer_is_a_sentence(text: str, said: str) -> None:
    assert str(ClusterFacts(BROKEN).judge(condition.parse(text))) == said


def test_limits_say_how_large_a_disk_is_and_who_gets_nothing() -> None:
    limits = Limits(brokers={2: BrokerLimit(capacity_bytes=41)}, exclude_brokers=frozenset({4}))
    known = ClusterFacts(HEALTHY, limits)
    assert known.judge(condition.parse("broker[2].disk > 95%")).holds
    assert known.empty == []


def test_a_broker_that_was_drained_is_not_taken_for_a_new_one() -> None:
    cordoned = Broker(4, log_dirs=(LogDir("/d", 100, 1, cordoned=True),))
    assert ClusterFacts(replace(HEALTHY, brokers=(*HEALTHY.brokers[:3], cordoned))).empty == []


def test_everything_that_can_be_asked_is_known() -> None:
    assert set(condition.CLUSTER_FACTS) == set(facts._CLUSTER)
    assert tuple(condition.FINDINGS) == KINDS
    for name, (unit, _) in condition.BROKER_FACTS.items():
        value = {"state": "up", "fraction": "1%", "count": "1", "bytes": "1MB", "bytes/s": "1MB/s"}[unit]
        verdict = ClusterFacts(HEALTHY).judge(condition.parse(f"any broker.{name} != {value}"))
        assert (verdict.holds is None) == name.startswith("bytes_"), name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("under_replicatd == 0", "did you mean under_replicated?"),
        ("under_replicated", "allowed is a comparison, as in under_replicated == 0"),
        ("under_replicated == none", "compares a number with 'none'; allowed is a whole number"),
        ("under_replicated == 0 or", "allowed is a whole number"),
        ("broker.disk > 80%", "say of which brokers: any broker.…, every broker.… or broker[3].…"),
        ("all broker.disk > 80%", "say of which brokers"),
        ("any broker.disc > 80%", "did you mean disk?"),
        ("any broker.disk > 80", "allowed is a percentage, as in 80%"),
        ("any broker.bytes > lots", "is 'lots'; allowed is a number with one of"),
        ("broker[x].disk > 80%", "names the brokers 'x'"),
        ("any broker.state > up", "allowed are == and != with up, fenced, missing"),
        ("findings.fire > 0", "names the finding 'fire'; allowed are partitions-offline"),
        ("__import__('os').system('true') == 0", "allowed are under_replicated"),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        condition.parse(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("*/5 * * * *", "*/5 * * * *"),
        ("  0   3 1,15 * mon-fri ", "0 3 1,15 * mon-fri"),
        ("0-30/10 22 * JAN sun", "0-30/10 22 * JAN sun"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        ("0 0 31 2 1", "0 0 31 2 1"),
        ("@daily", "@daily"),
    ],
)
def test_schedules_of_cron(given: str, read: str) -> None:
    assert cron.check(given) == read


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("* * * *", "has 4 fields; allowed are five"),
        ("@reboot", "allowed are five fields"),
        ("60 * * * *", "has '60' as minute; allowed is 0-59"),
        ("* 24 * * *", "has '24' as hour"),
        ("0 0 * * funday", "has 'funday' as day of week; allowed is 0-7 or sun"),
        ("0 22-6 * * *", "a range goes upwards"),
        ("5/10 * * * *", "a step goes with * or a range"),
        ("*/0 * * * *", "allowed is a step of 1 to 59"),
        ("0 0 31 2,4 *", "never comes"),
        ("0; reboot * * *", "as minute"),
    ],
)
def test_what_is_no_schedule_is_refused_with_a_reason(given: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        cron.check(given)
    assert said in str(caught.value)
