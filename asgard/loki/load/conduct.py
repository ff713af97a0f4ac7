"""The master's side: it waits for its workers, says when to start, adds up what they report, and notices lost ones.

Imports Locust: only `child` may import this. With one process it talks to itself (Locust's local runner); the messages are the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import msgspec
from locust import LoadTestShape, runners
from locust.rpc import Message
from locust.runners import STATE_MISSING, MasterRunner, Runner

from asgard.core.errors import AsgardError, ExitCode, Failed, Unreachable
from asgard.loki.check.history import SUFFIX
from asgard.loki.load import messages
from asgard.loki.load.outcome import LoadOutcome, Rows, Worker, row
from asgard.loki.load.scenario import Scenario
from asgard.loki.load.tally import Part

runners.HEARTBEAT_DEAD_INTERNAL = -(10**9)  # Locust would give a dead worker's users to others, with the same numbers

Emit = Callable[[str, dict[str, Any]], None]


class Master(MasterRunner):
    """Locust's master; it accepts no workers once the load has begun, nor any that were given up."""

    closed = False

    def handle_message(self, client_id: str, msg: Any) -> None:
        """Turn away workers that come late."""
        known = self.clients.get(client_id)
        late = msg.type == "client_ready" and known is None
        if self.closed and (late or (known is not None and known.state == STATE_MISSING)):
            self.server.send_to_client(Message("quit", None, client_id))
            return
        super().handle_message(client_id, msg)

    def dismiss(self) -> None:
        """Tell all workers to end."""
        for client in self.clients.all:
            self.server.send_to_client(Message("quit", None, client.id))
        gevent.sleep(0.2)


@dataclass
class Conductor:
    """One load from beginning to end. `expected` is how many workers take part; `emit` tells the parent process.

    `start_in_s` is the time from GO to the common start: GO must have reached all workers by then.
    """

    runner: Runner
    load: Scenario
    plan: dict[str, Any]
    expected: int
    directory: Path
    emit: Emit
    ready_within_s: float
    start_in_s: float
    workers: dict[str, Worker] = field(default_factory=dict)
    failure: AsgardError | None = None
    stopped: bool = False
    _finished: dict[str, str] = field(default_factory=dict)
    _began: float = 0.0
    _rows: Rows = field(init=False)
    _fresh: dict[str, Part] = field(default_factory=dict)
    _began_us: int = 0

    def __post_init__(self) -> None:
        self._rows = Rows(row_s=self.load.row_s)
        for name, handle in (
            (messages.READY, self._on_ready),
            (messages.REFUSED, self._on_refused),
            (messages.PARTS, self._on_parts),
            (messages.SENT, self._on_finished),
            (messages.DONE, self._on_finished),
            (messages.HISTORY, self._on_history),
        ):
            self.runner.register_message(name, handle)

    def stop(self) -> None:
        """End the sending early; what was sent is still waited for."""
        self.stopped = True
        self.end_sending()

    def end_sending(self) -> None:
        """Producers send no more; what they sent is still waited for."""
        self._say(messages.STOP, {})

    def run(self) -> LoadOutcome:
        """The whole load. Raises AsgardError if it could not be carried out; lost workers are in the outcome."""
        self._gather()
        self._go()
        self._wait(messages.SENT, self.load.sending_s)
        self._say(messages.DRAIN, {})
        self._wait(messages.DONE, self.load.drain_s + 60)
        if self.failure is not None:
            raise self.failure
        return LoadOutcome(
            began_us=self._began_us,
            seconds=time.monotonic() - self._began,
            row_s=self.load.row_s,
            stopped=self.stopped,
            workers=sorted(self.workers.values(), key=lambda worker: worker.index),
            parts=self._rows.totals,
            rows=self._rows.close(),
        )

    # until the start
    def _gather(self) -> None:
        if isinstance(self.runner, Master):
            give_up = time.monotonic() + self.ready_within_s
            while len(self.runner.clients.ready) < self.expected:
                gevent.sleep(0.05)
                if self.stopped:
                    raise _stopped()
                if time.monotonic() > give_up:
                    here = len(self.runner.clients.ready)
                    raise Unreachable(
                        f"{here} of {self.expected} workers came within {self.ready_within_s:g} s",
                        "Start the others with `asgard loki load run --worker HOST:PORT`.",
                    )
            self.runner.closed = True
        self._say(messages.PLAN, self.plan)
        consumers = sum(c.users for c in self.load.consumers)
        users = consumers if self.load.shape else self.load.users
        if users:
            self.runner.start(users, spawn_rate=users)
            self._until_ready()

    def _until_ready(self) -> None:
        give_up = time.monotonic() + self.ready_within_s
        while len(self.workers) < self.expected:
            gevent.sleep(0.01)
            self._look_for_lost()
            if self.failure is not None:
                raise self.failure
            if self.stopped:
                raise _stopped()
            if time.monotonic() > give_up:
                here = f"{len(self.workers)} of {self.expected} workers"
                raise Unreachable(f"only {here} could connect to the cluster within {self.ready_within_s:g} s")

    def _go(self) -> None:
        wait_s = self.start_in_s
        self._began_us = int((time.time() + wait_s) * 1e6)
        self._began = time.monotonic() + wait_s
        self._say(messages.GO, {"at_us": self._began_us})
        self.emit("go", {"at_us": self._began_us, "workers": [msgspec.to_builtins(w) for w in self.workers.values()]})
        if self.load.shape:
            shape = self.runner.environment.shape_class
            assert isinstance(shape, Shape)
            shape.ended = self.end_sending
            gevent.spawn_later(wait_s, self.runner.start_shape)
        gevent.spawn_later(wait_s, self._progress)

    # what workers say
    def _on_ready(self, environment: Any, msg: Any) -> None:
        worker = Worker(msg.data["index"], msg.data["host"], msg.data["pid"])
        self.workers[msg.node_id] = worker

    def _on_refused(self, environment: Any, msg: Any) -> None:
        if self.failure is None:
            self.failure = Failed(msg.data["what"], msg.data["hint"])
            self.failure.exit_code = ExitCode(msg.data["exit_code"])
            self.stop()

    def _on_parts(self, environment: Any, msg: Any) -> None:
        worker = self.workers.setdefault(msg.node_id, Worker(-1, "?", 0))
        for key, plain in msg.data["parts"].items():
            part = msgspec.convert(plain, Part)
            worker.sent += part.sent
            worker.read += part.read
            self._rows.add(msg.data["row"], key, msg.node_id, part)
            self._fresh.setdefault(key, Part()).merge(part)
        records = self.load.records
        if records is not None and not self.stopped and sum(w.sent for w in self.workers.values()) >= records:
            self.end_sending()  # a shape may have created producers twice, each with its own share

    def _on_finished(self, environment: Any, msg: Any) -> None:
        self._finished[msg.node_id] = msg.type
        if msg.type == messages.DONE:
            worker = self.workers[msg.node_id]
            worker.state, worker.cpu_s = "done", msg.data["cpu_s"]

    def _on_history(self, environment: Any, msg: Any) -> None:
        worker = self.workers[msg.node_id]
        with (self.directory / f"worker-{worker.index}{SUFFIX}").open("ab") as file:
            file.write(msg.data["piece"])

    # waiting
    def _wait(self, message: str, within_s: float) -> None:
        """Wait until every worker that is not lost has sent it. At the time-out, those that have not are lost."""
        give_up = time.monotonic() + within_s
        while waiting := [
            n for n, w in self.workers.items() if w.state == "running" and not self._has_said(n, message)
        ]:
            gevent.sleep(0.02)
            self._look_for_lost()
            if time.monotonic() > give_up:
                for name in waiting:
                    self._lost(name, "did not answer")

    def _has_said(self, name: str, message: str) -> bool:
        said = self._finished.get(name)
        return said == message or said == messages.DONE

    def _look_for_lost(self) -> None:
        if isinstance(self.runner, Master):
            for name in list(self.workers):
                client = self.runner.clients.get(name)
                if self.workers[name].state == "running" and (client is None or client.state == STATE_MISSING):
                    self._lost(name, "stopped sending heartbeats")

    def _lost(self, name: str, why: str) -> None:
        worker = self.workers[name]
        worker.state, worker.why = "lost", why
        worker.lost_at_s = max(time.monotonic() - self._began, 0) if self._began else 0.0
        self.emit("worker-lost", msgspec.to_builtins(worker))

    def _say(self, name: str, data: dict[str, Any]) -> None:
        self.runner.send_message(name, data)

    def _progress(self) -> None:
        """Once a second, report what came in since."""
        while True:
            gevent.sleep(1)
            fresh, self._fresh = self._fresh, {}
            if fresh:
                self.emit("progress", msgspec.to_builtins(row(time.monotonic() - self._began, fresh)))


def _stopped() -> AsgardError:
    return Failed("stopped before it started")


class Shape(LoadTestShape):
    """A user's load shape with room for the consumers beside its producers. `ended` is called once when it has finished."""

    def __init__(self, made: LoadTestShape, *, consumers: int, most: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ended: Callable[[], None] = lambda: None
        self._made = made
        self._consumers = consumers
        self._most = most
        self._last = (consumers, 100.0)
        self._over = False

    def tick(self) -> Any:
        """Locust calls it once a second. When the shape has finished, the users stay: they end by themselves, with all their answers."""
        wanted = None if self._over else self._made.tick()
        if wanted is not None:
            self._last = (min(wanted[0], self._most) + self._consumers, wanted[1])
        elif not self._over:
            self._over = True
            self.ended()
        return self._last

    def reset_time(self) -> None:
        """The shape begins."""
        self._made.reset_time()


def shape_of(load: Scenario) -> Shape | None:
    """The Locust load shape that the scenario names. Raises Failed if it can't be created."""
    if load.shape is None:
        return None
    import importlib.util

    path, _, name = load.shape.rpartition(":")
    spec = importlib.util.spec_from_file_location("loki_shape", path)
    if spec is None or spec.loader is None:
        raise Failed(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        made = getattr(module, name)()
    except Exception as error:
        raise Failed(f"the shape {load.shape} can't be made: {type(error).__name__}: {error}") from error
    if not isinstance(made, LoadTestShape):
        raise Failed(f"{name} of {path} is not a Locust LoadTestShape")
    consumers, producers = sum(c.users for c in load.consumers), sum(p.users for p in load.producers)
    return Shape(made, consumers=consumers, most=producers)


def quiet() -> None:
    """Silence Locust's log at level INFO: progress is reported elsewhere."""
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
