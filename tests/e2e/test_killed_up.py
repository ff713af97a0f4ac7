"""`odin up` killed with SIGKILL at a provider step and run again; the full round is `python -m tests.proof kill-steps`."""

from __future__ import annotations

import pytest

from asgard.kafka.model import NewTopic
from tests.e2e.command import Stack, cluster, finished
from tests.e2e.killed import ExternalStory, LocalStory, up
from tests.harness import AckedProducer


@pytest.fixture(scope="module")
def local_story(tmp_path_factory):
    story = LocalStory(tmp_path_factory.mktemp("killed-local"))
    return story, story.undisturbed()


@pytest.fixture(scope="module")
def external_story(tmp_path_factory, external_cluster):
    story = ExternalStory(tmp_path_factory.mktemp("killed-external"), external_cluster)
    return story, story.undisturbed()


@pytest.mark.parametrize(("verb", "what", "phase"), [("create", "broker", "spawned"), ("create", "topic", "done")])
def test_a_local_stack_converges_after_a_kill(local_story, verb, what, phase):
    story, told = local_story
    step = next(s.number for s in told.steps if s.name.startswith(f"{verb} {what}")) if phase != "spawned" else 1
    assert story.round(told, step, phase) == []


@pytest.mark.parametrize(("what", "phase"), [("broker", "before"), ("broker", "after"), ("ready", "before")])
def test_a_local_stack_that_was_never_ready_can_be_destroyed(local_story, what, phase):
    story, told = local_story
    step = next(s.number for s in told.steps if s.name.startswith(f"create {what}"))
    assert story.destroyed_at_once(step, phase) == []


@pytest.mark.parametrize(
    ("verb", "what", "phase"), [("create", "user", "done"), ("update", "topic", "before"), ("delete", "topic", "done")]
)
def test_a_change_converges_after_a_kill(external_story, verb, what, phase):
    story, told = external_story
    step = next(s.number for s in told.steps if s.name.startswith(f"{verb} {what}"))
    assert story.round(told, step, phase) == []


@pytest.fixture
def cut_short(home, external_cluster, tmp_path):
    """A stack whose `up` was killed between the intent to make its topic and the topic."""
    stack = Stack(
        home,
        {
            "stack": "cut-short",
            "target": "external",
            "cluster": {
                "bootstrap_servers": external_cluster.bootstrap_servers,
                "client_properties": str(external_cluster.client_properties),
            },
            "topics": [{"name": "cut.short", "partitions": 1, "replication": 1}],
        },
    )
    up(stack, tmp_path / "trace", step=1, phase="before")
    yield stack
    with cluster(external_cluster.connection) as control:
        control.delete_topics(["cut.short"])


def test_what_somebody_else_made_meanwhile_is_not_adopted(cut_short, external_cluster):
    with cluster(external_cluster.connection) as control:
        control.create_topics([NewTopic("cut.short", 1, 1, {})])
    with AckedProducer(external_cluster.connection) as producer:
        producer.send("cut.short", b"theirs")
    refused = cut_short.up(code=4)
    assert "cut.short" in refused.err and "asgard odin import" in refused.err
    with cluster(external_cluster.connection) as control:
        assert "cut.short" in control.topics()
    cut_short.document["topics"] = []
    cut_short.up()
    finished(cut_short.home.start("odin", "destroy", "--stack", "cut-short", "--confirm", "cut-short", "--yes"))
    with cluster(external_cluster.connection) as control:
        assert "cut.short" in control.topics(), "it was never ours"
