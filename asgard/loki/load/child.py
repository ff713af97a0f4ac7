"""A process of a load: `python -m asgard.loki.load.child`. The only part of Asgard that imports Locust and gevent.

Locust changes the standard library of the process that imports it, so no other process of Asgard imports it. An order (JSON) comes
in on stdin, with the cluster's properties: credentials are in no argument and no environment. Events go out on
stdout as JSON lines, and the outcome into a file in the directory that the order names. SIGTERM ends the load early and cleanly;
a child whose parent is gone exits at once.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from asgard.core.errors import AsgardError
from asgard.loki.load.order import OUTCOME, ChildOrder

START_IN_S = 0.3
START_IN_ELSEWHERE_S = 2.0


def emit(event: str, data: dict[str, Any]) -> None:
    """Write a line for the parent."""
    sys.stdout.write(json.dumps({"event": event, **data}) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Carry out the order; returns 0 if an outcome was written."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=ChildOrder)
    import gevent
    import locust  # noqa: F401  (first of all: it changes the standard library)

    from asgard.loki.load.conduct import quiet

    quiet()
    # Each record in flight holds a few objects that are never in a cycle: scanning them again and again finds nothing.
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    gevent.spawn(_end_with_parent, os.getppid())
    try:
        return _worker(order) if order.role == "worker" else _master(order)
    except AsgardError as error:
        emit("failed", {"what": error.what, "hint": error.hint, "exit_code": int(error.exit_code)})
        return 1


def _master(order: ChildOrder) -> int:
    import gevent
    from locust.env import Environment

    from asgard.loki.load import scenario
    from asgard.loki.load.conduct import Conductor, Master, shape_of
    from asgard.loki.load.users import user_classes
    from asgard.loki.load.work import LoadWorker

    load = scenario.from_json(order.scenario or "")
    environment = Environment(user_classes=user_classes(load), shape_class=shape_of(load), catch_exceptions=False)
    environment.stop_timeout = max(p.timeout_s for p in load.producers) + 10
    directory = Path(order.directory)
    if order.role == "alone":
        runner: Any = environment.create_local_runner()
        LoadWorker(runner, order, user_classes)
    else:
        runner = environment._create_runner(Master, order.host, order.port)
        emit("listening", {"port": runner.server.port})
    plan = {"scenario": order.scenario, **order.plan}
    start_in_s = START_IN_S if order.port == 0 else START_IN_ELSEWHERE_S
    conductor = Conductor(runner, load, plan, order.workers, directory, emit, order.ready_within_s, start_in_s)
    gevent.signal_handler(signal.SIGTERM, conductor.stop)
    try:
        outcome = conductor.run()
    finally:
        if order.role == "master":
            runner.dismiss()
    (directory / OUTCOME).write_bytes(msgspec.json.encode(outcome))
    emit("done", {})
    return 0


def _worker(order: ChildOrder) -> int:
    from locust import runners
    from locust.env import Environment

    from asgard.core.errors import Unreachable
    from asgard.loki.load.users import user_classes
    from asgard.loki.load.work import LoadWorker

    runners.CONNECT_RETRY_COUNT = max(int(order.ready_within_s / runners.CONNECT_TIMEOUT), 1)
    environment = Environment(user_classes=[], catch_exceptions=False)
    try:
        runner = environment.create_worker_runner(order.host, order.port)
    except ConnectionError as error:
        raise Unreachable(
            f"no master answers at {order.host}:{order.port}", "Start it first: asgard loki load run … --master"
        ) from error
    LoadWorker(runner, order, user_classes)
    emit("connected", {})
    runner.greenlet.join()
    emit("done", {})
    return 0


def _end_with_parent(parent: int) -> None:
    import gevent

    while os.getppid() == parent:
        gevent.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # a native thread may still wait for a broker that is gone
