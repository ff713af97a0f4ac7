"""A process in which gevent's hub and librdkafka live together as in a load; tells as JSON what each let the other do.

python -m tests.integration.hub_and_client BOOTSTRAP TOPIC CLUSTER_ID DIRECTORY < client.properties as JSON
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gevent
import locust  # noqa: F401  (first of all: it changes the standard library)
from gevent import monkey
from locust.env import Environment

from asgard.loki.check.check import check
from asgard.loki.check.history import HistoryFiles
from asgard.loki.load import drive, messages, scenario
from asgard.loki.load.order import ChildOrder
from asgard.loki.load.scenario import Producers, Scenario
from asgard.loki.load.users import user_classes
from asgard.loki.load.work import BLOCKING_USERS, LoadWorker

RECORDS = 20_000


def main() -> None:
    """Send records at full speed, first as one of few users, then as one of many; print what was seen."""
    servers, topic, cluster_id, directory = sys.argv[1:]
    environment = Environment(user_classes=[])
    runner = environment.create_local_runner()
    work = LoadWorker(runner, ChildOrder("alone", directory, servers, json.load(sys.stdin), cluster_id), user_classes)
    group = Producers("p", topic)
    load = Scenario("hub", 60, (group,))
    plan = {
        "scenario": scenario.to_json(load),
        "run": "00" * 16,
        "cluster_id": cluster_id,
        "group": "g",
        "scratch": True,
    }
    runner.send_message(messages.PLAN, plan)
    sender = work.sender("producers/0", group)
    native_thread = monkey.get_original("_thread", "get_ident")
    hub_thread, threads = native_thread(), set()
    turns = breaths = inside = switched = 0
    timeouts: list[float] = []

    def ticker() -> None:
        nonlocal turns, switched
        while True:
            turns += 1
            switched += inside
            gevent.sleep(0)

    poll, answered = sender.poll, sender._answered

    def watched_poll(timeout: float) -> int:
        timeouts.append(timeout)
        return poll(timeout)

    def watched(*args: object) -> None:
        nonlocal inside
        threads.add(native_thread())
        inside = 1
        answered(*args)  # type: ignore[arg-type]
        inside = 0

    sender._answered = watched  # type: ignore[method-assign]
    gevent.spawn(ticker)
    found = {}
    for name, users in (("few", 1), ("many", BLOCKING_USERS + 1)):
        work._users = dict.fromkeys([object() for _ in range(users)], True)  # type: ignore[arg-type]
        breathe = work.breather(watched_poll)
        turns = breaths = 0
        timeouts.clear()

        def counted(wait_s: float, breathe: drive.Breathe = breathe) -> None:
            nonlocal breaths
            breaths += 1
            breathe(wait_s)

        drive.closed_loop(sender, 2000, RECORDS, counted, lambda: False)
        drive.settle(sender, 60, counted)
        found[name] = {
            "breaths": breaths,
            "turns": turns,
            "longest_wait_s": max(timeouts),
            "in_flight": sender.in_flight,
        }
    assert work.recorder is not None
    work.recorder.close()
    part = work.tallies["producers/0"].take(0)
    counts = check(HistoryFiles(Path(directory))).counts
    print(
        json.dumps(
            {
                **found,
                "callbacks_elsewhere": len(threads - {hub_thread}),
                "callbacks_here": hub_thread in threads,
                "switches_in_callbacks": switched,
                "acked": part.acked,
                "measured": part.measured,
                "in_history": counts.acknowledged,
            }
        )
    )


if __name__ == "__main__":
    main()
