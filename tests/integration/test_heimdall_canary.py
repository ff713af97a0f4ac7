"""The canary on a real cluster: a hung broker from two sides, a moved partition that comes home, a kill -9 that costs no proof."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from asgard.compose import canary
from asgard.heimdall.canary.judge import CanaryState
from asgard.heimdall.canary.run import TOPIC, CanaryResult, CanarySettings
from asgard.journal import events
from asgard.journal.store.database import open_journal
from asgard.kafka.admin import connect
from asgard.kafka.model import Move
from asgard.kafka.target import Target
from tests.harness import RealCluster

pytestmark = pytest.mark.kafka
CANARY = "import sys; from asgard.cli.main import main; sys.exit(main(['heimdall', 'canary', *sys.argv[1:]]))"


@pytest.fixture
def cluster(secured_cluster: RealCluster) -> Iterator[RealCluster]:
    yield secured_cluster
    secured_cluster.all_up()


class Running:
    """A canary in a thread of its own."""

    def __init__(self, cluster: RealCluster, settings: CanarySettings, rounds: int | None = None) -> None:
        self.stop = threading.Event()
        self.results: list[CanaryResult] = []

        def work() -> None:
            with connect(cluster.connection, deadline_s=10) as control, open_journal() as journal:
                chosen = Target(cluster.connection)
                limited = replace(settings, rounds=rounds, duration_s=120)
                self.results.append(canary.run(chosen, control, journal, limited, stop=self.stop))

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    def end(self) -> CanaryResult:
        self.stop.set()
        self._thread.join(120)
        (result,) = self.results
        return result


def wait_for(what: str, holds: object) -> None:
    until = time.monotonic() + 60
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < until, f"{what} did not happen"
        time.sleep(0.1)


def told(broker: int) -> list[str]:
    with open_journal() as journal:
        found = events.read(journal, events.EventFilter(kind="heimdall.canary.*", subject=f"broker {broker}"))
    return [event.data["state"] for event in found]


def test_a_hung_broker_is_seen_from_both_sides_and_only_that_one_and_nothing_is_lost(
    cluster: RealCluster, own_home: Path, topic_name: str
) -> None:
    # A healthy broker on a busy machine answers within 3 s; a hung one is known before Kafka fences it (9 s).
    running = Running(cluster, CanarySettings(0.2, 3.0, f"{topic_name}-canary"))
    with connect(cluster.connection) as control:
        wait_for("the topic", lambda: len(leaders(control, f"{topic_name}-canary")) == 3)
        wait_for("leaders", lambda: sorted(leaders(control, f"{topic_name}-canary").values()) == [1, 2, 3])
        wait_for("coordinators", lambda: coordinators(control) == {1, 2, 3})
    time.sleep(3)
    cluster.pause(2)
    wait_for("the news that it hangs", lambda: CanaryState.HUNG in told(2))
    cluster.resume(2)
    wait_for("the news that it is back", lambda: told(2)[-1:] == [CanaryState.OK])
    result = running.end()
    hung = next(news for news in result.news if news.state is CanaryState.HUNG)
    assert hung.broker == 2 and "accepts connections, but no request is answered" in hung.sentence
    assert "the cluster says it is" in hung.sentence
    assert {news.broker for news in result.news if news.state in (CanaryState.HUNG, CanaryState.DOWN)} == {2}
    produce = {broker: tally.times["produce"] for broker, tally in result.tallies.items()}
    assert produce[2].worked < produce[2].tried
    commits = {broker: tally.times["commit"].worked for broker, tally in result.tallies.items()}
    assert min(commits.values()) > 0, commits
    assert result.verdict is not None and (result.verdict.lost, result.verdict.decided) == (0, True)
    assert result.verdict.acknowledged > 0


def test_a_partition_that_was_moved_away_is_brought_home(cluster: RealCluster, own_home: Path, topic_name: str) -> None:
    topic = f"{topic_name}-canary"
    Running(cluster, CanarySettings(0.1, 2.0, topic), rounds=1)._thread.join(60)
    with connect(cluster.connection) as control:
        before = leaders(control, topic)
        number = next(n for n, leader in before.items() if leader == 1)
        assert control.reassign([Move(topic, number, (3, 2, 1))]) == {(topic, number): None}

        def moved() -> bool:
            control.elect_preferred_leaders([(topic, number)])
            return leaders(control, topic)[number] == 3

        wait_for("the move", moved)
        running = Running(cluster, CanarySettings(0.2, 2.0, topic))
        wait_for("one partition at home with each", lambda: set(leaders(control, topic).values()) == {1, 2, 3})
        assert running.end().verdict is not None


def test_the_proof_goes_on_over_kill_9_of_the_canary_and_finds_what_is_gone(
    cluster: RealCluster, own_home: Path
) -> None:
    """The first canary is killed in the midst of it; then its records are deleted behind the back of the second one."""
    options = ["--bootstrap-server", cluster.bootstrap_servers, "--command-config", str(cluster.client_properties)]
    words = [sys.executable, "-c", CANARY, *options, "--within", "10s"]
    first = subprocess.Popen(
        [*words, "--duration", "60s", "--every", "50ms"], env={**os.environ}, stderr=subprocess.PIPE
    )
    with connect(cluster.connection) as control:
        wait_for("records", lambda: ends(control) > 60)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        written = ends(control)
        second = subprocess.run(
            [*words, "--once", "--json"], env={**os.environ}, capture_output=True, text=True, timeout=120
        )
        assert second.returncode == 0, second.stderr
        check = json.loads(second.stdout)["check"]
        assert check["lost"] == 0 and check["decided"] and check["acknowledged"] >= written - 12 > 40
        assert {b["broker"]: b["state"] for b in json.loads(second.stdout)["brokers"]} == {1: "ok", 2: "ok", 3: "ok"}
        # The topic is deleted: every record that the first two canaries were promised is gone.
        assert control.delete_topics([TOPIC]) == {TOPIC: None}
        wait_for("the deletion", lambda: not control.topics([TOPIC]))
        third = subprocess.run(
            [*words, "--once", "--json"], env={**os.environ}, capture_output=True, text=True, timeout=120
        )
    gone = json.loads(third.stdout)["check"]
    assert third.returncode == 1 and gone["lost"] > 40, (gone, third.stderr)
    with open_journal() as journal:
        assert events.read(journal, events.EventFilter(kind="heimdall.record.lost", subject=TOPIC))


def leaders(control: object, topic: str) -> dict[int, int]:
    found = control.topics([topic])  # type: ignore[attr-defined]
    return {p.partition: p.leader for p in found[topic].partitions} if topic in found else {}


def coordinators(control: object) -> set[int]:
    """The brokers that coordinate groups. One that another file's test has restarted gets its partitions back in five minutes, or when asked."""
    found = leaders(control, "__consumer_offsets")
    control.elect_preferred_leaders([("__consumer_offsets", number) for number in found])  # type: ignore[attr-defined]
    return set(leaders(control, "__consumer_offsets").values())


def ends(control: object) -> int:
    numbers = leaders(control, TOPIC)
    return sum(o.end for o in control.offsets([(TOPIC, n) for n in numbers]).values())  # type: ignore[attr-defined]
