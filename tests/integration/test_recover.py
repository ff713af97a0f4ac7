"""A throttled move is killed midway: `asgard recover` lifts its throttle, and puts back what was there before."""

import json
import os
import subprocess
import sys
import time

import pytest

from asgard.cli.main import main
from asgard.cluster.reassign import RATES, REPLICAS
from asgard.core import contexts
from asgard.journal import leases, operations
from asgard.journal.leases import Priority
from asgard.journal.store.database import open_journal
from asgard.kafka import admin
from asgard.kafka.model import ConfigChange, Move, NewTopic
from tests.harness import AckedProducer

MOVER = """
import sys
from asgard.core import contexts
from asgard.journal import leases, operations
from asgard.journal.leases import Priority
from asgard.journal.store.database import open_journal
from asgard.cluster import reassign
from asgard.kafka import target
from asgard.kafka.model import Move

topic, cluster_id, to = sys.argv[1:]
control = target.of_context(contexts.load().pick("tried")).connect()
with open_journal() as journal, leases.hold(
    journal, leases.cluster_change(cluster_id), priority=Priority.CHANGE, doing="odin up tried"
) as lease:
    def remember(record):
        operations.begin(journal, record["format"], "stack tried", record, lease)
    reassign.execute(
        control, [Move(topic, 0, (int(to),))], remember=remember, forget=lambda: sys.exit("finished before it was killed"),
        throttle_bytes_per_s=100_000,
    )
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
        to = home_broker % 3 + 1
        command = [sys.executable, "-c", MOVER, topic_name, secured_cluster.cluster_id, str(to)]
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
        assert (settled["settled"], "lifted the throttle" in settled["outcome"]) == (True, True)
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


def test_the_throttle_of_a_killed_pulumi_program_is_lifted(home, secured_cluster, capsys):
    program = """
import sys
from asgard.cluster import reassign
from asgard.kafka import target
from asgard.core import contexts
from asgard.kafka.temporary import Setting, plain, write
from asgard.odin.provider.moves import file_log, left_behind
control = target.of_context(contexts.load().pick("tried")).connect()
settings = [Setting(("broker", "", key), ("1000000",), None) for key in reassign.RATES]
file_log(left_behind(sys.argv[1]))({"format": reassign.FORMAT, "moves": [], "settings": plain(settings)})
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
