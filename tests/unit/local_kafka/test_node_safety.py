"""What is refused before anything is done to a node's data. No process is started here."""

from dataclasses import replace

import pytest

from asgard.core.errors import Failed, Refused, WrongUsage
from asgard.machines import local as nodes
from asgard.machines.local import InitialController, NodeSpec, RunDir, process, storage
from asgard.machines.local.nodes import LocalNodes

VOTERS = tuple(InitialController(i, 29090 + i, "A" * 22) for i in (1, 2, 3))


def a_node(directory, node, *, voters=VOTERS, version="4.3.1"):
    run_dir = RunDir(directory / "nodes" / str(node))
    controller = any(voter.id == node for voter in voters)
    spec = NodeSpec(
        id=node,
        cluster_id="C" * 22,
        roles=("broker", "controller") if controller else ("broker",),
        voters=voters,
        client_port=29000 + node,
        controller_port=29090 + node if controller else None,
        version=version,
        sasl="none",
        authorizer=False,
    )
    run_dir.write(spec, None)
    return run_dir


def test_records_without_a_mark_of_formatting_are_never_wiped(tmp_path):
    run_dir = a_node(tmp_path, 1)
    segment = run_dir.log_dir / "orders-0" / "00000000000000000000.log"
    segment.parent.mkdir(parents=True)
    segment.write_bytes(b"records")
    with pytest.raises(Refused, match="holds records, but its formatting may not have finished"):
        storage.ensure_formatted(run_dir)
    assert segment.read_bytes() == b"records"


@pytest.mark.parametrize("voters", [VOTERS, VOTERS[:1]], ids=["the others are down", "it is the only one"])
def test_a_controller_is_not_wiped_without_a_majority_of_others(tmp_path, voters):
    run_dirs = [a_node(tmp_path, voter.id, voters=voters) for voter in voters]
    (run_dirs[0].data / "precious").write_text("x")
    with pytest.raises(Refused, match="which is not a majority"):
        nodes.replace(run_dirs[0])
    assert (run_dirs[0].data / "precious").exists()


def test_a_controller_of_a_kafka_that_can_not_join_again_is_not_wiped(tmp_path):
    run_dir = a_node(tmp_path, 1, version="4.1.1")
    with pytest.raises(Refused, match=r"a controller of Kafka 4\.1\.1 can't be replaced"):
        nodes.replace(run_dir)


def test_another_clusters_directory_is_not_taken_over(tmp_path):
    run_dir = a_node(tmp_path, 1)
    run_dir.formatted.write_text("")
    with pytest.raises(Refused, match="holds node 1 of cluster CCCC"):
        nodes.create(run_dir, replace(run_dir.spec(), cluster_id="D" * 22), None)


def test_a_node_that_does_not_run_can_not_be_paused(tmp_path):
    with pytest.raises(Failed, match="node 1 is not running"):
        nodes.pause(a_node(tmp_path, 1))


def test_a_node_that_is_not_there_is_answered_with_those_that_are(tmp_path):
    for node in (1, 2, 10):
        a_node(tmp_path, node)
    with pytest.raises(WrongUsage, match=r"there is no node 4 .*\(nodes: 1, 2, 10\)"):
        LocalNodes(tmp_path).kill(4)


def test_stopping_what_does_not_run_is_no_error(tmp_path):
    run_dir = a_node(tmp_path, 1)
    nodes.stop(run_dir)
    nodes.kill(run_dir)
    assert nodes.status(run_dir).state == "stopped"


def test_a_pid_file_that_names_another_process_is_not_believed(tmp_path):
    import os

    run_dir = a_node(tmp_path, 1)
    run_dir.pid_file.write_text(str(os.getpid()))
    nodes.kill(run_dir)
    assert nodes.status(run_dir).state == "stopped"


def test_removing_a_node_twice_is_no_error(tmp_path):
    run_dir = a_node(tmp_path, 1)
    nodes.remove(run_dir)
    nodes.remove(run_dir)
    assert not run_dir.path.exists()


def test_a_node_that_is_not_ready_says_what_holds_it_up(tmp_path):
    run_dir = a_node(tmp_path, 3)
    run_dir.logs.mkdir(parents=True, exist_ok=True)
    assert process.complaint(run_dir) == "it printed nothing"
    start = "T1 INFO Registered `kafka:type=kafka.Log4jController` MBean\n"
    refused = (
        "T2 INFO [BrokerLifecycleManager id=3] Unable to register broker 3 because the controller returned error X"
    )
    (run_dir.logs / "server.log").write_text(f"{start}T1 ERROR of an earlier life\n{start}T2 INFO on the way\n")
    assert process.complaint(run_dir) == "it printed nothing"
    with (run_dir.logs / "server.log").open("a") as log:
        log.write(refused + "\nT2 INFO and again\n")
    assert process.complaint(run_dir) == refused
    run_dir.out.write_text("T2 ERROR Exiting\njava.lang.RuntimeException: x\nCaused by: no space left\n\tat y\n")
    assert process.complaint(run_dir) == "Caused by: no space left"
