"""The provider's Kafka resources against a real cluster: what is made, changed, refused and left alone."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from asgard.cluster.moves.record import OLD_FORMAT
from asgard.core import paths
from asgard.core.errors import Refused
from asgard.kafka.admin import check_login, connect
from asgard.kafka.connection import Connection, scram_properties
from asgard.kafka.model import Acl, ConfigChange, NewTopic, QuotaEntity, ScramCredential
from asgard.kafka.throttle import RATES
from asgard.odin.provider.former import Former
from asgard.odin.provider.moves import left_behind
from asgard.odin.resources.kinds import ACL, CONFIG, QUOTA, TOPIC, USER
from asgard.odin.resources.values import UNKNOWN, Values
from tests.harness import AckedProducer, RealCluster
from tests.harness.placing import eventually
from tests.provider_driver import Driver, driving, urn_of

pytestmark = pytest.mark.kafka
Story = Callable[[Driver], Coroutine[Any, Any, None]]


def play(cluster: RealCluster, story: Story, **permits: Any) -> None:
    """Run a story with a provider of its own."""

    async def run() -> None:
        async with driving(cluster, **permits) as driver:
            await story(driver)

    asyncio.run(run())


def topic(name: str, **more: Any) -> Values:
    return {"name": name, "partitions": 2, "replication": 3, "config": {}, **more}


def test_a_topic_from_its_first_to_its_last_day(secured_cluster: RealCluster, topic_name: str) -> None:
    async def story(d: Driver) -> None:
        first = topic(topic_name, config={"retention.ms": 3600000})
        assert await d.up(TOPIC, "t", first) == "create"
        assert await d.up(TOPIC, "t", first) == "same"
        made = await d.read(TOPIC, "t")
        assert made and made["config"] == {"retention.ms": "3600000"}
        assert await d.up(TOPIC, "t", topic(topic_name, partitions=4, config={"compression.type": "zstd"})) == "update"
        grown = await d.read(TOPIC, "t")
        assert grown and grown == {**made, "partitions": 4, "config": {"compression.type": "zstd"}}
        await d.delete(TOPIC, "t")

    play(secured_cluster, story)
    with connect(secured_cluster.connection) as control:
        eventually(lambda: not control.topics([topic_name]))


def test_another_name_is_another_topic(secured_cluster: RealCluster, topic_name: str) -> None:
    async def story(d: Driver) -> None:
        await d.up(TOPIC, "t", topic(topic_name))
        assert await d.up(TOPIC, "t", topic(f"{topic_name}-new")) == "replace"
        assert (await d.read(TOPIC, "t") or {})["name"] == f"{topic_name}-new"

    play(secured_cluster, story)


def test_fewer_partitions_are_refused_also_when_somebody_else_added_them(
    secured_cluster: RealCluster, topic_name: str
) -> None:
    async def story(d: Driver) -> None:
        await d.up(TOPIC, "t", topic(topic_name, partitions=3))
        with pytest.raises(Refused, match=r"is 2, but the topic .* has 3"):
            await d.up(TOPIC, "t", topic(topic_name, partitions=2))
        with connect(secured_cluster.connection) as control:
            assert control.create_partitions({topic_name: 6}) == {topic_name: None}
            eventually(lambda: len(control.topics([topic_name])[topic_name].partitions) == 6)
        with pytest.raises(Refused, match=r"is 4, but the topic .* has 6"):
            await d.up(TOPIC, "t", topic(topic_name, partitions=4))

    play(secured_cluster, story)


def test_a_topic_with_records_goes_only_when_that_was_allowed(secured_cluster: RealCluster, topic_name: str) -> None:
    async def story(d: Driver) -> None:
        await d.up(TOPIC, "t", topic(topic_name))
        with AckedProducer(secured_cluster.connection) as producer:
            producer.send(topic_name, b"precious")
        with pytest.raises(Refused, match=f"{topic_name} holds 1 record") as refused:
            await d.delete(TOPIC, "t")
        assert refused.value.hint and f"--allow-data-loss {topic_name}" in refused.value.hint
        assert await d.read(TOPIC, "t")
        async with driving(secured_cluster, allow_data_loss=[topic_name]) as allowed:
            allowed.state = d.state
            await allowed.delete(TOPIC, "t")
        with connect(secured_cluster.connection) as control:
            eventually(lambda: not control.topics([topic_name]))

    play(secured_cluster, story)


def test_a_shorter_retention_that_deletes_records_wants_permission(
    secured_cluster: RealCluster, topic_name: str
) -> None:
    hour_ago = int(time.time() * 1000) - 3_600_000

    async def story(d: Driver) -> None:
        await d.up(TOPIC, "t", topic(topic_name))
        with AckedProducer(secured_cluster.connection) as producer:
            producer._producer.produce(topic_name, b"an hour old", timestamp=hour_ago)
        shorter = topic(topic_name, config={"retention.ms": 600_000})
        with pytest.raises(Refused, match=f"may delete 1 record of {topic_name}"):
            await d.up(TOPIC, "t", shorter)
        assert await d.up(TOPIC, "t", topic(topic_name, config={"retention.ms": 7_200_000})) == "update"
        async with driving(secured_cluster, allow_data_loss=[topic_name]) as allowed:
            allowed.state = d.state
            assert await allowed.up(TOPIC, "t", shorter) == "update"

    play(secured_cluster, story)


def test_a_topic_that_others_made_is_refused_in_preview_and_in_earnest(
    secured_cluster: RealCluster, topic_name: str
) -> None:
    with connect(secured_cluster.connection) as control:
        control.create_topics([NewTopic(topic_name, 2, 3)])
        eventually(lambda: topic_name in control.topics([topic_name]))

    async def story(d: Driver) -> None:
        for preview in (True, False):
            with pytest.raises(Refused, match="exists already and isn't this stack's") as refused:
                await d.up(TOPIC, "t", topic(topic_name), preview=preview)
            assert refused.value.hint and "asgard odin import" in refused.value.hint

    play(secured_cluster, story)


def test_what_a_killed_run_made_is_adopted_only_when_it_matches_and_is_empty(
    secured_cluster: RealCluster, topic_name: str
) -> None:
    with connect(secured_cluster.connection) as control:
        control.create_topics([NewTopic(topic_name, 2, 3, {"retention.ms": "3600000"})])
        eventually(lambda: topic_name in control.topics([topic_name]))
    matching = topic(topic_name, config={"retention.ms": "3600000"})

    async def other_partitions(d: Driver) -> None:
        with pytest.raises(Refused, match="it has 2 partitions"):
            await d.up(TOPIC, "t", {**matching, "partitions": 3})
        with pytest.raises(Refused, match="it has other configs"):
            await d.up(TOPIC, "t", {**matching, "config": {}})

    async def adopt(d: Driver) -> None:
        assert await d.up(TOPIC, "t", matching) == "create"
        assert await d.read(TOPIC, "t")

    async def with_records(d: Driver) -> None:
        with pytest.raises(Refused, match="it holds records"):
            await d.up(TOPIC, "t", matching)

    adopting = [urn_of(TOPIC, "t")]
    play(secured_cluster, other_partitions, adopting=adopting)
    play(secured_cluster, adopt, adopting=adopting)
    with AckedProducer(secured_cluster.connection) as producer:
        producer.send(topic_name, b"somebody else's")
    play(secured_cluster, with_records, adopting=adopting)


def test_a_preview_changes_nothing_and_leaves_what_it_cannot_know_unknown(
    secured_cluster: RealCluster, topic_name: str
) -> None:
    async def story(d: Driver) -> None:

        urn = urn_of(TOPIC, "t")
        planned = await d.provider.create(urn, topic(topic_name), preview=True)
        assert planned.outputs["topicId"] is UNKNOWN
        with connect(secured_cluster.connection) as control:
            assert not control.topics([topic_name])

    play(secured_cluster, story)


def test_another_replication_factor_moves_replicas_and_leaves_no_throttle(
    secured_cluster: RealCluster, topic_name: str
) -> None:
    async def story(d: Driver) -> None:
        await d.up(TOPIC, "t", topic(topic_name, partitions=3, replication=1))
        with AckedProducer(secured_cluster.connection) as producer:
            for number in range(300):
                producer.send(topic_name, b"%d" % number)
        assert await d.up(TOPIC, "t", topic(topic_name, partitions=3, replication=3, throttle=10_000_000)) == "update"
        assert (await d.read(TOPIC, "t") or {})["replication"] == 3
        assert not producer.lost(secured_cluster.connection)
        assert await d.up(TOPIC, "t", topic(topic_name, partitions=3, replication=2)) == "update"
        assert (await d.read(TOPIC, "t") or {})["replication"] == 2
        with connect(secured_cluster.connection) as control:
            assert control.topic_configs([topic_name]).get(topic_name, {}) == {}
            assert not [key for key in control.broker_configs("") if "throttled" in key]

    play(secured_cluster, story)


def test_a_throttle_that_a_killed_program_of_an_older_version_left_is_lifted_by_the_next_change_of_a_factor(
    secured_cluster: RealCluster, topic_name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    rates = dict.fromkeys(RATES, "5000000")

    async def story(d: Driver) -> None:
        await d.up(TOPIC, "t", topic(topic_name, replication=1))
        with connect(secured_cluster.connection) as control:
            settings = [["broker", "", key, value, None] for key, value in rates.items()]
            record = {"format": OLD_FORMAT, "moves": [], "settings": settings}
            paths.write_atomic(left_behind(secured_cluster.cluster_id), json.dumps(record))
            control.alter_configs([ConfigChange("broker", "", rates)])
            eventually(lambda: rates.items() <= control.broker_configs("").items())
            assert await d.up(TOPIC, "t", topic(topic_name, replication=2)) == "update"
            eventually(lambda: not rates.keys() & control.broker_configs("").keys())
        assert not left_behind(secured_cluster.cluster_id).exists()

    play(secured_cluster, story)


def test_a_user_can_log_in_until_the_password_the_mechanism_or_the_user_changes(secured_cluster: RealCluster) -> None:
    name = f"u-{secrets.token_hex(4)}"

    def logs_in(password: str) -> bool:
        properties = scram_properties(name, password)
        return check_login(Connection(secured_cluster.bootstrap_servers, properties)) is None

    async def story(d: Driver) -> None:
        await d.up(USER, "u", {"name": name, "password": "first"})
        eventually(lambda: logs_in("first"))
        assert not logs_in("second")
        assert await d.up(USER, "u", {"name": name, "password": "second"}) == "update"
        eventually(lambda: logs_in("second"))
        assert await d.up(USER, "u", {"name": name, "password": "second", "mechanism": "SCRAM-SHA-256"}) == "update"
        assert (await d.read(USER, "u") or {})["mechanism"] == "SCRAM-SHA-256"
        async with driving(secured_cluster) as other:
            with pytest.raises(Refused, match=f"the user {name} exists already"):
                await other.up(USER, "u", {"name": name, "password": "mine"})
        await d.delete(USER, "u")
        with connect(secured_cluster.connection) as control:
            eventually(lambda: name not in control.users())

    play(secured_cluster, story)


def test_a_user_with_two_mechanisms_is_imported_with_both_and_goes_with_both(secured_cluster: RealCluster) -> None:
    name = f"u-{secrets.token_hex(4)}"
    both = ("SCRAM-SHA-256", "SCRAM-SHA-512")
    with connect(secured_cluster.connection) as control:
        for mechanism in both:
            control.upsert_users([ScramCredential(name, "theirs", mechanism)])
        eventually(lambda: control.users().get(name) == both)

        async def story(d: Driver) -> None:
            d.state[urn_of(USER, "u")] = (name, {})
            found = await d.read(USER, "u")
            assert found == {"name": name, "mechanism": "SCRAM-SHA-512", "otherMechanisms": ["SCRAM-SHA-256"]}
            assert await d.up(USER, "u", found) == "same"
            # The weaker one can be dropped although nobody here knows the password.
            assert await d.up(USER, "u", {"name": name}) == "update"
            eventually(lambda: control.users().get(name) == ("SCRAM-SHA-512",))
            with pytest.raises(Refused, match="has no password here"):
                await d.up(USER, "u", found)
            own = {"name": f"{name}-own", "password": "ours", "otherMechanisms": ["SCRAM-SHA-256"]}
            assert await d.up(USER, "own", own) == "create"
            eventually(lambda: control.users().get(f"{name}-own") == both)
            await d.delete(USER, "own")
            await d.delete(USER, "u")
            eventually(lambda: not control.users().keys() & {name, f"{name}-own"})

        play(secured_cluster, story)


def test_an_acl_is_its_content(secured_cluster: RealCluster) -> None:
    name = f"u-{secrets.token_hex(4)}"
    acl = {"principal": f"User:{name}", "resourceType": "topic", "resourceName": "orders-", "patternType": "prefixed"}
    made = Acl("TOPIC", "orders-", "PREFIXED", f"User:{name}", "READ")

    async def story(d: Driver) -> None:
        assert await d.up(ACL, "a", {**acl, "operation": "read"}) == "create"
        assert d.state[urn_of(ACL, "a")][0] == f"TOPIC:orders-:PREFIXED:User:{name}:READ:ALLOW:*"
        async with driving(secured_cluster) as other:
            with pytest.raises(Refused, match="exists already"):
                await other.up(ACL, "b", {**acl, "operation": "read"})
        with connect(secured_cluster.connection) as control:
            eventually(lambda: made in control.acls())
            assert await d.up(ACL, "a", {**acl, "operation": "write"}) == "replace"
            eventually(lambda: made not in control.acls())
            control.delete_acls([Acl("TOPIC", "orders-", "PREFIXED", f"User:{name}", "WRITE")])
            eventually(lambda: not [a for a in control.acls() if a.principal == f"User:{name}"])
        async with driving(secured_cluster) as later:
            later.state = dict(d.state)
            await later.delete(ACL, "a")
        async with driving(secured_cluster) as later:
            later.state = dict(d.state)
            assert await later.read(ACL, "a") is None

    play(secured_cluster, story)


@pytest.mark.parametrize(
    "entity", [{"user": "x", "clientId": "y"}, {"user": ""}, {"user": "z", "clientId": ""}], ids=str
)
def test_quotas_of_users_clients_and_defaults(secured_cluster: RealCluster, entity: Values) -> None:
    key = QuotaEntity(entity.get("user"), entity.get("clientId"))

    async def story(d: Driver) -> None:
        await d.up(QUOTA, "q", {**entity, "producerByteRate": 1e6, "requestPercentage": 12.5})
        assert await d.read(QUOTA, "q") == {**entity, "producerByteRate": 1000000, "requestPercentage": 12.5}
        assert await d.up(QUOTA, "q", {**entity, "producerByteRate": 2e6, "consumerByteRate": 3e6}) == "update"
        assert await d.read(QUOTA, "q") == {**entity, "producerByteRate": 2000000, "consumerByteRate": 3000000}
        async with driving(secured_cluster) as other:
            with pytest.raises(Refused, match="exists already"):
                await other.up(QUOTA, "q", {**entity, "producerByteRate": 1})
        await d.delete(QUOTA, "q")
        with connect(secured_cluster.connection) as control:
            eventually(lambda: key not in control.quotas())

    play(secured_cluster, story)


def test_broker_configs_come_back_as_they_were(secured_cluster: RealCluster) -> None:
    with connect(secured_cluster.connection) as control:
        control.alter_configs([ConfigChange("broker", "", {"log.cleaner.backoff.ms": "14000"})])
        eventually(lambda: "log.cleaner.backoff.ms" in control.broker_configs(""))
        before = control.broker_configs("")

        async def story(d: Driver) -> None:
            await d.up(CONFIG, "c", {"config": {"log.cleaner.backoff.ms": 12000, "message.max.bytes": 2000000}})
            await d.up(CONFIG, "c", {"config": {"log.cleaner.backoff.ms": 11000, "log.cleaner.delete.retention.ms": 1}})
            now = await d.read(CONFIG, "c")
            assert now and now["config"] == {"log.cleaner.backoff.ms": "11000", "log.cleaner.delete.retention.ms": "1"}
            assert now["previous"] == {"log.cleaner.backoff.ms": "14000"}
            eventually(lambda: "message.max.bytes" not in control.broker_configs(""))
            await d.delete(CONFIG, "c")

        play(secured_cluster, story)
        eventually(lambda: control.broker_configs("") == before)
        control.alter_configs([ConfigChange("broker", "", unset=("log.cleaner.backoff.ms",))])


def test_what_stood_there_before_survives_a_kill_between_the_change_and_its_state(secured_cluster: RealCluster) -> None:
    found, unset = "log.cleaner.backoff.ms", "log.cleaner.delete.retention.ms"
    with connect(secured_cluster.connection) as control:
        control.alter_configs([ConfigChange("broker", "", {found: "14000"})])
        eventually(lambda: found in control.broker_configs(""))
        before = control.broker_configs("")

        async def killed(d: Driver) -> None:
            await d.up(CONFIG, "c", {"config": {found: 12000}})

        async def killed_again(d: Driver) -> None:
            await d.up(CONFIG, "c", {"config": {found: 13000, unset: 1}})

        async def whole(d: Driver) -> None:
            assert await d.up(CONFIG, "c", {"config": {found: 13000, unset: 1}}) == "create"
            now = await d.read(CONFIG, "c")
            assert now and now["previous"] == {found: "14000"}
            await d.delete(CONFIG, "c")

        # What a run learnt dies with it: the next one knows the cluster and what is on disk.
        for story in (killed, killed_again, whole):
            play(secured_cluster, story)
        eventually(lambda: control.broker_configs("") == before)
        assert not Former(secured_cluster.cluster_id).file.exists()
        control.alter_configs([ConfigChange("broker", "", unset=(found,))])


def test_configs_of_one_broker(secured_cluster: RealCluster) -> None:
    async def story(d: Driver) -> None:
        await d.up(CONFIG, "c", {"broker": "2", "config": {"log.cleaner.threads": 2}})
        with connect(secured_cluster.connection) as control:
            eventually(lambda: control.broker_configs("2") == {"log.cleaner.threads": "2"})
            await d.delete(CONFIG, "c")
            eventually(lambda: control.broker_configs("2") == {})

    play(secured_cluster, story)


def test_min_insync_replicas_is_not_changed_while_kafka_would_forget_eligible_leader_replicas(
    secured_cluster: RealCluster, topic_name: str
) -> None:
    with connect(secured_cluster.connection) as control:

        def elr() -> tuple[int, ...]:
            return control.topics([topic_name])[topic_name].partitions[0].elr

        in_force = control.broker_configs("")["min.insync.replicas"]
        other = "2" if in_force == "1" else "1"

        async def story(d: Driver) -> None:
            wanted = topic(topic_name, partitions=1, config={"min.insync.replicas": 3})
            await d.up(TOPIC, "t", wanted)
            secured_cluster.stop(3)
            eventually(lambda: elr() == (3,))
            assert await d.up(TOPIC, "t", wanted) == "same"
            assert await d.up(CONFIG, "c", {"config": {"min.insync.replicas": in_force}}) == "create"
            assert await d.up(CONFIG, "c", {"config": {"min.insync.replicas": in_force}}) == "same"
            assert await d.up(TOPIC, "t", {**wanted, "partitions": 2}) == "update"
            await d.delete(CONFIG, "c")
            for token, values in (
                (CONFIG, {"config": {"min.insync.replicas": other}}),
                (TOPIC, {**wanted, "partitions": 2, "config": {"min.insync.replicas": 2}}),
            ):
                with pytest.raises(Refused, match=rf"every record of .*({topic_name}-0|and \d+ more)") as refused:
                    await d.up(token, "t" if token == TOPIC else "c", values)
                assert "Bring back broker 3 first" in str(refused.value.hint)
            assert elr() == (3,)
            await asyncio.to_thread(secured_cluster.all_up)
            eventually(lambda: elr() == ())
            assert await d.up(CONFIG, "c", {"config": {"min.insync.replicas": other}}) == "create"
            await d.delete(CONFIG, "c")

        try:
            play(secured_cluster, story)
        finally:
            secured_cluster.all_up()
        eventually(lambda: control.broker_configs("")["min.insync.replicas"] == in_force)


def test_drift_is_read_and_repaired(secured_cluster: RealCluster, topic_name: str) -> None:
    async def story(d: Driver) -> None:
        wanted = topic(topic_name, config={"retention.ms": 3600000})
        await d.up(TOPIC, "t", wanted)
        with connect(secured_cluster.connection) as control:
            control.alter_configs([ConfigChange("topic", topic_name, {"retention.ms": "1000", "segment.ms": "5000"})])
            eventually(lambda: len(control.topic_configs([topic_name])[topic_name]) == 2)
        async with driving(secured_cluster) as later:
            later.state = d.state
            drifted = await later.read(TOPIC, "t")
            assert drifted and drifted["config"] == {"retention.ms": "1000", "segment.ms": "5000"}
            assert await later.up(TOPIC, "t", wanted) == "update"
            repaired = await later.read(TOPIC, "t")
            assert repaired and repaired["config"] == {"retention.ms": "3600000"}
            await later.delete(TOPIC, "t")
        async with driving(secured_cluster) as last:
            urn = urn_of(TOPIC, "t")
            last.state = {urn: (topic_name, repaired)}
            assert await last.read(TOPIC, "t") is None

    play(secured_cluster, story)


def test_a_cluster_with_another_id_is_refused(secured_cluster: RealCluster, topic_name: str) -> None:
    async def story(d: Driver) -> None:
        await d.configure(secured_cluster.connection, "AAAAAAAAAAAAAAAAAAAAAA")
        with pytest.raises(Refused, match=f"answers as cluster {secured_cluster.cluster_id}"):
            await d.up(TOPIC, "t", topic(topic_name))

    play(secured_cluster, story)


def test_hundreds_of_topics_need_a_handful_of_requests(secured_cluster: RealCluster, topic_name: str) -> None:
    requests: list[int] = []

    async def story(d: Driver) -> None:
        async def all_of(what: Callable[[str], Coroutine[Any, Any, Any]]) -> list[Any]:
            return await asyncio.gather(*(what(f"{topic_name}-{number}") for number in range(120)))

        cluster = d.provider._cluster
        control = await cluster.run(lambda plane: plane)
        create = control.create_topics
        control.create_topics = lambda topics: requests.append(len(topics)) or create(topics)  # type: ignore[method-assign]
        made = await all_of(lambda name: d.up(TOPIC, name, topic(name, partitions=1, replication=1)))
        assert made == ["create"] * 120
        assert all(await all_of(lambda name: d.read(TOPIC, name)))
        await all_of(lambda name: d.delete(TOPIC, name))

    play(secured_cluster, story)
    assert sum(requests) == 120
    assert len(requests) <= 3
