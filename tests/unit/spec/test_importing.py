"""The stack file of a cluster that exists: it loads, and says the same as the cluster."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from asgard.core.yaml import read_text
from asgard.kafka.model import Acl, Partition, QuotaEntity, Topic
from asgard.odin.spec.export import ClusterContents, render, retention, text
from asgard.odin.spec.model import ExternalSpec, StackSpec
from asgard.odin.spec.read import load
from tests.harness.examples import examples

CLUSTER = ExternalSpec(bootstrap_servers="localhost:9092", cluster_id="abc")


def topic(name: str, partitions: int = 1, replication: int = 1) -> Topic:
    replicas = tuple(range(1, replication + 1))
    return Topic(name, "id", False, tuple(Partition(name, p, replicas, replicas, 1) for p in range(partitions)))


def imported(found: ClusterContents) -> StackSpec:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "asgard.yaml"
        path.write_text(render("mine", CLUSTER, found), encoding="utf-8")
        return load(path)


NAMES = st.text(alphabet="ab.-", min_size=1, max_size=5).filter(lambda n: n not in (".", ".."))
ANY = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "retention.ms": st.sampled_from([-1, 0, 1, 999, 1000, 86_400_000, 2**63 - 1]).map(str),
        "cleanup.policy": st.sampled_from(["compact", "compact,delete"]),
        "min.cleanable.dirty.ratio": st.sampled_from(["0.1", "1.0", "0.5"]),
        "preallocate": st.sampled_from(["true", "false"]),
    },
)
USERS = st.sampled_from(["u", "team-a", "ünï", "a: b", "true", "7", '"q"', "${env:HOME}"])
ACLS = st.builds(
    Acl,
    st.sampled_from(["TOPIC", "GROUP"]),
    NAMES | st.just("*"),
    st.sampled_from(["LITERAL", "PREFIXED"]),
    USERS.map("User:{}".format) | st.just("User:*") | st.just("Group:g"),
    st.sampled_from(["READ", "DESCRIBE", "ALL"]),
    st.sampled_from(["ALLOW", "DENY"]),
    st.sampled_from(["*", "10.0.0.1", "::1"]),
)
QUOTAS = st.dictionaries(
    st.builds(QuotaEntity, st.none() | st.just("") | USERS, st.none() | st.just("") | USERS).filter(
        lambda e: e != QuotaEntity()
    ),
    st.dictionaries(
        st.sampled_from(["producer_byte_rate", "consumer_byte_rate"]), st.integers(1, 2**50).map(float), min_size=1
    )
    | st.fixed_dictionaries(
        {"request_percentage": st.floats(0.001, 1000), "controller_mutation_rate": st.floats(0.001, 10)}
    ),
    max_size=4,
)


@settings(max_examples=examples(40), deadline=None)
@given(
    topics=st.dictionaries(NAMES, CONFIGS, max_size=4),
    users=st.sets(USERS, max_size=4),
    acls=st.sets(ACLS, max_size=8),
    quotas=QUOTAS,
)
def test_an_imported_file_has_the_topics_users_acls_and_quotas_of_the_cluster(
    topics: dict[str, dict[str, str]], users: set[str], acls: set[Acl], quotas: dict[QuotaEntity, dict[str, float]]
) -> None:
    alike = {name.replace(".", "_"): name for name in topics}
    topics = {name: topics[name] for name in alike.values()}
    acls = {a for a in acls if a.resource_name != "*" or a.pattern_type == "LITERAL"}
    acls = {a for a in acls if a.resource_name not in (".", "..")}
    spec = imported(
        ClusterContents(
            topics={name: topic(name, 3, 2) for name in topics},
            topic_configs=topics,
            users=dict.fromkeys(users, ("SCRAM-SHA-512",)),
            acls=acls,
            quotas=quotas,
        )
    )
    assert {t.name: t.config for t in spec.topics} == topics
    assert all((t.partitions, t.replication, t.protect) == (3, 2, True) for t in spec.topics)
    assert users <= {u.name for u in spec.users}
    assert set(spec.all_acls()) == acls
    assert {q.entity: q.values for q in spec.all_quotas()} == quotas


def test_acls_are_folded_into_their_users() -> None:
    acls = [
        Acl("TOPIC", "orders", "LITERAL", "User:api", "WRITE"),
        Acl("TOPIC", "pay.", "PREFIXED", "User:api", "READ"),
        Acl("TOPIC", "gone", "LITERAL", "User:api", "READ"),
        Acl("GROUP", "api", "PREFIXED", "User:api", "READ"),
        Acl("TOPIC", "orders", "LITERAL", "User:api", "ALTER"),
        Acl("TOPIC", "orders", "LITERAL", "User:elsewhere", "READ"),
    ]
    spec = imported(
        ClusterContents(
            {"orders": topic("orders"), "pay.x": topic("pay.x")}, users={"api": ("SCRAM-SHA-256",)}, acls=acls
        )
    )
    (user,) = spec.users
    assert (user.produce, user.consume, user.groups) == (("orders",), ("gone", "pay."), ("api*",))
    assert spec.external_topics == ("gone",)
    assert spec.security.sasl == "scram-sha-256"
    assert spec.acls == tuple(sorted(acls[-2:]))


def test_users_keep_the_mechanisms_that_they_have() -> None:
    users = {"a": ("SCRAM-SHA-256", "SCRAM-SHA-512"), "b": ("SCRAM-SHA-512",), "c": ("SCRAM-SHA-256",)}
    spec = imported(ClusterContents(users=users))
    assert spec.security.sasl == "scram-sha-512"
    assert {u.name: spec.mechanisms_of(u) for u in spec.users} == {
        "a": ("SCRAM-SHA-512", "SCRAM-SHA-256"),
        "b": ("SCRAM-SHA-512",),
        "c": ("SCRAM-SHA-256",),
    }


def test_principals_without_credentials_are_users_where_nobody_has_one() -> None:
    acl = Acl("TOPIC", "orders", "LITERAL", "User:CN=app", "READ")
    spec = imported(ClusterContents({"orders": topic("orders")}, acls=[acl]))
    assert spec.security.sasl == "none"
    assert [u.name for u in spec.users] == ["CN=app"]
    assert spec.all_acls() == (acl,)


def test_what_a_stack_file_can_not_hold_stays_as_a_comment() -> None:
    found = ClusterContents(
        {"t": topic("t"), "__consumer_offsets": topic("__consumer_offsets")},
        {"t": {"made.up": "1", "leader.replication.throttled.replicas": "0:1", "segment.ms": "0"}},
        users={"*": ("SCRAM-SHA-512",), "ok": ("SCRAM-SHA-512",), "old": ("SCRAM-SHA-256",)},
        quotas={QuotaEntity(user="ok"): {"made_up": 1.0}},
        cluster_config={"num.io.threads": "4", "min.insync.replicas": "2"},
    )
    written = render("mine", CLUSTER, found)
    for note in (
        "config of topic t: made.up",
        "config of topic t: leader.replication.throttled.replicas",
        'config of topic t: segment.ms: "0"',
        'user "*": not a name that a stack file allows',
        "quota of {user: ok}: made_up",
        'cluster-wide config: min.insync.replicas: "2"',
    ):
        assert f"#   {note}" in written
    spec = imported(found)
    assert [t.name for t in spec.topics] == ["t"]
    assert spec.topics[0].config == {}
    assert spec.kafka.dynamic_config == {"num.io.threads": "4"}


@given(ANY)
def test_any_text_can_be_written(value: str) -> None:
    assert read_text(f"[{text(value)}]", "f").root == [value]


@given(st.integers(1, 2**50 - 1))
def test_retention_is_written_so_that_it_is_read_back(milliseconds: int) -> None:
    from asgard.core.schema.fields import _retention

    assert _retention(retention(milliseconds)) == milliseconds


def test_roles_and_quotas_by_address_are_imported_and_a_useless_acl_is_left_where_it_is() -> None:
    acls = {
        *(Acl("TOPIC", "wc-", "PREFIXED", "User:wc", op) for op in ("READ", "WRITE", "CREATE", "DELETE")),
        *(Acl("TRANSACTIONAL_ID", "wc-", "PREFIXED", "User:wc", op) for op in ("WRITE", "DESCRIBE")),
        Acl("GROUP", "wc", "LITERAL", "User:wc", "READ"),
        Acl("TOPIC", "lines", "LITERAL", "User:wc", "READ"),
        Acl("TOPIC", "counts", "LITERAL", "User:wc", "WRITE"),
        Acl("TOPIC", "counts", "LITERAL", "User:ui", "DESCRIBE"),
        Acl("GROUP", "*", "PREFIXED", "User:ui", "READ"),
    }
    quotas = {
        QuotaEntity(ip="10.0.0.1"): {"connection_creation_rate": 5.0},
        QuotaEntity(ip=""): {"connection_creation_rate": 50.0},
    }
    users = dict.fromkeys(("wc", "ui"), ("SCRAM-SHA-512",))
    found = ClusterContents({"lines": topic("lines")}, {}, users, acls, quotas)
    written = render("mine", CLUSTER, found)
    assert "- {name: wc, streams: [{application: wc, read: [lines], write: [counts]}]}" in written
    assert (
        '#   ACL {principal: "User:ui", resource: group, name: "*", pattern: prefixed, operation: read}: matches nothing'
        in written
    )
    spec = imported(found)
    assert set(spec.all_acls()) == {acl for acl in acls if acl.pattern_type != "PREFIXED" or acl.resource_name != "*"}
    assert {quota.entity: quota.values for quota in spec.all_quotas()} == quotas
    assert spec.external_topics == ("counts",)
