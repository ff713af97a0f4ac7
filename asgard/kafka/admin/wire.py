"""One connection pool to a cluster: sends Kafka's protocol messages, with deadlines, to a broker that answers.

kafka-python provides the messages, SASL, TLS and the event loop; its admin class is not used: it retries a wrong
password until its time-out, never tries a second broker, and hides errors of single items. Reads and writes without a
target go to one preferred broker, so that a caller reads what it wrote (brokers forward to the controller in KRaft); if
it dies, another takes over within the deadline.
"""

from __future__ import annotations

import copy
import logging
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import kafka.errors as kafka_errors
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from asgard.core.errors import AsgardError, Unreachable
from asgard.kafka.addresses import address
from asgard.kafka.admin import errors
from asgard.kafka.connection import Connection

T = TypeVar("T")
Job = tuple[Any, int | None]
"""A protocol message and the broker that must answer it (None: any)."""

IN_FLIGHT = 4
_QUICK_S = 1.0
"""A hung broker still accepts connections: how long it may take to answer while others have not been tried."""
_LOGIN_GRACE_S = 1.0
"""Not every broker knows a newly created user yet: how long a refused login is retried."""
_LOST = (
    kafka_errors.KafkaConnectionError,
    kafka_errors.NodeNotReadyError,
    kafka_errors.RequestTimedOutError,
    kafka_errors.KafkaTimeoutError,
    kafka_errors.InvalidReceiveError,
    kafka_errors.Cancelled,
)
_LOGIN = (
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.IllegalSaslStateError,
)

# kafka-python logs what it sends at DEBUG, passwords included, and failures that are reported here as our own errors.
_log = logging.getLogger("kafka")
_log.addHandler(logging.NullHandler())
if _log.level == logging.NOTSET:
    _log.setLevel(logging.CRITICAL)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size` items."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


class _Manager(KafkaConnectionManager):  # type: ignore[misc]
    """Reads a broker's last response before noticing that the broker hung up: it holds the reason of a refused
    login."""

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        try:
            transport = await super()._build_transport(node, timeout_at=timeout_at)
        except kafka_errors.KafkaError as error:
            # Its traceback and the socket reference each other: only a garbage collection would close the socket.
            raise error.with_traceback(None) from None
        receive = transport._sock_recv

        def receive_all() -> tuple[bytes, Exception | None]:
            data, error = receive()
            return data, None if data else error

        transport._sock_recv = receive_all
        return transport


class Wire:
    """Sends messages. `deadline_s` is for one request with its retries; a bulk call is a series of such requests.

    `patience_s` is how long it keeps trying if no server accepts a connection.
    """

    def __init__(self, connection: Connection, *, deadline_s: float, patience_s: float) -> None:
        self.connection = connection
        self.user = connection.username
        self.deadline_s = deadline_s
        self.patience_s = min(patience_s, deadline_s)
        self.sent: Counter[int | str] = Counter()
        self._favourite: int | str | None = None
        self._closed = False
        setup_ms = int(min(self.patience_s, 10) * 1000)
        self._net = NetworkSelector(client_id="asgard")
        self._manager = _Manager(
            self._net,
            **connection.for_kafka_python(),
            client_id="asgard",
            request_timeout_ms=int(deadline_s * 1000),
            socket_connection_setup_timeout_ms=setup_ms,
            reconnect_backoff_ms=50,
            reconnect_backoff_max_ms=500,
            max_in_flight_requests_per_connection=10_000,
            receive_message_max_bytes=512 * 1024 * 1024,
        )
        self._net.start()
        try:
            self._run(self._bootstrap)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections; a second time does nothing."""
        if not self._closed:
            self._closed = True
            self._manager.close()
            self._net.close()

    def supports(self, message: Any, version: int) -> bool:
        """Whether the cluster supports that version of a request."""
        known = self._manager.broker_version_data.api_versions.get(message.API_KEY)
        return known is not None and known[0] <= version <= known[1]

    def ask(self, request: Any, node: int | None = None, *, code: Callable[[Any], int] | None = None) -> Any:
        """The response to one request; a request whose error code says "try again" is repeated until the deadline.

        `code` finds the code if it isn't the response's own `error_code`.
        """
        deadline, pause = time.monotonic() + self.deadline_s, 0.05
        while True:
            answer, _ = self.ask_write(request, node)
            said = code(answer) if code else getattr(answer, "error_code", 0)
            if said not in errors.TRY_AGAIN or time.monotonic() + pause > deadline:
                return answer
            time.sleep(pause)
            pause = min(pause * 2, 1.0)

    def ask_write(self, request: Any, node: int | None = None) -> tuple[Any, bool]:
        """The response, and whether an earlier attempt was lost and may have taken effect anyway."""
        answer, lost = self._run(self._ask, request, node, time.monotonic() + self.deadline_s, self.patience_s)
        return answer, lost

    def ask_all(self, jobs: Iterable[Job]) -> list[Any]:
        """The responses in the order of the jobs, a few in flight at a time. Raises the first error."""
        return list(self._run(self._ask_all, list(jobs), self.patience_s, False, self.deadline_s))

    def ask_each(self, jobs: Iterable[Job], deadline_s: float | None = None) -> list[Any]:
        """Like `ask_all`, but a failed job yields its AsgardError, and a broker that is gone is given up sooner.

        `deadline_s` of one job, if it should be shorter than for other calls.
        """
        deadline_s = min(deadline_s or self.deadline_s, self.deadline_s)
        return list(self._run(self._ask_all, list(jobs), min(1.0, self.patience_s), True, deadline_s))

    def outcome(self, code: int, message: str | None, doing: str, needs: str | None = None) -> AsgardError | None:
        """None if the code is 0, else the error in words. `doing` reads "create topic orders", `needs` names an ACL."""
        return errors.refusal(code, message, doing, user=self.user, needs=needs) if code else None

    def check(self, code: int, message: str | None, doing: str, needs: str | None = None) -> None:
        """Raise if the code is not 0."""
        error = self.outcome(code, message, doing, needs)
        if error:
            raise error

    def settle(self, items: Sequence[T], once: Callable[[list[T], bool], dict[T, int]], size: int) -> None:
        """Send items in batches; those whose code says "try again" are sent again until the deadline.

        `once(items, again)` sends one batch and returns the code of each; it keeps the final errors itself.
        """
        for batch in chunks(items, size):
            deadline, pause, again = time.monotonic() + self.deadline_s, 0.05, False
            left = batch
            while left:
                codes = once(left, again)
                left = [item for item in left if codes.get(item, 0) in errors.TRY_AGAIN]
                if left and time.monotonic() + pause > deadline:
                    break
                if left:
                    time.sleep(pause)
                    pause, again = min(pause * 2, 1.0), True

    def brokers(self) -> list[int]:
        """Ids of the brokers that are up, as the preferred broker sees them now."""
        self._run(self._refresh)
        return sorted(broker.node_id for broker in self._manager.cluster.brokers())

    # inside the event loop
    def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        if self._closed:
            raise Unreachable(f"the connection to {self.connection.bootstrap_servers} was closed")
        return self._manager.run(function, *args)

    async def _bootstrap(self) -> None:
        cluster, started = self._manager.cluster, time.monotonic()
        problems: dict[str, Exception] = {}
        refused: Exception | None = None
        servers = cluster.bootstrap_brokers()
        first_ms = _QUICK_S * 1000 if len(servers) > 1 else None
        while True:
            for server in random.sample(servers, len(servers)):
                try:
                    conn = self._manager.get_connection(server.node_id, refresh_metadata_on_err=False)
                    await self._manager.wait_for(conn.init_future, first_ms)
                    await cluster.refresh_metadata(server.node_id)
                    if cluster.brokers():
                        self._manager.close(node_id=server.node_id)
                        return
                except _LOGIN as error:
                    refused = error
                except kafka_errors.IncompatibleBrokerVersion as error:
                    raise errors.not_a_broker(address(server.host, server.port)) from error
                except kafka_errors.NodeNotReadyError as error:
                    problems.setdefault(address(server.host, server.port), error)
                except kafka_errors.KafkaError as error:
                    problems[address(server.host, server.port)] = error
            first_ms = None
            if refused is not None and time.monotonic() - started > min(_LOGIN_GRACE_S, self.patience_s):
                raise self._login_refused(refused) from refused
            if time.monotonic() - started > self.patience_s:
                raise errors.no_answer(self.connection.bootstrap_servers, problems)
            await self._net.sleep(0.1)

    def _login_refused(self, error: Exception) -> AsgardError:
        mechanism = self.connection.properties.get("sasl.mechanism")
        return errors.login_refused(error, self.connection.bootstrap_servers, self.user, mechanism)

    async def _refresh(self) -> None:
        """Get the current brokers from any that answers; silently keep the old list if none does."""
        for node in self._candidates({}):
            try:
                await self._manager.cluster.refresh_metadata(node)
                return
            except kafka_errors.KafkaError:
                continue

    def _candidates(self, failed: dict[int | str, Exception]) -> list[int | str]:
        """Whom to ask next: the preferred broker, then the others, then the bootstrap addresses, without those that
        just failed."""
        nodes = [broker.node_id for broker in self._manager.cluster.brokers()]
        random.shuffle(nodes)
        nodes.sort(key=lambda node: node != self._favourite)
        nodes += [server.node_id for server in self._manager.cluster.bootstrap_brokers()]
        return [node for node in nodes if node not in failed]

    async def _ask(self, request: Any, node: int | None, deadline: float, patience_s: float) -> tuple[Any, bool]:
        failed: dict[int | str, Exception] = {}
        problems: dict[str, Exception] = {}
        started, pause, lost = time.monotonic(), 0.05, False
        while True:
            if node is not None:
                target: int | str = node
                if self._manager.cluster.broker_metadata(node) is None:
                    await self._refresh()
                    if self._manager.cluster.broker_metadata(node) is None:
                        raise errors.BrokerDown(
                            f"broker {node} is not up", "`asgard kafka nodes` shows which brokers are."
                        )
            else:
                candidates = self._candidates(failed)
                if not candidates:
                    failed.clear()
                    candidates = self._candidates(failed)
                target = candidates[0]
            left = deadline - time.monotonic()
            share = 1.0
            if node is None and len(self._manager.cluster.brokers()) > 1:
                # A read can be repeated on another broker without harm: the first one that hangs costs little.
                share = 0.2 if not failed and type(request).__name__.startswith(("Describe", "List")) else 0.5
            timeout_ms = max(left * share, 0.05) * 1000
            try:
                # A copy: the version is negotiated per broker, and brokers of one cluster differ during an upgrade.
                conn = self._manager.get_connection(target, refresh_metadata_on_err=False)
                self.sent[target] += 1
                sent = conn.send_request(copy.copy(request), request_timeout_ms=timeout_ms)
                answer = await self._manager.wait_for(sent, timeout_ms + 50)  # separate: a login has another limit
                if node is None:
                    self._favourite = target
                return answer, lost
            except kafka_errors.IncompatibleBrokerVersion as error:
                raise errors.KafkaRefused(
                    f"{self.connection.bootstrap_servers} is too old for this: {error}",
                    "Asgard needs Kafka 3.9 or later.",
                    code=errors.UNSUPPORTED_VERSION,
                ) from error
            except (*_LOST, *_LOGIN) as error:
                failed[target] = error
                lost = lost or not isinstance(error, (kafka_errors.NodeNotReadyError, *_LOGIN))
                server = self._manager.cluster.broker_metadata(target)
                name = address(server.host, server.port) if server else f"broker {target}"
                if name not in problems or not isinstance(error, kafka_errors.NodeNotReadyError):
                    problems[name] = error
                now = time.monotonic()
                nobody_connects = not any(isinstance(e, kafka_errors.RequestTimedOutError) for e in problems.values())
                if now + pause > deadline or (nobody_connects and now - started > patience_s):
                    refusal = next((e for e in problems.values() if isinstance(e, _LOGIN)), None)
                    if refusal is not None:
                        raise self._login_refused(refusal) from error
                    if node is not None:
                        raise errors.BrokerDown(
                            f"broker {node} at {name} does not answer ({error or 'connection lost'})"
                        ) from error
                    raise errors.no_answer(self.connection.bootstrap_servers, problems) from error
                if node is not None or not self._candidates(failed):
                    await self._net.sleep(pause)
                    pause = min(pause * 2, 0.5)
                    await self._refresh()

    async def _ask_all(self, jobs: list[Job], patience_s: float, tolerant: bool, deadline_s: float) -> list[Any]:
        answers: list[Any] = [None] * len(jobs)
        waiting = deque(enumerate(jobs))

        async def work() -> None:
            while waiting:
                index, (request, node) = waiting.popleft()
                try:
                    answers[index], _ = await self._ask(request, node, time.monotonic() + deadline_s, patience_s)
                except AsgardError as error:
                    if not tolerant:
                        waiting.clear()
                        raise
                    answers[index] = error

        nodes = len({node for _, node in jobs})
        workers = [self._manager.call_soon(work) for _ in range(min(len(jobs), IN_FLIGHT * min(nodes, 16)))]
        for worker in workers:
            await worker
        return answers
