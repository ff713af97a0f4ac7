"""What a process with users does: it creates a load's producers and consumers, and reports to the master what they saw.

Imports Locust: only `child` may import this. How greenlets share the thread with librdkafka: docs/loki-load.md, and `sender`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import msgspec
from locust import User
from locust.runners import Runner

from asgard.core.errors import AsgardError, Refused
from asgard.kafka.connection import Connection
from asgard.loki.check.history import SUFFIX
from asgard.loki.check.recorder import Recorder
from asgard.loki.load import drive, feed, messages, scenario
from asgard.loki.load.drive import SLICE_S
from asgard.loki.load.order import ChildOrder
from asgard.loki.load.reader import Reader
from asgard.loki.load.scenario import Consumers, Producers, Scenario
from asgard.loki.load.sender import Sender
from asgard.loki.load.tally import LoadTally

BLOCKING_USERS = 5
"""With more users than this in a process none of them may wait in C: they would keep the others waiting too long."""
NUMBERS_A_WORKER = 65_536
LEAVE_S = 5.0


class LoadWorker:
    """The users of this process and what they share. Load goes only to the order's cluster, whatever a master says.

    `user_classes` gives the users of a scenario.
    """

    def __init__(self, runner: Runner, order: ChildOrder, user_classes: Callable[[Scenario], list[type[User]]]) -> None:
        self.runner = runner
        self._user_classes = user_classes
        self.connection = Connection(order.bootstrap_servers, order.properties)
        self.directory = Path(order.directory)
        self.scenario: Scenario | None = None
        self.tallies: dict[str, LoadTally] = {}
        self.recorder: Recorder | None = None
        self.start_ns: int | None = None
        self.stopped = False
        self.drain_until: float | None = None
        self.failure: AsgardError | None = None
        self.wall_ns = time.time_ns() - time.monotonic_ns()
        self._cluster_id = order.cluster_id
        self._group = ""
        self._scratch = False
        self._ship = order.ship
        self._items: dict[str, list[feed.Item]] = {}
        self._made = 0
        self._users: dict[User, bool] = {}
        self._producing = 0
        self._spawned = False
        self.readers: list[Reader] = []
        for name, handle in (
            (messages.PLAN, self._on_plan),
            (messages.GO, self._on_go),
            (messages.STOP, self._on_stop),
            (messages.DRAIN, self._on_drain),
        ):
            runner.register_message(name, handle)
        runner.environment.events.spawning_complete.add_listener(self._on_spawned)
        runner.environment.loki = self  # type: ignore[attr-defined]

    # what the master says
    def _on_plan(self, environment: Any, msg: Any) -> None:
        try:
            self._take_plan(msg.data)
        except AsgardError as error:
            self.fail(error)

    def _take_plan(self, plan: dict[str, Any]) -> None:
        if plan["cluster_id"] != self._cluster_id:
            raise Refused(
                f"a worker uses cluster {self._cluster_id}, but the load is for {plan['cluster_id']}",
                "Name the same cluster on every machine (--context or --bootstrap-server).",
            )
        self.scenario = load = scenario.from_json(plan["scenario"])
        self._group, self._scratch = plan["group"], plan["scratch"]
        self.tallies = {key: LoadTally() for key in load.group_keys()}
        self.runner.environment.user_classes[:] = self._user_classes(load)
        index = max(getattr(self.runner, "worker_index", 0), 0)
        self._first = index * NUMBERS_A_WORKER
        path = self.directory / f"worker-{index}{SUFFIX}"
        self.recorder = Recorder(path, bytes.fromhex(plan["run"]), process=f"worker {index}")
        gevent.spawn(self._report)

    def _on_go(self, environment: Any, msg: Any) -> None:
        self.start_ns = msg.data["at_us"] * 1000 - self.wall_ns

    def _on_stop(self, environment: Any, msg: Any) -> None:
        self.stopped = True

    def _on_drain(self, environment: Any, msg: Any) -> None:
        assert self.scenario is not None
        self.drain_until = time.monotonic() + self.scenario.drain_s

    def _on_spawned(self, user_count: int) -> None:
        self._spawned = True

    # what users ask
    def number(self) -> int:
        """A number that is unique among the producers of the run."""
        self._made += 1
        return self._first + self._made - 1

    @property
    def group(self) -> str:
        """The consumer group of this run, for consumers that name none."""
        return self._group

    def sender(self, key: str, group: Producers) -> Sender:
        """A producer of that group."""
        assert self.recorder is not None and self.scenario is not None
        if key not in self._items:
            self._items[key] = feed.pool(group.keys, group.values, self.scenario.seed)
        log = self.recorder.producer(self.number(), acks=group.acks, idempotence=group.idempotence)
        return Sender(
            self.connection,
            group,
            items=self._items[key],
            tally=self.tallies[key],
            log=log,
            wall_ns=self.wall_ns,
        )

    def reader(self, key: str, group: Consumers) -> Reader:
        """A consumer of that group."""
        assert self.recorder is not None
        name = group.group or self._group
        log = self.recorder.consumer(self.number(), via="subscribe", group=name)
        made = Reader(
            self.connection,
            topic=group.topic,
            group=name,
            from_beginning=self._scratch,
            tally=self.tallies[key],
            log=log,
        )
        self.readers.append(made)
        return made

    def breather(self, poll: Callable[[float], Any] | None) -> drive.Breathe:
        """How a user of this process waits: in C if few share the thread, else in gevent's loop."""

        def breathe(wait_s: float) -> None:
            if len(self._users) <= BLOCKING_USERS:
                if poll is not None:
                    slice_s = SLICE_S / len(self._users)
                    poll(max(min(wait_s, slice_s), 0.001) if wait_s > 0 else 0)
                gevent.sleep(0)
            else:
                if poll is not None:
                    poll(0)
                gevent.sleep(max(min(wait_s, SLICE_S), 0.001) if wait_s > 0 else 0)

        return breathe

    def reading_slice_s(self) -> float:
        """How long a consumer may wait in C."""
        return SLICE_S / len(self._users) if len(self._users) <= BLOCKING_USERS else 0

    def sending(self) -> bool:
        """Whether producers continue: the duration is not over, and there was no STOP."""
        assert self.scenario is not None
        if self.stopped or self.failure is not None:
            return False
        return self.start_ns is None or time.monotonic_ns() - self.start_ns < self.scenario.duration_s * 1e9

    def hopeless(self, group: Producers) -> bool:
        """Whether an open loop should give up what it could not send: long after its end, or after STOP."""
        assert self.scenario is not None and self.start_ns is not None
        if self.stopped or self.failure is not None:
            return True
        return time.monotonic_ns() - self.start_ns > (self.scenario.duration_s + group.timeout_s) * 1e9

    def enter(self, user: User, *, produces: bool) -> None:
        """A user began to prepare."""
        self._users[user] = False
        self._producing += produces

    def prepared(self, user: User) -> None:
        """A user can start; waits for the master's GO."""
        self._users[user] = True
        while self.start_ns is None and not self.stopped and self.failure is None:
            gevent.sleep(0.005)
        if self.start_ns is not None:
            gevent.sleep(max((self.start_ns - time.monotonic_ns()) / 1e9 - 0.002, 0))

    def leave(self, user: User, *, produces: bool) -> None:
        """A user ended."""
        self._users.pop(user, None)
        self._producing -= produces

    def fail(self, error: AsgardError) -> None:
        """End the whole load; the first reason counts."""
        if self.failure is None:
            self.failure = error
            plain = {"what": error.what, "hint": error.hint, "exit_code": int(error.exit_code)}
            self.runner.send_message(messages.REFUSED, plain)

    # what is reported to the master
    def _report(self) -> None:
        """Runs until everything is done; sends READY, PARTS once a second, SENT and DONE."""
        assert self.scenario is not None
        try:
            self._until(lambda: (self._spawned and all(self._users.values())) or self.start_ns is not None)
            me = {"pid": os.getpid(), "host": os.uname().nodename, "index": self._first // NUMBERS_A_WORKER}
            self.runner.send_message(messages.READY, me)
            self._until(lambda: self.start_ns is not None)
            row = 0
            sent = False
            while self.drain_until is None or self._users:
                gevent.sleep(0.02)
                if not sent and self._producing == 0 and (not self.scenario.shape or not self.sending()):
                    sent = True
                    self.runner.send_message(messages.SENT, {})
                if self._row() > row:
                    self._tell(row)
                    row = self._row()
            self._tell(row)
            self._finish()
        except AsgardError as error:
            self.fail(error)

    def _until(self, condition: Callable[[], bool]) -> None:
        while not condition() and not self.stopped and self.failure is None:
            gevent.sleep(0.01)

    def _row(self) -> int:
        assert self.scenario is not None and self.start_ns is not None
        return max(int((time.monotonic_ns() - self.start_ns) / 1e9 / self.scenario.row_s), 0)

    def _tell(self, row: int) -> None:
        assert self.recorder is not None and self.start_ns is not None
        for reader in self.readers:
            reader.lag()
        self.recorder.flush()
        parts = {key: msgspec.to_builtins(tally.take(self.start_ns)) for key, tally in self.tallies.items()}
        self.runner.send_message(messages.PARTS, {"row": row, "parts": parts})

    def _finish(self) -> None:
        assert self.recorder is not None
        # Leaving a group waits for its coordinator, which may be the broker that was just killed: so in native threads.
        pool = gevent.get_hub().threadpool
        gevent.wait([pool.spawn(reader.close) for reader in self.readers], timeout=LEAVE_S)
        self.recorder.close()
        if self._ship:
            with self.recorder.path.open("rb") as file:
                while piece := file.read(messages.PIECE_BYTES):
                    self.runner.send_message(messages.HISTORY, {"piece": piece})
                    gevent.sleep(0)
        self.runner.send_message(messages.DONE, {"cpu_s": time.process_time()})
