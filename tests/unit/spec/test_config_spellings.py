"""Configs that are spelled in another way than a broker answers, or by the broker's name on a topic."""

from __future__ import annotations

from pathlib import Path

import pytest

from asgard.core.errors import InvalidFile
from asgard.odin.resources import configs
from asgard.odin.resources.config_names import meant
from asgard.odin.resources.kinds import CONFIG, TOPIC
from asgard.odin.resources.observe import difference
from asgard.odin.spec.read import load

SPELLINGS = [
    ("cleanup.policy", "compact, delete", "compact,delete"),
    ("cleanup.policy", "delete,compact", "compact,delete"),
    ("min.cleanable.dirty.ratio", "0.50", "0.5"),
    ("min.cleanable.dirty.ratio", "1", "1.0"),
    ("preallocate", "FALSE", "false"),
    ("preallocate", "True", "true"),
    ("retention.ms", "+60000", "60000"),
    ("retention.ms", "0060000", "60000"),
    ("retention.ms", "-1", "-1"),
    ("compression.type", "zstd", "zstd"),
]


def stack(tmp_path: Path, config: str) -> Path:
    file = tmp_path / "asgard.yaml"
    file.write_text(f"stack: s\ntarget: local\ntopics:\n- name: t\n  partitions: 1\n  config:\n    {config}\n")
    return file


@pytest.mark.parametrize(("name", "spelled", "answered"), SPELLINGS)
def test_a_value_is_declared_as_a_broker_answers_it(tmp_path: Path, name: str, spelled: str, answered: str) -> None:
    (topic,) = load(stack(tmp_path, f'{name}: "{spelled}"')).topics
    assert topic.config == {name: answered}


@pytest.mark.parametrize(("name", "spelled", "answered"), SPELLINGS)
def test_two_spellings_are_no_difference(name: str, spelled: str, answered: str) -> None:
    assert configs.same("topic", name, spelled, answered)
    topic = {"name": "t", "partitions": 1, "replication": 1}
    one, other = {**topic, "config": {name: spelled}}, {**topic, "config": {name: answered}}
    assert difference(TOPIC, one, other) == {} == difference(TOPIC, other, one)


def test_other_values_and_unset_ones_are_differences() -> None:
    topic = {"name": "t", "partitions": 1, "replication": 1}
    for one, other in (("compact", "compact,delete"), ("delete", None), (None, "delete")):
        before, after = ({"cleanup.policy": value} if value else {} for value in (one, other))
        assert difference(TOPIC, {**topic, "config": before}, {**topic, "config": after}) == {
            'config["cleanup.policy"]': (one, other)
        }


def test_configs_of_brokers_too() -> None:
    one, other = (
        {"broker": "", "config": {"log.cleanup.policy": text}} for text in ("delete, compact", "compact,delete")
    )
    assert difference(CONFIG, one, other) == {}
    assert not configs.same("broker", "log.cleaner.threads", "1", "2")


@pytest.mark.parametrize(
    ("config", "right"),
    [
        ("log.retention.ms: 1000", "retention.ms (or `retention: 7d`, `retention: forever`)"),
        ("log.retention.minutes: 1", "retention.ms"),
        ("log.retention.hours: 1", "retention.ms"),
        ("log.roll.hours: 1", "segment.ms"),
        ("message.max.bytes: 1000", "max.message.bytes"),
        ("log.cleaner.min.cleanable.ratio: 0.5", "min.cleanable.dirty.ratio"),
        ("replication.factor: 3", "`replication` beside the topic's name"),
        ("num.partitions: 3", "`partitions` beside the topic's name"),
    ],
)
def test_the_broker_s_name_of_a_setting_leads_to_the_topic_s(tmp_path: Path, config: str, right: str) -> None:
    with pytest.raises(InvalidFile) as raised:
        load(stack(tmp_path, config))
    (problem,) = raised.value.problems
    assert problem.message.endswith(f"on a topic it is {right}") or right in problem.message


def test_the_topic_s_name_of_a_setting_leads_to_the_broker_s() -> None:
    assert meant("broker", "retention.ms") == "log.retention.ms"
    assert meant("broker", "segment.bytes") == "log.segment.bytes"
    assert meant("broker", "num.io.threads") is None


def test_every_name_in_the_table_is_kafka_s() -> None:
    topic, broker = configs.definitions("topic", None), configs.definitions("broker", None)
    from asgard.odin.resources.config_names import _BROKER_NAMES

    assert not set(_BROKER_NAMES) - set(topic)
    assert not {name for names in _BROKER_NAMES.values() for name in names} - set(broker)
