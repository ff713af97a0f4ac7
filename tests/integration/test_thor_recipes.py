"""The recipes that ship, on a real cluster: from a terminal, and from a crontab as cron runs its lines."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from asgard.cluster import rolling
from asgard.core import contexts
from asgard.core.contexts import Context
from asgard.journal import events, operations
from asgard.journal.store.database import open_journal
from asgard.kafka.admin import AdminClient, connect
from asgard.kafka.model import ConfigChange, Move
from asgard.machines import local as nodes
from tests.harness import AckedProducer, RealCluster
from tests.harness.placing import cleared, eventually, filled, led_by_preferred, placed, replicas_of, throttles

pytestmark = pytest.mark.kafka

ASGARD = Path(sys.executable).with_name("asgard")
STAMPED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ")
BARE = {"PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
"""What cron gives a command, but for HOME: that is left out on purpose."""


class Bench:
    """The cluster as the context `harness` of a home of its own, with the recipes on it."""

    def __init__(self, cluster: RealCluster, control: AdminClient) -> None:
        self.cluster, self.control, self.home = cluster, control, cluster.home

    def start(self, *args: str | Path) -> subprocess.Popen[str]:
        """`asgard thor recipe run …` with nothing of this environment but its ASGARD_HOME and cache."""
        environment = {**BARE, "ASGARD_HOME": str(self.home), "ASGARD_CACHE": os.environ["ASGARD_CACHE"]}
        command = [str(ASGARD), "thor", "recipe", "run", *map(str, args), "--context", "harness", "--yes", "--json"]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment, cwd="/",
        )  # fmt: skip

    def run(self, *args: str | Path, code: int = 0) -> Any:
        """Run a recipe to its end; its report."""
        process = self.start(*args)
        out, err = process.communicate(timeout=200)
        assert process.returncode == code and "Traceback" not in err, f"{process.returncode}\n{out}\n{err}"
        return json.loads(out) if out else err

    def crontab(self, *args: str | Path) -> list[str]:
        """The lines of `asgard thor recipe crontab …`."""
        told = subprocess.run(
            [ASGARD, "thor", "recipe", "crontab", *args], capture_output=True, text=True, check=True, cwd=self.home
        )
        return told.stdout.splitlines()

    def cron(self, line: str) -> tuple[int, str]:
        """What cron does with a line: sh, hardly any environment, no terminal. Its exit code, and what it added to its log."""
        command = line.split(" ", 5)[5].replace(r"\%", "%")
        log = Path(shlex.split(command)[-2])
        before = log.read_text() if log.exists() else ""
        done = subprocess.run(
            ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, env=BARE, cwd="/", timeout=200, check=False,
            capture_output=True,
        )  # fmt: skip
        assert done.stdout + done.stderr == b"", "everything goes to the log"
        added = log.read_text().removeprefix(before)
        assert "Traceback" not in added, added
        unstamped = [words for words in added.splitlines() if not STAMPED.match(words)]
        assert unstamped == [], unstamped
        return done.returncode, added

    def pids(self) -> dict[int, int | None]:
        return {n: nodes.status(self.cluster.run_dir(n)).pid for n in self.cluster.specs}

    def lost(self, broker: int) -> None:
        """A broker is killed, and Kafka has seen it."""
        self.cluster.kill(broker)
        eventually(lambda: any(b.id == broker and b.state != "up" for b in self.control.cluster().brokers))

    def held(self, broker: int) -> int:
        """Partitions that a broker holds."""
        return sum(broker in p.replicas for t in self.control.topics().values() for p in t.partitions)

    def whole(self) -> bool:
        """Whether every replica is in sync."""
        return all(set(p.isr) == set(p.replicas) for t in self.control.topics().values() for p in t.partitions)


@pytest.fixture
def bench(four_brokers: RealCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Nothing but internal topics at the start; at the end all brokers, no throttle, no cordon, nothing half done."""
    monkeypatch.setenv("ASGARD_HOME", str(four_brokers.home))
    servers, properties = four_brokers.bootstrap_servers, str(four_brokers.client_properties)
    contexts.put(Context("harness", servers, properties, four_brokers.cluster_id, stack="harness"), use=True)
    with connect(four_brokers.connection) as control:
        cleared(control)
        yield Bench(four_brokers, control)
        four_brokers.all_up()
        assert throttles(control, four_brokers.specs) == {}
        with open_journal() as journal:
            assert operations.unfinished(journal) == []


@contextlib.contextmanager
def traffic(cluster: RealCluster, topic: str) -> Iterator[AckedProducer]:
    """Records written all the while, a hundred a second; none of them may be refused or lost."""
    with AckedProducer(cluster.connection, timeout_s=120) as producer, producer.sending(topic):
        yield producer
    assert producer.failed == [] and len(producer.acked) > 50
    assert producer.lost(cluster.connection) == []


@pytest.mark.long
def test_a_rolling_restart_that_was_killed_goes_on_and_restarts_no_broker_twice(bench: Bench, topic_name: str) -> None:
    placed(bench.control, topic_name, [(2, 1, 3), (3, 2, 4), (4, 3, 2)], min_insync_replicas="2")
    before = bench.pids()
    leader = bench.control.quorum().leader
    with traffic(bench.cluster, topic_name):
        first = bench.start("rolling-restart", "--set", "brokers=2,3,4")
        assert first.stderr is not None
        told = next(line for line in first.stderr if "(1 of 3)" in line)
        second = bench.run("rolling-restart", "--set", "brokers=2,3,4", code=75)
        assert "is held by thor recipe run rolling-restart" in second["error"]["what"]
        done, other, _ = rolling.order([2, 3, 4], leader)
        assert f"node {done} is back" in told
        eventually(lambda: bench.pids()[other] != before[other], what="the second restart")
        first.kill()
        first.communicate()
        between = bench.pids()
        assert between[done] not in (before[done], None)
        report = bench.run("rolling-restart", "--set", "brokers=2,3,4")
    after = bench.pids()
    assert report["resumed"] and report["outcome"] == "done"
    assert [s["outcome"] for s in report["steps"]][:3] == ["skipped", "skipped", "done"]
    assert after[1] == before[1] and after[done] == between[done], (
        "no broker is restarted twice, none that was not named"
    )
    assert all(after[n] not in (before[n], None) for n in (2, 3, 4))
    assert between[other] in (None, after[other]), "nor the one that was in the middle of it"
    assert bench.whole()
    assert led_by_preferred(bench.control, [topic_name])


def test_no_broker_is_restarted_where_producers_would_be_refused(bench: Bench, topic_name: str) -> None:
    placed(bench.control, topic_name, [(1, 2)], min_insync_replicas="2")
    before = bench.pids()
    report = bench.run("rolling-restart", code=1)
    assert report["text"] == "failed in step 1, min-ISR check: at_min_isr <= 0 does not hold (it is 1)"
    assert bench.pids() == before


def test_a_broker_is_emptied_for_good_and_a_new_one_filled_when_the_stack_was_changed(
    bench: Bench, topic_name: str
) -> None:
    placed(bench.control, topic_name, [(4, 1, 2), (1, 4, 3), (2, 3, 4), (3, 2, 4)], min_insync_replicas="2")
    filled(bench.cluster.connection, topic_name, 4, 4)
    with traffic(bench.cluster, topic_name):
        report = bench.run("decommission", "--set", "brokers=4")
    assert report["steps"][-1]["text"].startswith("Broker 4 no longer holds anything")
    assert bench.held(4) == 0
    with open_journal() as journal:
        events.record(journal, "odin.stack.provisioned", "harness", {"cluster_id": bench.cluster.cluster_id})
    # It was emptied on purpose, so it is no new broker.
    assert bench.run("new-brokers", "--on-event")["outcome"] == "nothing" and bench.held(4) == 0
    bench.control.alter_configs([ConfigChange("broker", "4", unset=("cordoned.log.dirs",))])
    assert bench.run("new-brokers", "--on-event")["text"] == "no new event odin.stack.provisioned"
    eventually(lambda: throttles(bench.control, [4]) == {}, what="the end of the cordon")
    report = bench.run("new-brokers")
    assert report["outcome"] == "done" and bench.held(4) > 0
    assert bench.whole()


def test_leaders_come_back_to_where_they_should_be(bench: Bench, topic_name: str) -> None:
    placed(bench.control, topic_name, [(1, 2, 3), (1, 3, 2), (1, 2, 4), (1, 4, 3)])
    wanted = [(2, 1, 3), (3, 1, 2), (4, 1, 2), (1, 4, 3)]
    bench.control.reassign([Move(topic_name, n, replicas) for n, replicas in enumerate(wanted)])
    eventually(lambda: replicas_of(bench.control, topic_name) == wanted)
    (line,) = bench.crontab("leader-imbalance", "--context", "harness")
    assert line.startswith("17 * * * * ASGARD_HOME=")
    code, log = bench.cron(line)
    assert code == 0, log
    assert "leader-imbalance: step 1, preferred leaders: done: 3 partitions are led" in log
    assert led_by_preferred(bench.control, [topic_name])
    code, log = bench.cron(line)
    assert (
        code == 0
        and "leader-imbalance on harness: nothing to do: none of not_preferred > 5%, leader_spread > 120% holds" in log
    )


def test_a_full_disk_is_relieved_and_where_that_is_not_possible_somebody_is_told(
    bench: Bench, topic_name: str, tmp_path: Path
) -> None:
    placed(bench.control, topic_name, [(1,)] * 6)
    filled(bench.cluster.connection, topic_name, 6, 12)
    limits = tmp_path / "thor.yaml"
    limits.write_text(json.dumps({"limits": {"brokers": {str(b): {"capacity": "13MB"} for b in bench.cluster.specs}}}))
    report = bench.run("disk-nearly-full", "--limits", limits)
    assert report["steps"][1]["text"].startswith("every broker.disk <= 80% holds (broker 1: ")
    assert bench.held(1) < 6
    report = bench.run("disk-nearly-full", "--limits", limits, "--set", "limit=1%", code=1)
    assert report["steps"][-1]["on_failure"] and report["steps"][-1]["text"].startswith("A disk is over 1%")


@pytest.mark.long
def test_a_broker_that_is_gone_is_started_again_or_its_grace_kept_and_its_data_moved_from_cron(
    bench: Bench, topic_name: str, tmp_path: Path
) -> None:
    placed(bench.control, topic_name, [(1, 4, 2), (4, 2, 3), (3, 4, 1)], min_insync_replicas="2")
    policy = tmp_path / "thor.yaml"
    policy.write_text("policy: {restart: {attempts: 0}, grace: 10m}\n")
    (waiting,) = bench.crontab("broker-failure", "--limits", policy, "--context", "harness")
    (moving,) = bench.crontab("broker-failure", "--limits", policy, "--set", "grace=0s", "--context", "harness")
    (starting,) = bench.crontab("broker-failure", "--context", "harness")
    with traffic(bench.cluster, topic_name):
        assert bench.cron(waiting)[0] == 0, "nothing is wrong yet"
        before = bench.held(4)
        bench.lost(4)
        code, log = bench.cron(starting)
        assert code == 0 and bench.held(4) == before and bench.whole(), log
        assert bench.pids()[4] is not None
        bench.lost(4)
        code, log = bench.cron(waiting)
        assert code == 1 and re.search(r"step 1, heal: waiting: .* left", log), log
        assert bench.held(4) == before
        code, log = bench.cron(moving)
        assert code == 0 and bench.held(4) == 0 and bench.whole(), log


def test_a_recipe_of_ones_own_runs_programs_and_tells_a_web_hook_from_cron(bench: Bench, tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(f"""
recipe: mine
about: ours
trigger: {{schedule: "*/5 * * * *"}}
parameters: {{level: {{about: how loud, default: 1}}}}
steps:
  - run: {{command: [/bin/sh, -c, 'echo $$ASGARD_RECIPE $$LEVEL'], environment: {{LEVEL: $level}}}}
  - notify: {{text: "all is well, $level", webhook: "http://127.0.0.1:{server.server_port}/x"}}
""")
    try:
        (line,) = bench.crontab(recipe, "--allow-run", "--set", "level=5%", "--context", "harness")
        code, log = bench.cron(line)
        assert code == 0 and "step 1, run: done: sh said: mine 5%" in log, log
        assert [(h["text"], h["cluster"], h["recipe"]) for h in heard] == [("all is well, 5%", "harness", "mine")]
        code, log = bench.cron(line.replace(" --allow-run", ""))
        assert code == 4 and "runs programs on this machine: /bin/sh" in log
    finally:
        server.shutdown()
        server.server_close()


def test_a_stuck_group_gets_another_coordinator_for_a_while(bench: Bench, topic_name: str) -> None:
    placed(bench.control, topic_name, [(1, 2, 3)])
    bench.control.commit_offsets(f"g-{topic_name}", {(topic_name, 0): 0})

    def coordinator() -> int:
        return bench.control.groups().listed[f"g-{topic_name}"].coordinator

    orders, before = replicas_of(bench.control, "__consumer_offsets"), coordinator()
    report = bench.run("stuck-group", "--set", f"group=g-{topic_name}")
    assert re.search(r"is Empty, its coordinator is broker (\d)", report["steps"][0]["text"])
    assert f"its coordinator is broker {before}" not in report["steps"][0]["text"]
    assert replicas_of(bench.control, "__consumer_offsets") == orders
    eventually(lambda: coordinator() == before, what="the coordinator of before")
