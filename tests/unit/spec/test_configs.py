"""The table of Kafka's configs: versions, values, and which way a broker config takes effect."""

from __future__ import annotations

import pytest

from asgard.odin.resources import configs
from asgard.odin.resources.configs import ConfigDef, definitions, reserved, split, wrong_value


def test_the_table_knows_the_versions_that_can_be_run() -> None:
    assert configs.minors() == ["3.9", "4.0", "4.1", "4.2", "4.3"]
    assert configs.DEFAULT_VERSION.startswith(configs.minors()[-1])


def test_a_version_has_its_own_configs() -> None:
    assert "message.format.version" in definitions("topic", "3.9.1")
    assert "message.format.version" not in definitions("topic", "4.3.1")
    assert definitions("topic", "4.0.0")["segment.bytes"].min == 14
    assert definitions("topic", "4.3.1")["segment.bytes"].min == 1024 * 1024
    assert "cordoned.log.dirs" in definitions("broker", "4.3.1")
    assert "cordoned.log.dirs" not in definitions("broker", "4.2.0")
    assert definitions("topic", "9.0.0") == definitions("topic", "4.3.1")
    assert set(definitions("topic", None)) >= set(definitions("topic", "3.9")) | set(definitions("topic", "4.3"))


def test_every_definition_takes_its_own_default() -> None:
    for kind in ("topic", "broker"):
        for version in configs.minors():
            for definition in definitions(kind, version).values():
                if definition.default and definition.type in ("int", "long", "short", "double", "boolean"):
                    assert wrong_value(definition, definition.default) is None, definition


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("retention.ms", "-1", None),
        ("retention.ms", "-2", "is '-2'; allowed is a whole number, -1 or more"),
        ("retention.ms", "9223372036854775807", None),
        ("retention.ms", "9223372036854775808", "is '9223372036854775808'; allowed is a whole number, -1 or more"),
        ("retention.ms", "१", "is '१'; allowed is a whole number, -1 or more"),
        ("compression.gzip.level", "-1", None),
        ("compression.gzip.level", "0", "is '0'; allowed is a whole number from 1 to 9, or -1"),
        ("min.cleanable.dirty.ratio", "0.5", None),
        ("min.cleanable.dirty.ratio", "nan", "is 'nan'; allowed is a number from 0 to 1"),
        ("cleanup.policy", "compact, delete", None),
        ("cleanup.policy", "delete,delete", "is 'delete,delete'; allowed is any of compact, delete"),
        ("preallocate", "True", None),
        ("preallocate", "1", "is '1'; allowed is true or false"),
        ("message.timestamp.type", "createtime", "is 'createtime'; allowed is CreateTime, LogAppendTime"),
    ],
)
def test_values_are_checked_as_kafka_checks_them(name: str, value: str, message: str | None) -> None:
    assert wrong_value(definitions("topic", "4.3.1")[name], value) == message


def test_broker_configs_are_split_by_how_they_take_effect() -> None:
    static, dynamic = split(
        {
            "log.retention.ms": "1000",
            "log.retention.hours": "1",
            "num.io.threads": "4",
            "auto.create.topics.enable": "false",
        },
        "4.3.1",
    )
    assert static == {"log.retention.hours": "1", "auto.create.topics.enable": "false"}
    assert dynamic == {"log.retention.ms": "1000", "num.io.threads": "4"}


def test_what_asgard_sets_itself_is_reserved_and_exists() -> None:
    known = {**definitions("broker", None), **definitions("topic", None)}
    for name in {*configs.OWN_BROKER, *configs.OWN_TOPIC} - {"super.users"}:  # the authorizer's own
        assert name in known, name
    for prefix in configs.OWN_PREFIXES:
        assert any(name.startswith(prefix) for name in known), prefix
    assert reserved("broker", "log.retention.ms") is None
    assert reserved("topic", "min.insync.replicas") is None


def test_definitions_are_plain_data() -> None:
    assert definitions("broker", "4.3.1")["num.io.threads"] == ConfigDef(
        "num.io.threads", "int", "8", min=1, mode="cluster-wide"
    )
