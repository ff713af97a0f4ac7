"""The control plane against a real, secured cluster: every call, for real, and what it says when it can't."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from confluent_kafka import Consumer, TopicPartition
from kafka.protocol.admin import UpdateFeaturesRequest

from asgard.core.errors import AsgardError, Unreachable
from asgard.kafka.admin import (
    AdminClient,
    BrokerDown,
    KafkaRefused,
    LoginRefused,
    NotAuthorised,
    check_login,
    connect,
    topics,
)
from asgard.kafka.connection import Connection, scram_properties
from asgard.kafka.data import Record, Writer
from asgard.kafka.distribution.jars import DEFAULT_VERSION
from asgard.kafka.model import Acl, ConfigChange, Move, NewTopic, QuotaEntity, ScramCredential
from asgard.kafka.ports import ControlPlane
from asgard.machines.local.features import levels_of
from tests.harness import RealCluster
from tests.harness.committing import commit
from tests.harness.placing import eventually

pytestmark = pytest.mark.kafka


@pytest.fixture
def control(secured_cluster: RealCluster) -> Iterator[AdminClient]:
    """As the administrator."""
    with connect(secured_cluster.connection) as client:
        yield client


def made(control: AdminClient, topic: NewTopic) -> NewTopic:
    """The topic, created and known."""
    assert control.create_topics([topic]) == {topic.name: None}
    eventually(lambda: all(p.leader >= 0 for t in control.topics([topic.name]).values() for p in t.partitions))
    eventually(lambda: topic.name in control.topics([topic.name]))
    return topic


def a_user(control: AdminClient, cluster: RealCluster) -> Connection:
    """A new user without any ACL, and how to connect as it."""
    user = f"u-{secrets.token_hex(3)}"
    assert control.upsert_users([ScramCredential(user, "its password")]) == {user: None}
    connection = Connection(cluster.bootstrap_servers, scram_properties(user, "its password"))
    eventually(lambda: check_login(connection) is None)
    return connection


def test_it_is_the_port() -> None:
    def wanted(port: type[ControlPlane]) -> set[str]:
        return {name for name in vars(port) if not name.startswith("_")}

    assert wanted(ControlPlane) <= set(dir(AdminClient))


def test_who_is_there(control: AdminClient, secured_cluster: RealCluster) -> None:
    info = control.cluster()
    assert info.cluster_id == secured_cluster.cluster_id
    assert [(b.id, b.rack, b.state) for b in info.brokers] == [(1, "r0", "up"), (2, "r1", "up"), (3, "r2", "up")]
    quorum = control.quorum()
    assert quorum.leader in {v.id for v in quorum.voters}
    assert [v.id for v in quorum.voters] == [1, 2, 3]
    # Which ones they are changes where another test replaces a node.
    eventually(lambda: len({v.directory for v in control.quorum().voters} - {None}) == 3)
    assert control.features()["metadata.version"] > 0


def test_feature_levels_are_raised_and_never_lowered(plain_broker: RealCluster) -> None:
    with connect(plain_broker.connection) as control:
        whole = control.features()
        update = UpdateFeaturesRequest.FeatureUpdateKey(feature="share.version", max_version_level=0, upgrade_type=2)
        control._wire.ask(UpdateFeaturesRequest(timeout_ms=10_000, feature_updates=[update], validate_only=False))
        eventually(lambda: not control.features().get("share.version"))
        assert control.raise_features({"share.version": 1, "group.version": 0}) == {"share.version": 1}
        eventually(lambda: control.features() == whole)
        assert control.raise_features(levels_of(DEFAULT_VERSION)) == {}
        with pytest.raises(KafkaRefused, match="Invalid update version 999"):
            control.raise_features({"metadata.version": 999})


def test_topics_are_created_described_grown_and_deleted(control: AdminClient, topic_name: str) -> None:
    asked = [
        NewTopic(topic_name, 3, 2, {"retention.ms": "3600000"}),
        NewTopic("not a name", 1, 1),
        NewTopic(f"{topic_name}-wide", 1, 9),
    ]
    answers = control.create_topics(asked)
    assert answers[topic_name] is None
    assert "illegal" in str(answers["not a name"]) or "invalid" in str(answers["not a name"])
    assert "replication factor" in str(answers[f"{topic_name}-wide"])
    eventually(lambda: topic_name in control.topics([topic_name]))
    found = control.topics([topic_name, "there-is-no-such"])
    assert list(found) == [topic_name]
    topic = found[topic_name]
    assert (len(topic.partitions), topic.replication, topic.internal) == (3, 2, False)
    assert all(p.leader in p.isr and set(p.isr) <= set(p.replicas) for p in topic.partitions)
    assert control.topics()[topic_name].id == topic.id
    assert control.topic_configs([topic_name, "there-is-no-such"]) == {topic_name: {"retention.ms": "3600000"}}
    assert control.topic_configs()[topic_name] == {"retention.ms": "3600000"}
    assert control.effective_topic_configs([topic_name])[topic_name]["cleanup.policy"] == "delete"
    assert control.effective_topic_configs([topic_name], ["min.insync.replicas"]) == {
        topic_name: {"min.insync.replicas": "1"}
    }
    again = control.create_topics([NewTopic(topic_name, 3, 2)])[topic_name]
    assert isinstance(again, KafkaRefused) and again.code == 36
    grown = control.create_partitions({topic_name: 5, "there-is-no-such": 2})
    assert grown[topic_name] is None and grown["there-is-no-such"] is not None
    assert "already has 5" in str(control.create_partitions({topic_name: 5})[topic_name])
    eventually(lambda: len(control.topics([topic_name])[topic_name].partitions) == 5)
    gone = control.delete_topics([topic_name, "there-is-no-such"])
    assert gone[topic_name] is None and gone["there-is-no-such"] is not None
    eventually(lambda: control.topics([topic_name]) == {})


def test_many_topics_come_in_pages_and_none_is_missing(
    control: AdminClient, topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "PARTITIONS_A_REQUEST", 10)  # a page ends in the middle of a topic
    names = {f"{topic_name}-{n}" for n in range(9)}
    assert set(control.create_topics([NewTopic(n, 17, 1) for n in names]).values()) == {None}
    eventually(lambda: names <= control.topics().keys())
    found = control.topics()
    assert all([p.partition for p in found[n].partitions] == list(range(17)) for n in names)
    assert control.topics(names).keys() == names
    assert set(control.delete_topics(names).values()) == {None}


def test_configs_are_changed_one_by_one_and_only_what_was_named(control: AdminClient, topic_name: str) -> None:
    made(control, NewTopic(topic_name, 1, 1, {"retention.ms": "1000", "compression.type": "zstd"}))
    answers = control.alter_configs(
        [
            ConfigChange("topic", topic_name, {"retention.bytes": "5000"}, ("retention.ms",)),
            ConfigChange("topic", "there-is-no-such", {"retention.ms": "1"}),
            ConfigChange("broker", "", {"log.retention.ms": "3600000000"}),
            ConfigChange("broker", "2", {"log.retention.ms": "7200000000"}),
            ConfigChange("broker", "77", {"log.retention.ms": "7200000000"}),
        ]
    )
    assert answers.pop(("topic", "there-is-no-such")) is not None
    assert isinstance(answers.pop(("broker", "77")), BrokerDown)
    assert set(answers.values()) == {None}
    wanted = {"retention.bytes": "5000", "compression.type": "zstd"}
    eventually(lambda: control.topic_configs([topic_name])[topic_name] == wanted)
    eventually(lambda: control.broker_configs("").get("log.retention.ms") == "3600000000")
    eventually(lambda: control.broker_configs("2") == {"log.retention.ms": "7200000000"})
    assert control.broker_configs("1") == {}
    refused = control.alter_configs([ConfigChange("topic", topic_name, {"retention.ms": "soon"})])
    assert "retention.ms" in str(refused["topic", topic_name])
    clean = [
        ConfigChange("broker", "", {}, ("log.retention.ms",)),
        ConfigChange("broker", "2", {}, ("log.retention.ms",)),
    ]
    assert set(control.alter_configs(clean).values()) == {None}
    eventually(lambda: control.broker_configs("2") == {} and "log.retention.ms" not in control.broker_configs(""))


def test_users_are_written_listed_used_and_deleted(control: AdminClient, secured_cluster: RealCluster) -> None:
    name = f"u-{secrets.token_hex(3)}"
    both = [ScramCredential(name, "päss", "SCRAM-SHA-256"), ScramCredential(name, "päss", "SCRAM-SHA-512")]
    answers = control.upsert_users([*both, ScramCredential("weak", "x", iterations=1)])
    assert answers[name] is None and "iterations" in str(answers["weak"])
    eventually(lambda: control.users().get(name) == ("SCRAM-SHA-256", "SCRAM-SHA-512"))
    connection = Connection(secured_cluster.bootstrap_servers, scram_properties(name, "päss"))
    eventually(lambda: check_login(connection) is None)
    wrong = check_login(Connection(secured_cluster.bootstrap_servers, scram_properties(name, "pass")))
    assert isinstance(wrong, LoginRefused)
    assert f"refuses the login of the user {name}" in wrong.what and "pass" not in wrong.what.replace("password", "")
    answers = control.delete_users({name: ["SCRAM-SHA-256", "SCRAM-SHA-512"], "nobody": ["SCRAM-SHA-512"]})
    assert answers[name] is None and answers["nobody"] is not None
    eventually(lambda: name not in control.users())
    eventually(lambda: check_login(connection) is not None)


def test_acls_are_deleted_by_exact_match_only(control: AdminClient, topic_name: str) -> None:
    read = Acl("TOPIC", topic_name, "LITERAL", "User:ann", "READ")
    prefixed = Acl("TOPIC", topic_name, "PREFIXED", "User:ann", "READ")
    other_host = Acl("TOPIC", topic_name, "LITERAL", "User:ann", "READ", host="10.0.0.1")
    denied = Acl("TOPIC", topic_name, "LITERAL", "User:ann", "READ", "DENY")
    group = Acl("GROUP", topic_name, "PREFIXED", "User:ann", "ALL")
    transactional = Acl("TRANSACTIONAL_ID", topic_name, "LITERAL", "User:ann", "TWO_PHASE_COMMIT")
    everything = {read, prefixed, other_host, denied, group, transactional}
    wrong = Acl("CLUSTER", "not-the-cluster", "LITERAL", "User:ann", "DESCRIBE")
    answers = control.create_acls([*everything, read, wrong])
    assert answers.pop(wrong) is not None
    assert set(answers.values()) == {None}
    eventually(lambda: everything <= control.acls())
    assert control.delete_acls([read, Acl("TOPIC", "there-is-no-such", "LITERAL", "User:ann", "READ")])[read] is None
    eventually(lambda: read not in control.acls())
    assert everything - {read} <= control.acls()
    assert set(control.delete_acls(everything).values()) == {None}
    eventually(lambda: not everything & control.acls())


def test_quotas_of_users_clients_pairs_and_defaults(control: AdminClient) -> None:
    user = f"u-{secrets.token_hex(3)}"
    wanted = {
        QuotaEntity(user): {"producer_byte_rate": 1e6, "request_percentage": 50.0},
        QuotaEntity(user, "app"): {"consumer_byte_rate": 2e6},
        QuotaEntity(user, ""): {"consumer_byte_rate": 3e6},
        QuotaEntity("", None): {"controller_mutation_rate": 1000.0},
        QuotaEntity(None, ""): {"producer_byte_rate": 4e9},
        QuotaEntity(None, f"c-{user}"): {"producer_byte_rate": 5e6},
    }
    answers = control.alter_quotas({**wanted, QuotaEntity("x"): {"no_such_quota": 1.0}})
    assert "no_such_quota" in str(answers.pop(QuotaEntity("x")))
    assert set(answers.values()) == {None}
    eventually(lambda: wanted.items() <= control.quotas().items())
    assert control.alter_quotas({QuotaEntity(user): {"request_percentage": None}}) == {QuotaEntity(user): None}
    eventually(lambda: control.quotas()[QuotaEntity(user)] == {"producer_byte_rate": 1e6})
    control.alter_quotas({entity: dict.fromkeys(values) for entity, values in wanted.items()})
    eventually(lambda: not wanted.keys() & control.quotas().keys())


def test_replicas_move_only_as_far_as_allowed(control: AdminClient, topic_name: str) -> None:
    made(control, NewTopic(topic_name, 2, 1))
    before = control.topics([topic_name])[topic_name].partitions[0]
    others = [b for b in (1, 2, 3) if b != before.replicas[0]]
    wider = Move(topic_name, 0, (*before.replicas, others[0]))
    refused = control.reassign([wider])[topic_name, 0]
    assert isinstance(refused, KafkaRefused) and refused.code == 38
    answers = control.reassign([Move(topic_name, 0, (others[0],)), Move(topic_name, 1, (1, 77)), Move("no", 0, (1,))])
    assert answers[topic_name, 0] is None
    assert "77" in str(answers[topic_name, 1]) and answers["no", 0] is not None
    eventually(lambda: control.topics([topic_name])[topic_name].partitions[0].replicas == (others[0],))
    eventually(lambda: control.reassignments() == [])
    assert control.reassign([wider], allow_replication_factor_change=True) == {(topic_name, 0): None}
    eventually(lambda: set(control.topics([topic_name])[topic_name].partitions[0].isr) == set(wider.replicas))
    eventually(lambda: control.topics([topic_name])[topic_name].partitions[0].leader == others[0])
    assert control.elect_preferred_leaders([(topic_name, 0), (topic_name, 1)]) == {
        (topic_name, 0): None,
        (topic_name, 1): None,
    }
    eventually(lambda: control.topics([topic_name])[topic_name].partitions[0].leader == wider.replicas[0])
    assert set(control.elect_preferred_leaders().values()) <= {None}
    assert control.reassign([Move(topic_name, 0, ())]) == {(topic_name, 0): None}


def test_disks_sizes_and_offsets(control: AdminClient, secured_cluster: RealCluster, topic_name: str) -> None:
    made(control, NewTopic(topic_name, 2, 3, {"retention.ms": "-1"}))  # its records are old
    with Writer(secured_cluster.connection) as writer:
        for n in range(300):
            writer.send(Record(topic_name, bytes(1000), partition=n % 2, timestamp_ms=1_000_000 + n))
    assert writer.tally.acked == 300
    dirs = control.log_dirs([1, 2, 3, 77])
    assert sorted(dirs) == [1, 2, 3]
    assert all(
        d.capacity_bytes and d.used_bytes and not d.offline and not d.cordoned for ds in dirs.values() for d in ds
    )
    sizes = control.replica_sizes([1, 2, 3, 77])
    assert {b for b, topic, _ in sizes if topic == topic_name} == {1, 2, 3}
    disks = control.disks([1, 2, 3, 77], 5)
    assert {b: [d.path for d in disk.log_dirs] for b, disk in disks.items()} == {
        b: [d.path for d in ds] for b, ds in dirs.items()
    }
    assert {(b, *key) for b, disk in disks.items() for key in disk.sizes} == sizes.keys()
    asked = [(topic_name, 0), (topic_name, 1), (topic_name, 9), ("there-is-no-such", 0)]
    offsets = control.offsets(asked)
    assert {key: (o.start, o.end) for key, o in offsets.items()} == {
        (topic_name, 0): (0, 150),
        (topic_name, 1): (0, 150),
    }
    there = control.topics([topic_name])[topic_name].partitions
    assert control.leader_offsets(there) == {(topic_name, 0): 150, (topic_name, 1): 150}
    assert control.leader_offsets(there, first=True) == {(topic_name, 0): 0, (topic_name, 1): 0}
    elsewhere = [replace(p, leader=next(r for r in p.replicas if r != p.leader)) for p in there]
    assert control.leader_offsets([*elsewhere, replace(there[0], leader=-1)]) == {}, "it does not look for the leader"
    assert control.offsets_at(asked, 1_000_100) == {(topic_name, 0): 50, (topic_name, 1): 50}
    assert control.offsets_at(asked, 2_000_000) == {(topic_name, 0): 150, (topic_name, 1): 150}
    groups = [f"{topic_name}-g{n}" for n in range(5)]
    for number, group in enumerate(groups):
        with contextlib.closing(
            Consumer({**secured_cluster.connection.for_librdkafka(), "group.id": group})
        ) as consumer:
            commit(consumer, [TopicPartition(topic_name, 0, number)])
    found = control.group_offsets()
    assert {g: found[g] for g in groups} == {g: {(topic_name, 0): n} for n, g in enumerate(groups)}


def test_a_user_without_acls_is_told_which_it_needs(
    control: AdminClient, secured_cluster: RealCluster, topic_name: str
) -> None:
    made(control, NewTopic(topic_name, 1, 1))
    connection = a_user(control, secured_cluster)
    acl = Acl("TOPIC", topic_name, "LITERAL", "User:x", "READ")
    with connect(connection) as poor:
        assert [b.id for b in poor.cluster().brokers] == [1, 2, 3]
        assert poor.topics() == {} and poor.topic_configs() == {} and poor.group_offsets() == {}
        whole: dict[str, Callable[[], object]] = {
            "DESCRIBE on the cluster": poor.quorum,
            f"DESCRIBE on topic {topic_name}": lambda: poor.topics([topic_name]),
            f"DESCRIBE_CONFIGS on topic {topic_name}": lambda: poor.topic_configs([topic_name]),
            "DESCRIBE_CONFIGS on the cluster": poor.quotas,
            "ALTER on the cluster": lambda: poor.reassign([Move(topic_name, 0, (1,))]),
        }
        for needs, call in whole.items():
            with pytest.raises(NotAuthorised, match=f"The user {connection.username} needs {needs}"):
                call()
        for listing in (poor.users, poor.acls, poor.reassignments, poor.elect_preferred_leaders):
            with pytest.raises(NotAuthorised, match="on the cluster"):
                listing()
        with pytest.raises(NotAuthorised):
            poor.log_dirs([1])
        items: list[AsgardError | None] = [
            *poor.create_topics([NewTopic(f"{topic_name}-x", 1, 1)]).values(),
            *poor.delete_topics([topic_name]).values(),
            *poor.create_partitions({topic_name: 2}).values(),
            *poor.alter_configs([ConfigChange("topic", topic_name, {"retention.ms": "1"})]).values(),
            *poor.alter_configs([ConfigChange("broker", "", {"log.retention.ms": "3600000000"})]).values(),
            *poor.upsert_users([ScramCredential("y", "z")]).values(),
            *poor.create_acls([acl]).values(),
            *poor.delete_acls([acl]).values(),
            *poor.alter_quotas({QuotaEntity("x"): {"producer_byte_rate": 1.0}}).values(),
        ]
        assert len(items) == 9
        for error in items:
            assert isinstance(error, NotAuthorised) and "needs" in (error.hint or "")


def test_a_wrong_password_a_wrong_protocol_and_nobody_there(secured_cluster: RealCluster) -> None:
    servers, admin = secured_cluster.bootstrap_servers, secured_cluster.connection.username or ""
    with pytest.raises(LoginRefused, match="wrong password, or no such user"):
        connect(Connection(servers, scram_properties(admin, "not it")))
    with pytest.raises(LoginRefused, match="does not offer the SASL mechanism SCRAM-SHA-256"):
        connect(Connection(servers, scram_properties(admin, "x", mechanism="SCRAM-SHA-256")))
    with pytest.raises(Unreachable, match=r"no broker answers at 127\.0\.0\.1:1, 127\.0\.0\.1:2 .*connection refused"):
        connect(Connection("127.0.0.1:1, 127.0.0.1:2", {}), patience_s=0.5)
    with pytest.raises(Unreachable, match="closed the connection") as sasl:
        connect(Connection(servers, {}), patience_s=0.5)
    assert "security.protocol" in (sasl.value.hint or "")
    with pytest.raises(Unreachable, match="during the TLS handshake"):
        connect(Connection(servers, scram_properties(admin, "x", tls=True)), patience_s=0.5)


def test_calls_go_on_while_brokers_die(secured_cluster: RealCluster, topic_name: str) -> None:
    problems: list[BaseException] = []
    calls, over, client = [0], threading.Event(), connect(secured_cluster.connection)

    def keep_asking() -> None:
        try:
            while not over.is_set():
                made_here = NewTopic(f"{topic_name}-{calls[0]}", 1, 2)
                error = client.create_topics([made_here])[made_here.name]
                if error is not None:
                    problems.append(error)
                client.topics()
                client.topic_configs()
                calls[0] += 1
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=keep_asking)
    thread.start()
    try:
        eventually(lambda: calls[0] > 2 or bool(problems))
        # First the broker that the calls go to, then whoever decides for the cluster after that.
        for victim in (lambda: client._wire._favourite, lambda: client.quorum().leader):
            node = victim()
            secured_cluster.kill(node)
            before = calls[0]
            eventually(lambda before=before: calls[0] > before + 3 or bool(problems), within_s=60)
            secured_cluster.start_node(node)
    finally:
        over.set()
        thread.join(60)
        secured_cluster.all_up()
    assert problems == []
    eventually(lambda: {f"{topic_name}-{n}" for n in range(calls[0])} <= client.topics().keys())
    client.close()


def test_a_broker_that_hangs_is_given_up_for_another_within_the_deadline(secured_cluster: RealCluster) -> None:
    with connect(secured_cluster.connection, deadline_s=6) as client:
        client.topics()
        hung = client._wire._favourite
        secured_cluster.pause(hung)
        try:
            assert client.features()["metadata.version"] > 0
            assert client._wire._favourite != hung
            assert sorted(client.disks([1, 2, 3], 1)) == sorted({1, 2, 3} - {hung})
            with pytest.raises(BrokerDown, match=f"broker {hung} (is not up|at .* does not answer)"):
                client.broker_configs(str(hung))
        finally:
            secured_cluster.resume(hung)
            secured_cluster.all_up()


def test_a_dead_broker_shows_as_fenced_and_its_replicas_as_eligible_leaders(
    control: AdminClient, secured_cluster: RealCluster, topic_name: str
) -> None:
    made(control, NewTopic(topic_name, 1, 3, {"min.insync.replicas": "3"}))
    secured_cluster.kill(3)
    try:
        eventually(lambda: {b.id: b.state for b in control.cluster().brokers}[3] == "fenced", within_s=120)
        eventually(lambda: control.topics([topic_name])[topic_name].partitions[0].elr == (3,), within_s=120)
        assert sorted(control.log_dirs([1, 2, 3])) == [1, 2]
        with pytest.raises(BrokerDown, match="broker 3"):
            control.broker_configs("3")
    finally:
        secured_cluster.all_up()
    eventually(lambda: 3 in control.topics([topic_name])[topic_name].partitions[0].isr, within_s=120)
    # Kafka 4.3.1: a topic whose eligible leaders came and went many times can, deleted later, keep a broker out for good.
    assert control.delete_topics([topic_name]) == {topic_name: None}


def test_forgetting_a_broker_and_a_voter_that_are_not_there(control: AdminClient, secured_cluster: RealCluster) -> None:
    control.unregister_broker(77)
    directory = secured_cluster.specs[1].voters[0].directory_id
    with pytest.raises(KafkaRefused, match="remove voter 77"):
        control.remove_voter(77, directory)
    with pytest.raises(KafkaRefused, match="make node 1 a voter"):
        control.add_voter(1, directory, {"CONTROLLER": ("127.0.0.1", 1)})


def test_without_security_there_are_no_acls(plain_broker: RealCluster) -> None:
    with connect(plain_broker.connection) as control:
        assert control.acls() == set()
        acl = Acl("TOPIC", "t", "LITERAL", "User:x", "READ")
        assert "no authorizer" in str(control.create_acls([acl])[acl])
