"""Monkeys' files: what they mean, what is said about those that are wrong, and what a cluster must be like."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from asgard.core.errors import InvalidFile
from asgard.kafka.model import Broker, Partition, Topic
from asgard.loki.monkey import config, health

FULL = """\
format: asgard.monkey/v1
name: weekdays
timezone: Europe/Amsterdam
hours: [mon-thu 09:00-17:00, fri 09:00 - 12:00]
days_off: [2026-12-25, 2026-12-28..2027-01-01]
at_most: 2
exclude_topics: [scratch-*]
groups:
  - {name: brokers, kind: broker, opt_in: {rack: [r1, r2]}, probability: 20%, min_healthy: 2}
  - {name: vms, kind: ec2, opt_in: {chaos: yes, tier: 1}, mean_time_between_kills: 5d, min_healthy: 60%, region: eu-west-1}
  - {name: web, kind: asg, opt_in: {chaos: true}, probability: 5%, min_healthy: 66.7%}
  - {name: apps, kind: container, opt_in: {com.example.chaos: allowed}, probability: 5%, min_healthy: 3, size: 5, at_most: 2}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "monkey.yaml"
    path.write_text(FULL)
    return path


def test_a_file_says_who_when_and_how_often(file: Path) -> None:
    monkey = config.read(file)
    assert (monkey.name, monkey.timezone, monkey.at_most) == ("weekdays", "Europe/Amsterdam", 2)
    assert monkey.hours == ("mon-thu 09:00-17:00", "fri 09:00-12:00")
    assert monkey.days_off == ((date(2026, 12, 25),) * 2, (date(2026, 12, 28), date(2027, 1, 1)))
    brokers, vms, web, apps = monkey.groups
    assert (brokers.opt_in, brokers.action, brokers.probability) == ({"rack": ("r1", "r2")}, "kill", 0.2)
    assert (vms.opt_in, vms.action, vms.mean_s) == ({"chaos": ("yes",), "tier": ("1",)}, "stop", 432000.0)
    assert (web.opt_in, web.action, web.least(3)) == ({"chaos": ("true",)}, "terminate", 3)
    assert (apps.size, apps.at_most, apps.socket) == (5, 2, None)


def test_what_is_left_out_is_the_careful_choice(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text("groups: [{name: b, kind: broker, opt_in: {node: 1}, probability: 100%, min_healthy: 2}]")
    monkey = config.read(path)
    assert (monkey.name, monkey.at_most, monkey.groups[0].at_most) == ("small", 1, 1)
    assert (monkey.hours, monkey.timezone, monkey.exclude_topics) == (("mon-fri 09:00-17:00",), "UTC", ())


@pytest.mark.parametrize(("share", "size", "least"), [("60%", 5, 3), ("50%", 5, 3), ("0%", 5, 0), ("100%", 5, 5), ("33.3%", 3, 1), ("7%", 100, 7)])  # fmt: skip
def test_a_share_of_the_members_is_rounded_up(share: str, size: int, least: int) -> None:
    assert config.Group("g", "broker", {}, share, "kill").least(size) == least


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        ("mean_time_between_kills: 5d", "probability: 5%, mean_time_between_kills: 5d", "groups[1]: says how often in no way, or in two"),
        ("opt_in: {rack: [r1, r2]}", "opt_in: {}", "nothing is stopped that has not opted in"),
        ("opt_in: {rack: [r1, r2]}, ", "", "groups[0].opt_in: is missing"),
        ("opt_in: {rack: [r1, r2]}", "opt_in: {chaos: x}", "opts in by chaos; a broker has node, rack, stack"),
        ("opt_in: {chaos: true}", "opt_in: {chaos: }", "has empty for chaos"),
        ("min_healthy: 2}", "min_healthy: -1}", "groups[0].min_healthy: is -1; allowed is a number, as in 2, or a share, as in 60%"),
        (", min_healthy: 2}", "}", "groups[0].min_healthy: is missing"),
        ("probability: 20%", "probability: 0.2", "allowed is a percentage"),
        ("size: 5, ", "", "has no size: what was killed is listed no more"),
        ("min_healthy: 60%, ", "min_healthy: 60%, action: terminate, ", "has no size"),
        ("min_healthy: 66.7%", "min_healthy: 1, action: stop", "has the action stop, and is of kind asg; allowed is terminate"),
        ("region: eu-west-1", "socket: /x", "groups[1]: has a socket, and is of kind ec2"),
        ("name: web", "name: vms", "groups[2].name: is given twice"),
        ("Europe/Amsterdam", "Europe/Atlantis", "timezone: is 'Europe/Atlantis', which this machine knows no time zone of"),
        ("fri 09:00 - 12:00", "fri 9-12", "hours[1]: is 'fri 9-12'; allowed is a time of day (on the clocks of `timezone`)"),
        ("2026-12-25,", "25.12.2026,", "days_off[0]: is '25.12.2026'; allowed is a date"),
        ("2026-12-28..2027-01-01", "2027-01-01..2026-12-28", "the first one first"),
        ("at_most: 2\nexclude", "at_most: 0\nexclude", "at_most: is 0; allowed is 1 or more"),
        ("kind: asg", "kind: autoscaling", "groups[2].kind: is 'autoscaling'; allowed is broker, ec2, asg, volume, ecs or container"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(file: Path, wrong: str, right: str, said: str) -> None:
    assert wrong in FULL
    file.write_text(FULL.replace(wrong, right, 1))
    with pytest.raises(InvalidFile) as caught:
        config.read(file)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{file}:")


def partition(topic: str, isr: tuple[int, ...], leader: int = 1, adding: tuple[int, ...] = ()) -> Topic:
    return Topic(topic, "id", False, (Partition(topic, 0, (1, 2, 3), isr, leader, adding=adding),))


UP = [Broker(i) for i in (1, 2, 3)]


@pytest.mark.parametrize(
    ("topic", "brokers", "said"),
    [
        (partition("t", (1, 2, 3)), UP, ()),
        (partition("t", (1, 2)), UP, ("under-replicated: 1 partition (t-0)",)),
        (partition("t", (1, 2, 3), adding=(3,)), UP, ("under-replicated: 1 partition (t-0)",)),
        (partition("t", (), leader=-1), UP, ("without a leader: 1 partition (t-0)",)),
        (partition("t", (1, 2, 3)), [*UP[:2], Broker(3, state="fenced")], ("broker 3 not up",)),
        (partition("strict", (1, 2, 3)), UP, ("at min ISR, so with no replica to spare: 1 partition (strict-0)",)),
        (partition("scratch-1", (1, 2, 3)), UP, ()),
        (partition("scratch-1", (1, 2)), UP, ("under-replicated: 1 partition (scratch-1-0)",)),
    ],
)
def test_a_cluster_bears_a_loss_where_all_is_in_sync_with_one_to_spare(
    topic: Topic, brokers: list[Broker], said: tuple[str, ...]
) -> None:
    min_isr = {"t": 2, "strict": 3, "scratch-1": 3}
    assert health.judge(brokers, [topic], min_isr, ["scratch-*"]).because == said
