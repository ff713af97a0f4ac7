"""A load's producers and consumers as Locust users. Imports Locust: only `child` may import this."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import gevent
from locust import User, task
from locust.exception import StopUser

from asgard.core.errors import AsgardError, Failed, Unreachable
from asgard.kafka.data import explain
from asgard.loki.load import drive
from asgard.loki.load.drive import SLICE_S
from asgard.loki.load.pace import SendSchedule
from asgard.loki.load.reader import Reader
from asgard.loki.load.scenario import Consumers, Producers, Scenario
from asgard.loki.load.sender import Sender

if TYPE_CHECKING:
    from asgard.loki.load.work import LoadWorker

PREPARE_S = 60.0
QUIET_S = 0.3


def user_classes(load: Scenario) -> list[type[User]]:
    """A Locust user class for each producer and consumer: each exists once, unless a shape makes more."""
    found: list[type[User]] = []
    for i, producers in enumerate(load.producers):
        for k in range(producers.users):
            place = {"key": f"producers/{i}", "of": producers, "index": k}
            count = {} if load.shape else {"fixed_count": 1}
            found.append(type(f"Producer{i}_{k}", (ProducerUser,), {**place, **count}))
    for i, consumers in enumerate(load.consumers):
        for k in range(consumers.users):
            place = {"key": f"consumers/{i}", "of": consumers, "index": k}
            found.append(type(f"Consumer{i}_{k}", (ConsumerUser,), {**place, "fixed_count": 1}))
    return found


class KafkaUser(User):
    """What producers and consumers share: one long task, whose failure ends the load."""

    abstract = True
    key: str
    index: int

    @property
    def work(self) -> LoadWorker:
        """What the users of this process share."""
        found: LoadWorker = self.environment.loki
        return found

    def live(self) -> None:
        """The user's whole life."""
        raise NotImplementedError

    @task
    def life(self) -> None:
        """Called once by Locust."""
        produces = isinstance(self, ProducerUser)
        self.work.enter(self, produces=produces)
        try:
            self.live()
        except AsgardError as error:
            self.work.fail(error)
        except Exception as error:
            self.work.fail(Failed(f"a {type(self).__name__} failed: {type(error).__name__}: {error}"))
        finally:
            self.work.leave(self, produces=produces)
        raise StopUser

    def over(self) -> bool:
        """Whether this user must end: the load is over, or a shape asks for fewer users."""
        return not self.work.sending() or self._state == "stopping"


class ProducerUser(KafkaUser):
    """One producer."""

    abstract = True
    of: Producers

    def live(self) -> None:
        """Connect, wait for GO, send, wait for the answers."""
        work, group, load = self.work, self.of, self.work.scenario
        assert load is not None
        sender = work.sender(self.key, group)
        breathe = work.breather(sender.poll)
        self._connect(sender)
        work.prepared(self)
        if work.start_ns is None:
            return
        start_ns = max(work.start_ns, time.monotonic_ns()) if load.shape else work.start_ns
        sender.measure_from_ns = work.start_ns + int(load.warm_up_s * 1e9)
        most = load.share(self.key, self.index)
        if group.open_loop:
            pace = SendSchedule(group.stages, of=group.users, index=self.index)
            # What was due is sent, however late; only a shape ends its users before.
            over = self.over if load.shape else lambda: work.hopeless(group)
            unsent = drive.open_loop(sender, pace, start_ns, most, breathe, over)
            work.tallies[self.key].part.unsent += 0 if load.shape else unsent
        else:
            drive.closed_loop(sender, group.in_flight, most, breathe, self.over)
        drive.settle(sender, group.timeout_s + 5, breathe)

    def _connect(self, sender: Sender) -> None:
        from confluent_kafka import KafkaException

        try:
            # A native thread of gevent's pool waits, so that this one continues.
            gevent.get_hub().threadpool.apply(sender.warm, (PREPARE_S,))
        except KafkaException as error:
            raise explain(error.args[0], self.work.connection) from error


class ConsumerUser(KafkaUser):
    """One consumer."""

    abstract = True
    of: Consumers

    def live(self) -> None:
        """Join the group, wait for GO, read until everything is read or the time to drain is over."""
        work, load = self.work, self.work.scenario
        assert load is not None
        reader = work.reader(self.key, self.of)
        breathe = work.breather(None)
        give_up = time.monotonic() + PREPARE_S
        while not reader.ready and reader.failure is None:
            reader.take(work.reading_slice_s())
            breathe(SLICE_S)
            if time.monotonic() > give_up:
                raise Unreachable(
                    f"the group {self.of.group or work.group} assigned its consumer no partition in {PREPARE_S:g} s"
                )
        work.prepared(self)
        if work.start_ns is not None:
            reader.measure_from_us = (work.start_ns + work.wall_ns) // 1000 + int(load.warm_up_s * 1e6)
        quiet_since = time.monotonic()
        while not self._through(reader, quiet_since):
            if reader.failure is not None:
                raise reader.failure
            if reader.take(work.reading_slice_s()):
                quiet_since = time.monotonic()
                breathe(0)
            else:
                breathe(SLICE_S)

    def _through(self, reader: Reader, quiet_since: float) -> bool:
        work, now = self.work, time.monotonic()
        if work.failure is not None or (work.start_ns is None and work.stopped):
            return True
        if work.drain_until is None:
            return False
        return now > work.drain_until or (now - quiet_since > QUIET_S and reader.lag() == 0)
