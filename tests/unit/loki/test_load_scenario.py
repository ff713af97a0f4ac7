"""Scenario files and flags: what they mean, and what is said about those that are wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from asgard.cli.loki.load_options import LoadFlags
from asgard.core.errors import Failed, InvalidFile
from asgard.kafka import stamp
from asgard.loki.load import feed, read, scenario
from asgard.loki.load.scenario import Keys, Stage, Values

FULL = """\
format: asgard.load/v1
name: peak
warm_up: 2s
topics: [{name: orders, partitions: 12, config: {min.insync.replicas: 2}}]
producers:
  - topic: orders
    users: 2
    stages: [{duration: 10s, to: 1000/s}, {duration: 20s, rate: 1000/s}]
    keys: {spread: zipf, count: 50}
    value: {events: rides}
    compression: lz4
  - {topic: orders, acks: 1, in_flight: 1, users: 1}
consumers: [{topic: orders, group: analytics}]
slo: {p99: 250ms, errors: 0.1%, lost: 0}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "peak.yaml"
    path.write_text(FULL)
    return path


def wrong(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InvalidFile) as caught:
        read.read_file(path)
    return [str(p).removeprefix(f"{tmp_path}/") for p in caught.value.problems]


def test_a_file_is_read_with_its_defaults(file: Path) -> None:
    load = read.read_file(file, workers=3)
    ramp, closed = load.producers
    assert (load.name, load.duration_s, load.warm_up_s) == ("peak", 30, 2)
    assert ramp.stages == (Stage(10, 0, 1000), Stage(20, 1000, 1000))
    assert (ramp.users, ramp.acks, ramp.idempotence, ramp.values.events) == (2, "all", True, "rides")
    assert (closed.open_loop, closed.acks, closed.idempotence, closed.name) == (False, "1", False, "orders 2")
    assert (ramp.linger_s, closed.linger_s) == (read.LINGER_S, read.LINGER_S), (
        "few are in flight: each waits for its batch"
    )
    assert load.consumers[0].users == 3, "one a worker"
    assert load.records == read.CLOSED_LOOP_RECORDS, "a closed loop is bounded in count"
    assert (load.slo.p99_s, load.slo.errors, load.slo.lost) == (0.25, 0.001, 0)


def test_a_scenario_travels_whole(file: Path) -> None:
    load = read.read_file(file)
    assert scenario.from_json(scenario.to_json(load)) == load
    with pytest.raises(Failed, match="the same version"):
        scenario.from_json('{"name": 3}')


def test_values_are_changed_on_the_command_line(file: Path) -> None:
    load = read.read_file(file, assignments=["duration=60s", "producers.0.users=5", "slo.p99=1s"])
    assert (load.duration_s, load.producers[0].users, load.slo.p99_s) == (60, 5, 1)


def test_every_problem_is_named_with_its_place(tmp_path: Path) -> None:
    text = """\
duration: 5s
warm_up: 5s
shape: nowhere.py:Steps
topics: [{name: other}, {name: t, in_place: true, partitions: 3}]
producers:
  - {topic: t, rate: 10/s, stages: [{duration: 9s}]}
  - {topic: t, rate: 10/s, in_flight: 5, acks: 1, idempotence: true, value: {size: 1KiB, events: rides}}
consumers: [{topic: elsewhere}]
"""
    assert wrong(tmp_path, text) == [
        "bad.yaml:2:10: warm_up: is not shorter than the duration, so nothing would be measured",
        "bad.yaml:3:8: shape: names nowhere.py, which does not exist",
        "bad.yaml:4:17: topics[0].name: has no producer; allowed is t",
        "bad.yaml:4:45: topics[1].in_place: writes to the topic as it is; partitions, replication and config are not set",
        "bad.yaml:6:22: producers[0].rate: is given together with stages; allowed is one of the two",
        "bad.yaml:6:36: producers[0].stages: take 9 s together, more than the duration of 5 s",
        "bad.yaml:6:37: producers[0].stages[0]: needs either `rate` (holds it) or `to` (leads there)",
        "bad.yaml:7:39: producers[1].in_flight: is for a closed loop; an open loop sends what is due",
        "bad.yaml:7:64: producers[1].idempotence: needs acks all, and acks is 1",
        "bad.yaml:7:77: producers[1].value: has more than one of size, largest, events and file; allowed is one",
        "bad.yaml:8:21: consumers[0].topic: has no producer; allowed is t",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("producers: []", "producers"),
        ("producers: [{topic: t, rate: fast}]", "bad.yaml:1:30: producers[0].rate: is 'fast'"),
        ("producers: [{topic: t, keys: {spread: zipv}}]", "did you mean zipf?"),
        ("producers: [{topic: t}]\nslo: {errors: 3}", "slo.errors: is 3; allowed is 0, or a percentage"),
        (
            "producers: [{topic: t}]\nslo: {end_to_end: 1s}",
            "bad.yaml:2:19: slo.end_to_end: is measured by consumers, and the load has none",
        ),
        (
            "producers: [{topic: t}]\ncheck: false\nslo: {lost: 0}",
            "bad.yaml:3:13: slo.lost: is counted by the check of every record, which is turned off",
        ),
        ("producers: [{topic: t}]\ncheck: false\nslo: {duplicates: 0}", "bad.yaml:3:19: slo.duplicates: is counted by"),
        ("producers: [{topic: t}]\nslo: {p98: 3s}", "slo.p98: is not a known key; did you mean p99?"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    assert any(message in problem for problem in wrong(tmp_path, text))


def test_batches_fill_at_full_speed(tmp_path: Path) -> None:
    path = tmp_path / "fast.yaml"
    path.write_text("producers: [{topic: t}, {topic: t, name: mine, linger: 1ms}]\n")
    assert [p.linger_s for p in read.read_file(path).producers] == [read.FULL_SPEED_LINGER_S, 0.001]


def test_flags_say_what_a_file_says() -> None:
    load = read.from_flags({"producers": [{"topic": "t", "rate": "2000/s"}], "slo": {"p99": "250ms"}}, {})
    assert (load.duration_s, load.producers[0].stages) == (30, (Stage(30, 2000, 2000),))
    with pytest.raises(InvalidFile, match=r"option --rate: is 'x'"):
        read.from_flags({"producers": [{"topic": "t", "rate": "x"}]}, {("producers", 0, "rate"): "--rate"})


def test_no_check_is_refused_beside_a_goal_that_the_check_counts(file: Path) -> None:
    with pytest.raises(InvalidFile, match=rf"{file}:\d+:\d+: slo.lost: is counted by the check of every record"):
        LoadFlags().scenario(file, [], 1, check=False)
    with pytest.raises(InvalidFile, match="option --slo duplicates: is counted by the check of every record"):
        LoadFlags(topic="t", slo=["duplicates=0"]).scenario(None, [], 1, check=False)
    assert not LoadFlags(topic="t", slo=["p99=1s"]).scenario(None, [], 1, check=False).check
    assert not LoadFlags().scenario(file, ["slo={p99: 1s}"], 1, check=False).check


@pytest.mark.parametrize(
    ("flags", "warm_up_s"),
    [
        ({}, 5.0),  # 30 s at full speed
        ({"duration": "10s"}, 2.0),
        ({"duration": "10s", "warm_up": "0s"}, 0.0),
        ({"duration": "10s", "warm_up": "3s"}, 3.0),
        ({"duration": "1h"}, 5.0),
        ({"records": 1000, "producers": [{"topic": "t", "rate": "100/s"}]}, 2.0),
        ({"records": 1000}, 0.0),  # at full speed they may be gone before a warm-up is over
    ],
)
def test_flags_without_a_warm_up_get_one(flags: dict[str, object], warm_up_s: float) -> None:
    load = read.from_flags({"producers": [{"topic": "t"}], **flags}, {})
    assert load.warm_up_s == pytest.approx(warm_up_s)


def test_a_file_measures_everything_unless_it_names_a_warm_up(tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text("producers: [{topic: t}]\n")
    assert read.read_file(path).warm_up_s == 0


def test_the_json_schema_knows_every_key() -> None:
    assert {"producers", "consumers", "slo", "shape"} <= read.json_schema()["properties"].keys()


def test_the_same_seed_makes_the_same_records() -> None:
    for values in (Values(100, 100), Values(10, 2000), Values(events="rides")):
        made = feed.pool(Keys(), values, seed=7)
        assert made == feed.pool(Keys(), values, seed=7)
        assert made != feed.pool(Keys(), values, seed=8)
        assert all(crc == stamp.checksum(value).to_bytes(4, "big") for _, value, crc in made[:50])


def test_keys_are_spread_as_they_were_named() -> None:
    def counts(keys: Keys) -> Counter[bytes | None]:
        return Counter(key for key, _, _ in feed.pool(keys, Values(10, 10), seed=1))

    assert set(counts(Keys("none"))) == {None}
    assert len(counts(Keys("fixed"))) == 1
    even = counts(Keys("uniform", 100))
    assert len(even) == 100 and max(even.values()) < 2 * min(even.values())
    zipf = counts(Keys("zipf", 1000, 1.0)).most_common()
    # The first of 1000 keys has 1 / H(1000) = 13 % of all records, and twice what the second has.
    assert 0.11 < zipf[0][1] / feed.POOL_RECORDS < 0.16
    assert 1.7 < zipf[0][1] / zipf[1][1] < 2.3


def test_sizes_stay_between_the_two_that_were_named() -> None:
    sizes = {len(value) for _, value, _ in feed.pool(Keys(), Values(10, 30), seed=1)}
    assert (min(sizes), max(sizes)) == (10, 30)
