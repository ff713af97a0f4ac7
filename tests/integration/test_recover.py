"""A throttled move is killed midway: `asgard recover` lifts its throttle, and puts back what was there before."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from asgard.cli.main import main
from asgard.core import contexts
from asgard.journal import leases, operations
from asgard.journal.leases import Priority
from asgard.journal.store.database import open_journal
from asgard.kafka import admin
from asgard.kafka.model import ConfigChange, Move, NewTopic
from asgard.kafka.throttle import RATES, REPLICAS
from asgard.thor import coordinator
from tests.harness import AckedProducer

MOVER = """
import sys
from asgard.cluster import moves, replication_factor
from asgard.cluster.held import HeldCluster
from asgard.cluster.limits import Limits
from asgard.core import contexts
from asgard.journal import leases
from asgard.journal.leases import Priority
from asgard.journal.store.database import open_journal
from asgard.kafka import target

topic, cluster_id = sys.argv[1:]
control = target.of_context(contexts.load().pick("tried")).connect()
with open_journal() as journal, leases.hold(
    journal, leases.cluster_change(cluster_id), priority=Priority.CHANGE, doing="odin up tried"
) as lease:
    held = HeldCluster(cluster_id, "tried", control, journal, lease, "odin")
    partitions, brokers = control.topics([topic])[topic].partitions, control.cluster().brokers
    plan = replication_factor.plan(cluster_id, partitions, brokers, {topic: 2}, {})
    moves.run(held, plan, Limits(), replan=replication_factor.replan, throttle=100_000)
    sys.exit("finished before it was killed")
"""


@pytest.fixture
def home(tmp_path, monkeypatch, secured_cluster):
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    monkeypatch.delenv("ASGARD_JOURNAL", raising=False)
    contexts.put(
        contexts.Context(
            "tried",
            secured_cluster.bootstrap_servers,
            str(secured_cluster.client_properties),
            cluster_id=secured_cluster.cluster_id,
            protected=True,
        )
    )
    return tmp_path


def test_what_a_killed_move_had_set_is_put_back(home, secured_cluster, topic_name, capsys):
    control = admin.connect(secured_cluster.connection)
    try:
        assert control.create_topics([NewTopic(topic_name, partitions=1, replication=1)]) == {topic_name: None}
        home_broker = leader(control, topic_name)
        # An operator's own mark, which must be there again in the end.
        mark = {REPLICAS[0]: f"0:{home_broker}"}
        assert set(control.alter_configs([ConfigChange("topic", topic_name, mark)]).values()) == {None}
        with AckedProducer(secured_cluster.connection) as producer:
            for _ in range(40):
                producer.send(topic_name, os.urandom(100_000), partition=0)
        command = [sys.executable, "-c", MOVER, topic_name, secured_cluster.cluster_id]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as mover:
            while mover.poll() is None and not (moving(control, topic_name) and throttled(control)):
                time.sleep(0.02)
            mover.kill()
            assert mover.wait() == -9, mover.stderr.read()
        with open_journal() as journal:
            assert [u.abandoned for u in operations.unfinished(journal)] == [True]

        assert main(["recover", "--yes"]) == 4  # the context is protected
        assert "--confirm tried" in capsys.readouterr().err
        assert throttled(control)

        # What still moves may run to its end: no need to wait for it under a throttle in a test.
        control.reassign([Move(topic_name, 0, ())])
        assert main(["recover", "--yes", "--confirm", "tried", "--json"]) == 0
        (settled,) = json.loads(capsys.readouterr().out)
        assert (settled["settled"], "are as they were before" in settled["outcome"]) == (True, True)
        assert lifted(control)
        assert control.topic_configs([topic_name])[topic_name] == mark
        assert main(["recover", "--yes", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == []
        with (
            open_journal() as journal,
            leases.hold(
                journal, leases.cluster_change(secured_cluster.cluster_id), priority=Priority.CHANGE, doing="x"
            ),
        ):
            assert operations.unfinished(journal) == []
    finally:
        control.alter_configs([ConfigChange("broker", "", unset=RATES)])
        control.delete_topics([topic_name])
        control.close()


def test_the_throttle_that_a_killed_pulumi_program_of_an_older_version_left_is_lifted(home, secured_cluster, capsys):
    program = """
import json, sys
from dataclasses import asdict
from asgard.kafka import target
from asgard.core import contexts, paths, process
from asgard.kafka.temporary import Setting, plain, write
from asgard.kafka.throttle import RATES
from asgard.odin.provider.moves import left_behind
control = target.of_context(contexts.load().pick("tried")).connect()
settings = [Setting(("broker", "", key), ("1000000",), None) for key in RATES]
record = {"format": "asgard.reassignment/v1", "moves": [], "settings": plain(settings)}
paths.write_atomic(left_behind(sys.argv[1]), json.dumps({**record, "owner": asdict(process.identity())}))
write(control, {s.key: s.ours[0] for s in settings})
print("set", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", program, secured_cluster.cluster_id]
    with (
        admin.connect(secured_cluster.connection) as control,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running,
    ):
        assert running.stdout.readline() == "set\n"
        assert main(["recover", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == [], "it may still work"
        running.kill()
        running.wait()
        assert throttled(control)
        assert main(["recover", "--yes", "--confirm", "tried", "--json"]) == 0
        (settled,) = json.loads(capsys.readouterr().out)
        assert (settled["subject"], settled["settled"]) == ("a Pulumi program", True)
        assert lifted(control)
    assert main(["recover", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def leader(control, topic):
    """The leader of partition 0, once the broker that is asked knows of the topic."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = control.topics([topic])
        if topic in found and found[topic].partitions[0].leader >= 0:
            return found[topic].partitions[0].leader
        time.sleep(0.05)
    raise AssertionError(f"no broker tells of {topic}")


def moving(control, topic):
    return any(p.topic == topic for p in control.reassignments())


def lifted(control):
    """Whether the throttle is gone, once the broker that is asked knows of it."""
    until = time.monotonic() + 30
    while throttled(control) and time.monotonic() < until:
        time.sleep(0.05)
    return not throttled(control)


def throttled(control):
    return set(RATES) & set(control.broker_configs(""))


def test_the_coordinator_that_a_killed_recipe_had_moved_is_put_back(home, secured_cluster, topic_name):
    contexts.put(replace(contexts.load().pick("tried"), protected=False))
    group = f"g-{topic_name}"
    with admin.connect(secured_cluster.connection) as control:
        control.create_topics([NewTopic(topic_name, 1, 1)])
        control.commit_offsets("another", {(topic_name, 0): 0})
        before = coordinator.find(control, group).replicas
        recipe = ["recipe", "run", "stuck-group", "--set", f"group={group}", "--context", "tried", "--yes"]
        command = [str(Path(sys.executable).with_name("asgard")), "thor", *recipe]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            until = time.monotonic() + 90
            while coordinator.find(control, group).replicas == before:  # no member of the group will ever come
                assert process.poll() is None and time.monotonic() < until, process.communicate()
                time.sleep(0.05)
            process.kill()
            process.communicate()
        assert set(coordinator.find(control, group).replicas) == set(before)
        with open_journal() as journal:
            assert [u.operation.kind for u in operations.unfinished(journal) if u.abandoned] == [coordinator.KIND]
        assert main(["recover", "--yes"]) == 0
        assert coordinator.find(control, group).replicas == before
        with open_journal() as journal:
            assert operations.unfinished(journal) == []
