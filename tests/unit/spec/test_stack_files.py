"""What a valid stack file resolves to, and that editors' schema agrees with the templates."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from asgard.core import yaml
from asgard.core.errors import InvalidFile
from asgard.kafka.model import Acl, GateGoals, GateLoad, QuotaEntity
from asgard.odin.spec.model import ExternalSpec, GateSpec, KafkaSpec, QuotaSpec, TopicSpec
from asgard.odin.spec.read import json_schema, load
from asgard.odin.spec.targets.brokers import default_controllers
from asgard.odin.spec.templates import template, templates

FULL = Path(__file__).parent / "full.yaml"


def write(folder: Path, text: str) -> Path:
    path = folder / "asgard.yaml"
    path.write_text(text)
    return path


def test_a_full_stack_file_resolves_to_kafka_s_units() -> None:
    spec = load(FULL)
    assert spec.kafka == KafkaSpec(
        version="4.3.1",
        brokers=3,
        controllers=3,
        racks=3,
        heap_bytes=512 * 1024 * 1024,
        static_config={"log.retention.check.interval.ms": "60000"},
        dynamic_config={"log.cleaner.threads": "2"},
        min_insync_replicas=2,
    )
    assert spec.security.mechanism == "SCRAM-SHA-256"
    assert spec.topics[0] == TopicSpec(
        "orders.created", 12, 3, {"compression.type": "zstd", "retention.ms": "604800000"}, "team-orders", True
    )
    assert spec.topics[1].replication == 3
    assert spec.topics[1].config == {
        "cleanup.policy": "compact,delete",
        "min.insync.replicas": "1",
        "min.cleanable.dirty.ratio": "0.1",
    }
    assert spec.users[0].quota == {
        "producer_byte_rate": 10e6,
        "consumer_byte_rate": 1.5 * 1024 * 1024,
        "request_percentage": 12.5,
        "controller_mutation_rate": 2.0,
    }
    assert spec.acls[1] == Acl("CLUSTER", "kafka-cluster", "LITERAL", "User:auditor", "DESCRIBE")
    assert spec.acls[2] == Acl("TOPIC", "secret", "LITERAL", "User:auditor", "READ", "DENY", "10.0.0.1")
    assert spec.quotas[:2] == (
        QuotaSpec(QuotaEntity(user=""), {"consumer_byte_rate": 20e6}),
        QuotaSpec(QuotaEntity(user="orders-api", client_id=""), {"producer_byte_rate": 5e6}),
    )
    assert spec.limits.throttle_bytes_per_s == 50_000_000
    assert spec.gate == GateSpec(
        GateLoad("orders.created", 2000.0, 1024, 20.0, in_place=False), GateGoals(p99_s=0.25, lost=0)
    )
    assert len(spec.all_acls()) == 6 + 2 + 3
    assert next(q.entity for q in spec.all_quotas()) == QuotaEntity(user="orders-api")


def test_the_least_stack_file_is_one_secured_broker(tmp_path: Path) -> None:
    spec = load(write(tmp_path, "stack: a\ntarget: local\n"))
    assert (spec.kafka.brokers, spec.kafka.controllers, spec.kafka.racks) == (1, 1, 0)
    assert spec.security.sasl == "scram-sha-512" and spec.security.authorizer
    assert spec.warnings == ()


@pytest.mark.parametrize(("brokers", "controllers"), [(1, 1), (2, 1), (3, 3), (4, 3), (9, 3)])
def test_controllers_by_default(brokers: int, controllers: int) -> None:
    assert default_controllers(brokers) == controllers


def test_sections_may_be_left_empty(tmp_path: Path) -> None:
    spec = load(
        write(
            tmp_path,
            "stack: a\ntarget: local\nkafka:\nsecurity:\ntopics:\nusers:\nlimits:\nacls:\nquotas:\nexternal_topics:\n",
        )
    )
    assert spec.topics == () and spec.users == ()


def test_an_external_stack(tmp_path: Path) -> None:
    text = "stack: a\ntarget: external\ncluster: {bootstrap_servers: 'k1:9092, k2:9092', client_properties: admin.properties}\n"
    text += "kafka: {version: 4.0, config: {log.retention.ms: 1000}}\ntopics: [{name: t, partitions: 1, replication: 3, config: {confluent.tier.enable: true}}]\n"
    spec = load(write(tmp_path, text))
    assert spec.external == ExternalSpec("k1:9092, k2:9092", str(tmp_path / "admin.properties"))
    assert spec.kafka.version == "4.0"
    assert spec.kafka.dynamic_config == {"log.retention.ms": "1000"}
    assert spec.topics[0].config == {"confluent.tier.enable": "true"}


def test_without_an_authorizer_no_acl_is_made(tmp_path: Path) -> None:
    text = "stack: a\ntarget: local\nsecurity: {authorizer: false}\ntopics: [{name: t, partitions: 1}]\nusers: [{name: u, produce: [t]}]\n"
    assert load(write(tmp_path, text)).all_acls() == ()


def test_a_consumer_without_groups_is_warned_about(tmp_path: Path) -> None:
    text = "stack: a\ntarget: local\ntopics: [{name: t, partitions: 1}]\nusers: [{name: u, consume: [t]}]\n"
    (warning,) = load(write(tmp_path, text)).warnings
    assert (warning.line, warning.field) == (4, "users[0]")


def test_what_set_gives_is_checked_and_named(tmp_path: Path) -> None:
    path = write(tmp_path, "stack: a\ntarget: local\nkafka: {brokers: 1}\n")
    assert load(path, ["kafka.brokers=3", "kafka.config.num.io.threads=4"]).kafka.dynamic_config == {
        "num.io.threads": "4"
    }
    with pytest.raises(InvalidFile) as caught:
        load(path, ["kafka.brokers=many", "kafka.brokerz=3", "topics=[{name: a/b, partitions: 1}]"])
    assert [str(p).partition(":")[0] for p in caught.value.problems] == [
        "--set kafka.brokers",
        "--set kafka.brokerz",
        "--set topics",
    ]


@pytest.mark.parametrize("name", sorted(templates()))
def test_every_template_loads_and_says_what_it_is(name: str, tmp_path: Path) -> None:
    found = template(name)
    assert found.about.endswith(".") or ":" in found.about
    spec = load(write(tmp_path, found.render("my-stack")))
    assert spec.name == "my-stack"
    assert spec.topics


@pytest.mark.parametrize(
    "text", [t.text for t in templates().values()] + [FULL.read_text()], ids=[*templates(), "full"]
)
def test_the_schema_for_editors_takes_valid_files(text: str) -> None:
    jsonschema.validate(yaml.read_text(text, "f").root, json_schema())


def test_the_schema_for_editors_refuses_unknown_keys() -> None:
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["stack", "target"]
