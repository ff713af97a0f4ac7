"""`asgard loki load run` on a real cluster: what it measures, what it checks, and what is left when it is killed."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from asgard.cli import main as cli
from asgard.compose import settle
from asgard.core import contexts
from asgard.core.contexts import Context
from asgard.kafka.admin import connect
from asgard.kafka.connection import render_properties, scram_properties
from asgard.kafka.model import GateGoals, GateLoad, NewTopic, ScramCredential
from asgard.kafka.ports import ControlPlane
from asgard.kafka.target import Target
from asgard.loki.load import drive, gate, scratch
from asgard.loki.load import run as runs
from asgard.loki.load.result import LoadResult
from asgard.loki.load.scenario import Consumers, LoadTopic, Producers, Scenario, Slo, Stage
from asgard.machines.local import free_ports
from tests.harness import RealCluster, leaked_processes, loading, read_all

pytestmark = pytest.mark.kafka


@pytest.fixture
def target(secured_cluster: RealCluster, own_home: Path) -> Target:
    """The shared cluster, by a context of its own home."""
    contexts.put(Context("shared", secured_cluster.bootstrap_servers, str(secured_cluster.client_properties)))
    return Target(secured_cluster.connection, contexts.load().pick("shared"))


@pytest.fixture
def carry_out(target: Target) -> Callable[..., LoadResult]:
    """Run a scenario on the shared cluster."""
    return functools.partial(loading.carry_out, target)


@pytest.fixture
def command(target: Target, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any, str]]:
    """`asgard loki load run … --json` in this process: exit code, document, words."""

    def go(*args: str) -> tuple[int, Any, str]:
        code = cli.main(["loki", "load", "run", "--context", "shared", "--json", *args])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else None, err

    return go


def scratch_topics(cluster: RealCluster) -> list[str]:
    with connect(cluster.connection) as control:
        return [name for name in control.topics() if name.startswith(scratch.PREFIX)]


def a_topic(control: ControlPlane, name: str, partitions: int, replication: int, **config: str) -> None:
    """A topic that every broker knows."""
    assert control.create_topics([NewTopic(name, partitions, replication, config)]) == {name: None}
    known, until = 0, time.monotonic() + 30
    while known < 10 and time.monotonic() < until:  # asked of one broker or another
        found = control.topics([name]).get(name)
        known = known + 1 if found and all(p.leader >= 0 for p in found.partitions) else 0
        time.sleep(0.02)


def scenario(rate: float | None, seconds: float, **more: Any) -> Scenario:
    stages = (Stage(seconds, rate, rate),) if rate else ()
    sends = Producers("sends", "t", users=more.pop("users", 1), stages=stages, timeout_s=60)
    return Scenario("test", seconds, (sends, *more.pop("beside", ())), topics=(LoadTopic("t", 6),), **more)


def test_a_load_by_flags_is_measured_checked_and_judged(
    command: Callable[..., tuple[int, Any, str]], secured_cluster: RealCluster, tmp_path: Path
) -> None:
    flags = ("--topic", "rides", "--partitions", "6", "--rate", "400/s", "--duration", "4s")
    goals = ("--slo", "errors=0", "--slo", "lost=0", "--slo", "duplicates=0", "--slo", "p50=1ms")
    code, found, words = command(
        *flags, "--events", "rides", "--consumers", "2", *goals, "--out", str(tmp_path / "out"), "--yes"
    )
    sends, reads = found["sending"][0], found["reading"][0]
    assert (sends["sent"], sends["acked"], reads["read"], reads["lag"]) == (1600, 1600, 1600, 0)
    assert sends["latency"]["p50_s"] <= sends["latency"]["p99_s"] <= sends["latency"]["max_s"]
    assert sum(sends["histogram"]["counts"].values()) == 1280, "the warm-up of 0.8 s is not measured"
    counts = found["check"]["counts"]
    assert (counts["acknowledged"], counts["consumed"], counts["read_back"], counts["foreign"]) == (1600, 1600, 1600, 0)
    met = {j["name"]: j["met"] for j in found["judged"]}
    assert met == {"p50": False, "errors": True, "records": True, "lost": True, "duplicates": True}
    assert code == 1 and f"not passed: p50 was {found['judged'][0]['got']}, the goal is at most 1 ms" in words
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["junit.xml", "report.html", "result.json"]
    assert json.loads((tmp_path / "out" / "result.json").read_text()) == found
    assert scratch_topics(secured_cluster) == []
    assert not {"gevent", "locust"} & set(sys.modules), "only child processes import Locust"


def test_a_load_asks_first_and_a_protected_cluster_wants_its_name(
    command: Callable[..., tuple[int, Any, str]], target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Path("/dev/null").open())  # noqa: SIM115 - it must stay open for the call
    code, _, words = command("--topic", "t", "--partitions", "1", "--rate", "10/s", "--duration", "1s")
    assert code == 4 and "--yes" in words
    assert "10 records at most of 1.0 KiB" in words and "deleted afterwards" in words, "what would be done is shown"
    assert target.context is not None
    contexts.put(Context(**{**vars(contexts.load().pick("shared")), "protected": True}))
    code, _, words = command("--topic", "t", "--partitions", "1", "--yes")
    assert code == 4 and "--confirm shared" in words
    contexts.put(Context(**{**vars(contexts.load().pick("shared")), "protected": False}))
    code, _, words = command("--topic", "not-there", "--yes")
    assert code == 2 and "has no topic not-there" in words


def test_a_topic_is_written_to_only_in_place(
    carry_out: Callable[..., LoadResult], secured_cluster: RealCluster, topic_name: str
) -> None:
    with connect(secured_cluster.connection) as control:
        a_topic(control, topic_name, 3, 2, **{"retention.ms": "3600000"})
        stand_in: list[tuple[int, int, str]] = []

        def look(event: dict[str, Any], load: runs.Load) -> None:
            if event["event"] == "go":
                (name,) = load.topics.renamed.values()
                found = control.topics([name])[name]
                config = control.topic_configs([name])[name]["retention.ms"]
                stand_in.append((len(found.partitions), found.replication, config))

        sends = Producers("sends", topic_name, stages=(Stage(1, 50, 50),))
        carry_out(Scenario("test", 1, (sends,)), during=look)
        assert stand_in == [(3, 2, "3600000")], "a scratch topic is like the one it stands for"
        assert read_all(secured_cluster.connection, topic_name) == []
        result = carry_out(Scenario("test", 1, (sends,), topics=(LoadTopic(topic_name, in_place=True),)))
        assert result.passed and len(read_all(secured_cluster.connection, topic_name)) == 50
        again = carry_out(Scenario("test", 1, (sends,), topics=(LoadTopic(topic_name, in_place=True),)))
        assert again.passed and again.check is not None
        counts = again.check.counts
        assert (counts.read_back, counts.foreign) == (50, 0), "what was there before is not read again"
        control.delete_topics([topic_name])


@pytest.mark.long
def test_two_workers_and_a_master_send_what_one_process_does(carry_out: Callable[..., LoadResult]) -> None:
    one = carry_out(scenario(600, 3, users=2, consumers=(Consumers("t", users=2),)))
    two = carry_out(scenario(600, 3, users=2, consumers=(Consumers("t", users=2),)), workers=2)
    assert [w.sent for w in two.workers] == [900, 900]
    for found in (one, two):
        sends, reads = found.sending[0], found.reading[0]
        assert (sends.sent, sends.acked, reads.read) == pytest.approx((1800, 1800, 1800), rel=0.02)
        assert sends.latency.p99_s is not None and sends.histogram.count == sends.acked
        assert found.check is not None and found.check.counts.acknowledged == sends.acked
        assert found.passed, found.reason


@pytest.mark.long
def test_three_hosts_send_one_load_and_the_master_checks_every_record(
    secured_cluster: RealCluster, session_home: Path, tmp_path: Path
) -> None:
    """A host is a process with an ASGARD_HOME of its own, which knows nothing of the others but the master's address."""
    (port,) = free_ports(1)
    cluster = ["--bootstrap-server", secured_cluster.bootstrap_servers]
    cluster += ["--command-config", str(secured_cluster.client_properties), "--yes", "--json"]

    def host(name: str, *flags: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "asgard"), "loki", "load", "run", *flags, *cluster],
            stdout=subprocess.PIPE,
            stderr=(tmp_path / name).open("w"),
            env={**os.environ, "ASGARD_HOME": str(session_home / name)},
            text=True,
        )

    load = ["--topic", "t", "--partitions", "6", "--rate", "600/s", "--duration", "5s", "--warm-up", "0s"]
    master = host("load-master", *load, "--consumers", "2", "--master", "--workers", "2", "--port", str(port))
    workers = [host(f"load-worker-{i}", "--worker", f"127.0.0.1:{port}") for i in (1, 2)]
    found = json.loads(master.communicate(timeout=180)[0])
    assert [worker.wait(60) for worker in workers] == [0, 0], [
        (tmp_path / f"load-worker-{i}").read_text() for i in (1, 2)
    ]
    assert master.returncode == 0 and found["passed"], found["reason"]
    assert len({w["pid"] for w in found["workers"]}) == 2
    assert [w["sent"] for w in found["workers"]] == pytest.approx([1500, 1500], rel=0.02)
    counts = found["check"]["counts"]
    assert counts["acknowledged"] == counts["read_back"] == sum(w["sent"] for w in found["workers"])
    assert (found["check"]["lost"], found["check"]["duplicates"]) == (0, 0)


@pytest.mark.long
def test_a_worker_that_is_killed_is_reported_and_not_hidden(carry_out: Callable[..., LoadResult]) -> None:
    killed: list[int] = []

    def kill(event: dict[str, Any], load: runs.Load) -> None:
        if event["event"] == "progress" and event["at_s"] > 2 and not killed:
            killed.append(load.pids["worker-1"])
            os.kill(killed[0], signal.SIGKILL)

    result = carry_out(scenario(400, 6, users=2), workers=2, during=kill)
    assert [w.state for w in result.workers if w.pid == killed[0]] == ["lost"]
    assert sorted(w.state for w in result.workers) == ["done", "lost"]
    assert not result.passed and result.reason is not None and f"pid {killed[0]}" in result.reason
    assert 1200 < result.sending[0].sent < 2400, "the other one sent its half"
    assert any("lost" in mark.text for mark in result.marks)


@pytest.mark.long
def test_a_hanging_broker_shows_in_open_loop_percentiles_and_hides_from_a_closed_loop(
    carry_out: Callable[..., LoadResult], secured_cluster: RealCluster
) -> None:
    """Three seconds of SIGSTOP. Beside the constant rate one request after the other is sent, as closed-loop tools do."""
    closed = Producers("closed", "t", in_flight=1, linger_s=0, timeout_s=60)
    load = scenario(200, 10, beside=(closed,))
    paused: list[float] = []

    def hang(event: dict[str, Any], running: runs.Load) -> None:
        if event["event"] == "progress" and event["at_s"] > 3 and not paused:
            paused.append(event["at_s"])
            secured_cluster.pause(2)
            time.sleep(3)
            secured_cluster.resume(2)

    try:
        result = carry_out(load, during=hang)
    finally:
        secured_cluster.resume(2)
        secured_cluster.all_up()
    honest, blind = (s.latency for s in result.sending)
    for name, found in (("open loop", honest), ("closed loop", blind)):
        print(f"{name}: p50 {found.p50_s} s, p90 {found.p90_s} s, p99 {found.p99_s} s, max {found.max_s} s")
    assert honest.p90_s is not None and blind.p90_s is not None and blind.max_s is not None
    assert honest.p90_s > 0.5, "what was due while the broker hung waited up to three seconds, a quarter of all records"
    assert blind.p90_s < honest.p90_s / 3, "the closed loop sent nothing meanwhile"
    assert blind.max_s > 2, "and knows of one slow answer"
    assert result.check is not None and (result.check.outcome, result.check.lost) == ("kept", 0)


def test_a_gate_gives_its_verdict_as_plain_data(target: Target, topic_name: str, secured_cluster: RealCluster) -> None:
    with connect(secured_cluster.connection) as control:
        a_topic(control, topic_name, 3, 3)
        found = gate.Gate(target).run(GateLoad(topic_name, 200, 500, 2), GateGoals(p99_s=1e-6, lost=0))
        assert (found.passed, found.sent, found.acknowledged) == (False, 400, 400)
        assert found.reason is not None and found.reason.startswith("p99 was ") and found.p99_s is not None
        assert {name: met for name, _, _, met in found.figures} == {"p99": False, "records": True, "lost": True}
        assert Path(found.report).is_file()
        control.delete_topics([topic_name])
    assert "gevent" not in sys.modules


@contextlib.contextmanager
def a_running_command() -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """`asgard loki load run` in a process of its own, while it sends from two workers; and its children."""
    flags = ["--topic", "t", "--partitions", "2", "--rate", "50/s", "--duration", "60s", "--workers", "2", "--yes"]
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "asgard"), "loki", "load", "run", "--context", "shared", *flags],
        stderr=subprocess.PIPE,
        env=dict(os.environ),
        text=True,
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if "acknowledged" in line:
            break
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == 3, said
    yield process, children
    process.wait()
    psutil.wait_procs(children, timeout=20)


def test_ctrl_c_ends_a_load_and_takes_its_scratch_topic_with_it(
    target: Target, own_home: Path, secured_cluster: RealCluster
) -> None:
    with a_running_command() as (process, _):
        process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    assert leaked_processes(own_home) == []
    assert scratch_topics(secured_cluster) == []


def test_kill_9_leaves_no_process_and_its_scratch_topics_go_with_the_next_command(
    target: Target, own_home: Path, secured_cluster: RealCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    with a_running_command() as (process, _):
        process.kill()
    assert leaked_processes(own_home) == []
    assert len(scratch_topics(secured_cluster)) == 1
    from asgard.journal.store.database import open_journal

    with open_journal() as journal:
        assert [o.kind for o in settle.abandoned(journal)] == [scratch.KIND]
    assert cli.main(["recover", "--yes", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["settled"] and told["outcome"].startswith("deleted loki-")
    assert scratch_topics(secured_cluster) == []


def test_one_load_at_a_time_on_a_cluster(command: Callable[..., tuple[int, Any, str]], target: Target) -> None:
    from asgard.journal import leases
    from asgard.journal.leases import Priority
    from asgard.journal.store.database import open_journal

    control = target.connect()
    cluster_id = control.cluster().cluster_id
    control.close()
    with (
        open_journal() as journal,
        leases.hold(journal, runs.cluster_load(cluster_id), priority=Priority.CHANGE, doing="x"),
    ):
        code, _, words = command("--topic", "t", "--partitions", "1", "--rate", "1/s", "--duration", "1s", "--yes")
    assert code == 75 and "load" in words


def test_gevent_and_librdkafka_let_each_other_work(
    secured_cluster: RealCluster, topic_name: str, tmp_path: Path
) -> None:
    with connect(secured_cluster.connection) as control:
        a_topic(control, topic_name, 3, 3)
    place = [secured_cluster.bootstrap_servers, topic_name, secured_cluster.cluster_id, str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.hub_and_client", *place],
        input=json.dumps(dict(secured_cluster.connection.properties)),
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["callbacks_here"], found["callbacks_elsewhere"]) == (True, 0), "answers come in gevent's thread alone"
    assert found["switches_in_callbacks"] == 0, "and no other greenlet runs while one is counted"
    for users in ("few", "many"):
        assert found[users]["turns"] >= found[users]["breaths"] > 0, "others have a turn whenever a producer waits"
        assert found[users]["in_flight"] == 0
    assert 0 < found["few"]["longest_wait_s"] <= drive.SLICE_S, "C waits for 5 ms at most"
    assert found["many"]["longest_wait_s"] == 0, "and not at all where many share the thread"
    assert found["acked"] == found["measured"] == found["in_history"] == 40_000


def test_a_locust_shape_decides_how_many_producers_send(carry_out: Callable[..., LoadResult], tmp_path: Path) -> None:
    file = tmp_path / "shapes.py"
    file.write_text(
        "from locust import LoadTestShape\n"
        "class Steps(LoadTestShape):\n"
        "    def tick(self):\n"
        "        return (1, 10) if self.get_run_time() < 2 else (3, 10) if self.get_run_time() < 5 else None\n"
    )
    load = scenario(300, 40, users=3, consumers=(Consumers("t"),), shape=f"{file}:Steps")
    result = carry_out(load)
    sends = result.sending[0]
    assert result.seconds < 40, "the shape ends the load before its duration does"
    # A third of the rate for two seconds, all of it for three more, less the time in which a producer connects.
    assert 200 < sends.sent < 1400 and sends.acked == sends.sent == result.reading[0].read
    assert result.passed, result.reason


def test_more_consumers_than_partitions_are_no_problem(carry_out: Callable[..., LoadResult]) -> None:
    load = dataclasses.replace(scenario(100, 1, consumers=(Consumers("t", users=3),)), topics=(LoadTopic("t", 1),))
    result = carry_out(load)
    assert (result.reading[0].read, result.passed) == (100, True), result.reason


def test_records_that_kafka_refuses_are_counted_with_the_reason(carry_out: Callable[..., LoadResult]) -> None:
    load = scenario(50, 1, slo=Slo(errors=0.5))
    result = carry_out(dataclasses.replace(load, topics=(LoadTopic("t", 1, config={"max.message.bytes": "200"}),)))
    sends = result.sending[0]
    assert (sends.sent, sends.acked, sends.failed, sends.unknown) == (50, 0, 50, 0)
    assert list(sends.reasons.values()) == [50] and "size too large" in next(iter(sends.reasons))
    assert result.reason is not None and "acknowledged was none (Broker: Message size too large)" in result.reason
    assert result.check is not None and result.check.counts.failed == 50


def test_a_user_without_rights_and_a_cluster_that_is_not_there_are_told_in_a_sentence(
    secured_cluster: RealCluster, own_home: Path, tmp_path: Path, topic_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with connect(secured_cluster.connection) as control:
        assert control.upsert_users([ScramCredential(topic_name, "pw")]) == {topic_name: None}
    config = tmp_path / "client.properties"
    config.write_text(render_properties(scram_properties(topic_name, "pw")))
    flags = ["loki", "load", "run", "--topic", "t", "--partitions", "1", "--yes", "--bootstrap-server"]
    assert cli.main([*flags, secured_cluster.bootstrap_servers, "--command-config", str(config)]) == 1
    assert "not authorised" in capsys.readouterr().err
    assert cli.main([*flags, "127.0.0.1:1"]) == 3
    assert "127.0.0.1:1" in capsys.readouterr().err
