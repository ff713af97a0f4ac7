"""Odin's resource types as plain data: checks, ids, what differs, what is really there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.core.errors import WrongUsage
from asgard.kafka.model import Acl, Partition, QuotaEntity, Topic
from asgard.odin.resources import identity, local
from asgard.odin.resources.checks import check, transitions
from asgard.odin.resources.kinds import (
    ACL,
    ALLOCATION,
    BROKER,
    CLUSTER,
    CONFIG,
    KINDS,
    OPERATIONS,
    QUOTA,
    READY,
    RESOURCE_TYPES,
    TOPIC,
    USER,
)
from asgard.odin.resources.observe import Observed, difference, observe
from asgard.odin.resources.values import UNKNOWN, Values

CLUSTER_INPUTS: Values = {"name": "demo", "version": "4.3.1", "brokers": 3, "controllers": 3, "racks": 3}
ACL_INPUTS: Values = {"principal": "User:a", "resourceType": "topic", "resourceName": "t", "operation": "read"}


def test_comparing_state_and_cluster_needs_neither_pulumi_nor_a_kafka_client() -> None:
    code = (
        "import sys, asgard.odin.resources.observe, asgard.odin.resources.checks, asgard.odin.resources.identity\n"
        "print([name for name in ('pulumi', 'kafka', 'grpc', 'confluent_kafka') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("token", "inputs", "normal"),
    [
        (
            TOPIC,
            {
                "name": "t",
                "partitions": 3.0,
                "replication": "2",
                "config": {"retention.ms": 6.048e8, "preallocate": True},
            },
            {
                "name": "t",
                "partitions": 3,
                "replication": 2,
                "config": {"retention.ms": "604800000", "preallocate": "true"},
            },
        ),
        (USER, {"name": "u", "password": "p"}, {"name": "u", "password": "p", "mechanism": "SCRAM-SHA-512"}),
        (
            USER,
            {"name": "u", "password": "p", "mechanism": "scram_sha_256"},
            {"name": "u", "password": "p", "mechanism": "SCRAM-SHA-256"},
        ),
        (
            ACL,
            {**ACL_INPUTS, "resourceType": "TransactionalId"},
            {
                "principal": "User:a",
                "resourceType": "TRANSACTIONAL_ID",
                "resourceName": "t",
                "operation": "READ",
                "patternType": "LITERAL",
                "permission": "ALLOW",
                "host": "*",
            },
        ),
        (QUOTA, {"user": "", "producerByteRate": 5}, {"user": "", "producerByteRate": 5}),
        (CONFIG, {"config": {"log.retention.ms": 5}}, {"broker": "", "config": {"log.retention.ms": "5"}}),
        (
            TOPIC,
            {"name": UNKNOWN, "partitions": 1, "replication": 1},
            {"name": UNKNOWN, "partitions": 1, "replication": 1, "config": {}},
        ),
        (
            CLUSTER,
            {**CLUSTER_INPUTS, "racks": None},
            {**CLUSTER_INPUTS, "racks": 1, "sasl": "scram-sha-512", "authorizer": True},
        ),
    ],
)
def test_inputs_get_their_normal_form(token: str, inputs: Values, normal: Values) -> None:
    assert check(token, inputs) == (normal, [])


@pytest.mark.parametrize(
    ("token", "inputs", "wrong"),
    [
        (TOPIC, {"name": "a/b", "partitions": 1, "replication": 1}, "name 'a/b' is not a topic name"),
        (TOPIC, {"name": "t", "partitions": 1.5, "replication": 1}, "partitions is 1.5, not a whole number"),
        (TOPIC, {"name": "t", "partitions": True, "replication": 1}, "partitions is not a number"),
        (
            TOPIC,
            {"name": "t", "partitions": 1, "replication": 1, "config": {"a": {"b": 1}}},
            "config has more than a plain",
        ),
        (TOPIC, {"name": "t", "partitions": 1}, "replication is missing"),
        (TOPIC, {"name": "t", "partitions": 1, "replication": 1, "replicas": 1}, "replicas is not a property"),
        (USER, {"name": "u", "password": "p", "mechanism": "PLAIN"}, "allowed are SCRAM-SHA-256, SCRAM-SHA-512"),
        (USER, {"name": "u", "otherMechanisms": ["SCRAM-SHA-512"]}, "beside SCRAM-SHA-512 is ['SCRAM-SHA-256']"),
        (USER, {"name": "u", "password": ""}, "password is empty"),
        (ACL, {**ACL_INPUTS, "principal": "a"}, "principal is 'a'; allowed is a type and a name"),
        (ACL, {**ACL_INPUTS, "resourceType": "cluster"}, "kafka-cluster"),
        (ACL, {**ACL_INPUTS, "operation": "look"}, "operation is 'look'; allowed are ALL, READ"),
        (QUOTA, {"producerByteRate": 5}, "user is missing, and so are clientId and ip"),
        (QUOTA, {"ip": "10.0.0.1", "user": "u", "connectionCreationRate": 5}, "ip must be alone"),
        (QUOTA, {"ip": "10.0.0.1", "producerByteRate": 5}, "producerByteRate is not for an ip"),
        (QUOTA, {"user": "u", "connectionCreationRate": 5}, "connectionCreationRate is for an ip only"),
        (CLUSTER, {**CLUSTER_INPUTS, "sasl": "none", "authorizer": False, "tls": "on"}, "tls needs users who log in"),
        (QUOTA, {"user": "u"}, "producerByteRate is missing"),
        (CONFIG, {"broker": "one", "config": {}}, "broker is 'one'"),
        (CONFIG, {"broker": "1", "config": {"min.insync.replicas": 2}}, "single broker is refused by Kafka"),
        (CLUSTER, {**CLUSTER_INPUTS, "controllers": 2}, "controllers is 2; an odd number"),
        (CLUSTER, {**CLUSTER_INPUTS, "controllers": 5}, "more than the 3 brokers"),
        (CLUSTER, {**CLUSTER_INPUTS, "version": "4.0.0"}, "4.1 is the least"),
        (CLUSTER, {**CLUSTER_INPUTS, "version": "newest"}, "allowed is a version as in"),
        (CLUSTER, {**CLUSTER_INPUTS, "sasl": "none"}, "authorizer requires users"),
        (CLUSTER, {**CLUSTER_INPUTS, "name": "../x"}, "name is '../x'"),
        (READY, {"clusterId": "x", "bootstrapServers": "b", "brokerIds": "1"}, "brokerIds is not a list"),
    ],
)
def test_wrong_inputs_are_told_in_a_sentence(token: str, inputs: Values, wrong: str) -> None:
    sentences = [f"{name} {reason}" for name, reason in check(token, inputs)[1]]
    assert len(sentences) == 1
    assert wrong in sentences[0]


@pytest.mark.parametrize(
    ("token", "old", "new", "wrong"),
    [
        (TOPIC, {"name": "t", "partitions": 3}, {"name": "t", "partitions": 2}, "Kafka can't remove partitions"),
        (TOPIC, {"name": "t", "partitions": 3}, {"name": "t", "partitions": UNKNOWN}, None),
        (CLUSTER, {**CLUSTER_INPUTS, "controllers": 1}, CLUSTER_INPUTS, "keeps the 1 controllers"),
        (CLUSTER, CLUSTER_INPUTS, {**CLUSTER_INPUTS, "brokers": 5}, None),
        (
            CLUSTER,
            {**CLUSTER_INPUTS, "version": "4.10.0"},
            {**CLUSTER_INPUTS, "version": "4.9.1"},
            "Kafka's data can't be downgraded",
        ),
        (CLUSTER, {**CLUSTER_INPUTS, "version": "4.9.1"}, {**CLUSTER_INPUTS, "version": "4.10.0"}, None),
        (READY, {"version": "4.3.1"}, {"version": "4.2.0"}, "Kafka's data can't be downgraded"),
        (READY, {"version": "4.2.0"}, {"version": "4.3.1"}, None),
        (READY, {"version": "4.3.1"}, {}, None),
        (ALLOCATION, {"controllers": ["1"]}, {"controllers": ["1", "2", "3"]}, "is 1, 2, 3; a cluster keeps the contr"),
        (ALLOCATION, {"controllers": ["1", "2", "3"]}, {"controllers": ["1001"]}, "it was made with: 1, 2, 3"),
        (ALLOCATION, {"controllers": ["1", "2"]}, {"controllers": ["2", "1"]}, None),
        (ALLOCATION, {"controllers": []}, {"controllers": []}, None),
        (BROKER, {"version": "4.3.1", "adminPassword": "a"}, {"version": "4.3.1", "adminPassword": "b"}, "is fixed"),
    ],
)
def test_what_may_not_become_of_a_resource(token: str, old: Values, new: Values, wrong: str | None) -> None:
    full = {"sasl": "scram-sha-512", "authorizer": True}
    found = [reason for _, reason in transitions(KINDS[token], {**full, **old}, {**full, **new})]
    assert [wrong in reason for reason in found if wrong] == ([True] if wrong else [])
    assert bool(found) == bool(wrong)


names = st.text("abcXYZ.-_*:", min_size=1, max_size=12)


@given(
    st.builds(
        Acl,
        resource_type=st.sampled_from(RESOURCE_TYPES),
        resource_name=names,
        pattern_type=st.sampled_from(("LITERAL", "PREFIXED")),
        principal=names.map(lambda name: f"User:{name}"),
        operation=st.sampled_from(OPERATIONS),
        permission=st.sampled_from(("ALLOW", "DENY")),
        host=st.sampled_from(("*", "10.0.0.1", "fe80::1")),
    )
)
def test_an_acl_comes_back_from_its_id(acl: Acl) -> None:
    text = identity.resource_id(ACL, identity.acl_values(acl))
    assert identity.acl_of(identity.from_id(ACL, text)) == acl


@pytest.mark.parametrize(
    ("token", "values", "text"),
    [
        (TOPIC, {"name": "t"}, "t"),
        (USER, {"name": "u"}, "u"),
        (QUOTA, {"user": "a", "clientId": "b"}, "user=a,client-id=b"),
        (QUOTA, {"user": "", "clientId": ""}, "user=<default>,client-id=<default>"),
        (QUOTA, {"user": "a"}, "user=a"),
        (QUOTA, {"clientId": ""}, "client-id=<default>"),
        (CONFIG, {"broker": ""}, "all brokers"),
        (CONFIG, {"broker": "12"}, "broker 12"),
    ],
)
def test_ids_and_back(token: str, values: Values, text: str) -> None:
    assert identity.resource_id(token, values) == text
    assert identity.from_id(token, text) == values


@pytest.mark.parametrize(
    ("token", "text"), [(ACL, "orders"), (QUOTA, ""), (QUOTA, "orders"), (CONFIG, "broker x"), (BROKER, "demo/1")]
)
def test_what_is_no_id_is_said(token: str, text: str) -> None:
    with pytest.raises(WrongUsage, match="is not an id"):
        identity.from_id(token, text)


@pytest.mark.parametrize(
    ("token", "old", "new", "found"),
    [
        (TOPIC, {"partitions": 1, "topicId": "x"}, {"partitions": 1}, {}),
        (TOPIC, {"partitions": 1, "topicId": "x"}, {"partitions": 2}, {"partitions": (1, 2)}),
        (TOPIC, {"topicId": "x"}, {"topicId": "y"}, {"topicId": ("x", "y")}),
        (
            TOPIC,
            {"config": {"a.b": "1", "c": "2"}},
            {"config": {"c": "3"}},
            {'config["a.b"]': ("1", None), "config.c": ("2", "3")},
        ),
        (TOPIC, {"config": {}}, {"config": UNKNOWN}, {"config": ({}, UNKNOWN)}),
        (TOPIC, {"config": {"a": "1"}}, {"config": {"a": UNKNOWN}}, {"config.a": ("1", UNKNOWN)}),
        (TOPIC, {"throttle": 1}, {"throttle": 2}, {}),
        (CONFIG, {"broker": "", "config": {}, "previous": {"x": "1"}}, {"broker": "", "config": {}}, {}),
        (BROKER, {"running": True}, {}, {}),
        (BROKER, {"running": False}, {}, {"running": (False, True)}),
        (BROKER, {"running": True}, {"running": False}, {"running": (True, False)}),
        (
            BROKER,
            {"initialControllers": "a", "roles": ["broker"]},
            {"initialControllers": "b", "roles": ["broker"]},
            {},
        ),
        (USER, {"password": "a"}, {"password": "b"}, {"password": ("a", "b")}),
    ],
)
def test_what_differs(token: str, old: Values, new: Values, found: dict[str, Any]) -> None:
    assert difference(token, old, new) == found


class Facts:
    """What a cluster holds, for `Observed`; counts how often each kind is read, and of which topics."""

    def __init__(self) -> None:
        self.reads: list[str] = []
        self.asked: set[tuple[str, ...] | None] = set()

    def topics(self, names: Collection[str] | None = None) -> dict[str, Topic]:
        self.reads.append("topics")
        self.asked.add(None if names is None else tuple(names))
        partitions = tuple(Partition("t", n, (1, 2), (1, 2), 1) for n in range(3))
        return {"t": Topic("t", "id-of-t", False, partitions)}

    def topic_configs(self, names: Collection[str] | None = None) -> dict[str, dict[str, str]]:
        self.reads.append("topic_configs")
        self.asked.add(None if names is None else tuple(names))
        return {"t": {"retention.ms": "1", "made.up": "2", "leader.replication.throttled.replicas": "*"}}

    def users(self) -> dict[str, tuple[str, ...]]:
        return {"u": ("SCRAM-SHA-256",), "both": ("SCRAM-SHA-256", "SCRAM-SHA-512")}

    def acls(self) -> set[Acl]:
        return {Acl("TOPIC", "t", "LITERAL", "User:a", "READ")}

    def quotas(self) -> dict[QuotaEntity, dict[str, float]]:
        return {QuotaEntity("u", None): {"producer_byte_rate": 5.0}}

    def broker_configs(self, broker: str) -> dict[str, str]:
        return {"a": "1", "b": "2"}


def observed(facts: Facts | None = None) -> Observed:
    return Observed(lambda: facts or Facts(), lambda cluster, node: {1: True, 2: False}.get(node))  # type: ignore[arg-type, return-value]


ACL_RECORD = check(ACL, ACL_INPUTS)[0]


@pytest.mark.parametrize(
    ("token", "recorded", "current"),
    [
        (
            TOPIC,
            {"name": "t", "partitions": 1, "replication": 3, "config": {"x": "y"}, "topicId": "old", "throttle": 5},
            {
                "name": "t",
                "partitions": 3,
                "replication": 2,
                "config": {"retention.ms": "1"},
                "topicId": "id-of-t",
                "throttle": 5,
            },
        ),
        # An import by a bare id takes all; later on a config that no stack file can declare counts if it is recorded.
        (
            TOPIC,
            {"name": "t"},
            {
                "name": "t",
                "partitions": 3,
                "replication": 2,
                "config": {"retention.ms": "1", "made.up": "2"},
                "topicId": "id-of-t",
            },
        ),
        (
            TOPIC,
            {"name": "t", "config": {"made.up": "1"}},
            {
                "name": "t",
                "partitions": 3,
                "replication": 2,
                "config": {"retention.ms": "1", "made.up": "2"},
                "topicId": "id-of-t",
            },
        ),
        (TOPIC, {"name": "gone"}, None),
        (
            USER,
            {"name": "u", "mechanism": "SCRAM-SHA-512", "password": "p"},
            {"name": "u", "mechanism": "SCRAM-SHA-256", "password": "p"},
        ),
        (USER, {"name": "gone", "mechanism": "SCRAM-SHA-512"}, None),
        # An import takes all; later on what somebody else added is theirs.
        (USER, {"name": "both"}, {"name": "both", "mechanism": "SCRAM-SHA-512", "otherMechanisms": ["SCRAM-SHA-256"]}),
        (USER, {"name": "both", "mechanism": "SCRAM-SHA-256"}, {"name": "both", "mechanism": "SCRAM-SHA-256"}),
        (
            USER,
            {"name": "u", "mechanism": "SCRAM-SHA-256", "otherMechanisms": ["SCRAM-SHA-512"]},
            {"name": "u", "mechanism": "SCRAM-SHA-256"},
        ),
        (ACL, ACL_RECORD, ACL_RECORD),
        (ACL, {**ACL_RECORD, "operation": "WRITE"}, None),
        (QUOTA, {"user": "u", "consumerByteRate": 7}, {"user": "u", "producerByteRate": 5.0}),
        (QUOTA, {"user": ""}, None),
        (
            CONFIG,
            {"broker": "", "config": {"a": "9", "c": "3"}, "previous": {}},
            {"broker": "", "config": {"a": "1"}, "previous": {}},
        ),
        (BROKER, {"cluster": "demo", "nodeId": 1}, {"cluster": "demo", "nodeId": 1, "running": True}),
        (BROKER, {"cluster": "demo", "nodeId": 2}, {"cluster": "demo", "nodeId": 2, "running": False}),
        (BROKER, {"cluster": "demo", "nodeId": 3}, None),
        (READY, {"clusterId": "x", "brokers": [1]}, {"clusterId": "x", "brokers": [1]}),
    ],
)
def test_what_is_really_there(token: str, recorded: Values, current: Values | None) -> None:
    assert observe(token, recorded, observed()) == current


def test_each_kind_is_read_once_and_again_after_a_write_that_it_does_not_show_yet() -> None:
    facts = Facts()
    snapshot = observed(facts)
    for _ in range(3):
        observe(TOPIC, {"name": "t"}, snapshot)
    assert facts.reads == ["topics", "topic_configs"]
    looks = iter([False, False, True])
    snapshot.wrote("topics", "t", lambda topics: next(looks))
    assert snapshot.topics(fresh=False)
    assert facts.reads == ["topics", "topic_configs"]
    snapshot.topics()
    snapshot.topics()
    assert facts.reads == ["topics", "topic_configs", "topics", "topics", "topics"]


def test_of_a_large_cluster_only_the_topics_that_were_named_are_read() -> None:
    facts = Facts()
    named = Observed(lambda: facts, names=["t"])  # type: ignore[arg-type, return-value]
    assert observe(TOPIC, {"name": "t"}, named)
    assert facts.asked == {("t",)}


def plan(before: Values | None = None, **changes: Any) -> Values:
    inputs = check(CLUSTER, {**CLUSTER_INPUTS, **changes})[0]
    return local.allocate(inputs, before, lambda port: port % 7 != 0)


def test_a_new_cluster_has_what_it_needs_to_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    made = plan(brokers=4)
    assert [node["id"] for node in made["nodes"]] == [1, 2, 3, 4]
    assert [len(node["roles"]) for node in made["nodes"]] == [2, 2, 2, 1]
    assert [node["rack"] for node in made["nodes"]] == ["r0", "r1", "r2", "r0"]
    ports = [port for node in made["nodes"] for port in (node["brokerPort"], node["controllerPort"]) if port]
    assert len(set(ports)) == 7
    assert all(port % 7 and port in local.PORTS for port in ports)
    assert len({node["directoryId"] for node in made["nodes"]} | {made["clusterId"]}) == 5
    assert made["bootstrapServers"].count("127.0.0.1:") == 4
    assert made["adminPassword"] in made["clientProperties"]["sasl.jaas.config"]
    assert plan(sasl="none", authorizer=False)["clientProperties"] == {"security.protocol": "PLAINTEXT"}


def test_a_grown_cluster_keeps_its_nodes_and_a_preview_of_it_tells_the_truth(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    made = plan()
    grown = plan(made, brokers=5)
    assert grown["nodes"][:3] == made["nodes"]
    assert [node["roles"] for node in grown["nodes"][3:]] == [["broker"], ["broker"]]
    assert {k: grown[k] for k in ("clusterId", "adminPassword")} == {k: made[k] for k in ("clusterId", "adminPassword")}
    assert plan(made, brokers=5) == grown
    assert plan(grown)["nodes"] == made["nodes"]


def test_the_first_quorum_is_read_from_its_text() -> None:
    first, second = local.first_quorum("1@127.0.0.1:20001:dir-1,2@127.0.0.1:20002:dir-2")
    assert (first.id, first.port, first.directory_id) == (1, 20001, "dir-1")
    assert second.id == 2
    with pytest.raises(WrongUsage, match="allowed is id@host:port:directory-id"):
        local.first_quorum("1@127.0.0.1:20001")
