"""The demo's act in which brokers die under traffic, and Thor, watching, heals the cluster.

One broker is killed and can be started again: it comes back and catches up. Another one is killed for good (it may not be
started): its replicas move to the remaining brokers. Both times are measured from the kill; nearly all of it is Kafka's own
detection (a silent broker is fenced after nine seconds).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from asgard.cluster import health
from asgard.cluster.limits import Limits
from asgard.compose import heal, holding
from asgard.core import events as news
from asgard.core.errors import AsgardError, Failed, Unreachable
from asgard.core.units import format_duration
from asgard.kafka.ports import ControlPlane, NodeControl
from asgard.kafka.target import Target
from asgard.thor.heal.once import Turn
from asgard.thor.heal.policy import Policy, Restart

PATIENCE_S = 300.0
_POLL_S = 0.1
MAY_START = Policy(grace_s=0)
FOR_GOOD = Policy(grace_s=0, restart=Restart(attempts=0))


@dataclass(frozen=True)
class Healing:
    """A killed broker: how it was healed, and the seconds from the kill until Thor saw it and until all was in sync."""

    broker: int
    how: str
    seen_s: float
    whole_s: float


@dataclass
class _Sight:
    """The watcher's reports: when it first saw the broker gone (seconds since 1970), and its errors."""

    broker: int
    seen_at: float | None = None
    trouble: str = ""

    def report(self, turn: Turn) -> None:
        gone = any(b.id == self.broker and b.state != "up" for b in turn.situation.snapshot.brokers)
        if self.seen_at is None and gone:
            self.seen_at = turn.situation.now
        if turn.healed.state == "failed":
            self.trouble = str(turn.healed)

    def complain(self, error: AsgardError) -> None:
        self.trouble = error.what


def act(target: Target) -> list[Healing]:
    """Kill a broker that may be started again, then one for good. Raises Failed if either is not healed."""
    nodes = holding.node_control(target)
    assert nodes is not None, "the demo's brokers are processes of this machine"
    control = target.connect()
    try:
        # Not the active controller: its failover time is a separate topic.
        others = [n.id for n in nodes.nodes() if n.id != control.quorum().leader]
        first = _lose(target, control, nodes, others[0], MAY_START, "started again by Thor")
        second = _lose(target, control, nodes, others[1], FOR_GOOD, "lost for good: its replicas moved to the others")
    finally:
        control.close()
    return [first, second]


def _lose(
    target: Target,
    control: ControlPlane,
    nodes: NodeControl,
    broker: int,
    policy: Policy,
    how: str,
) -> Healing:
    sight = _Sight(broker)
    with _watched(target, policy, sight):
        news.step(f"killing broker {broker} with SIGKILL under traffic; thor watch is looking")
        began = time.time()
        nodes.kill(broker)
        while sight.seen_at is None or not whole(control):
            if time.time() - began > PATIENCE_S:
                raise Failed(f"broker {broker} was killed and not healed in {format_duration(PATIENCE_S)}", sight.trouble or None)  # fmt: skip
            time.sleep(_POLL_S)
        healed = Healing(broker, how, round(sight.seen_at - began, 1), round(time.time() - began, 1))
    news.note(
        f"  noticed after {format_duration(healed.seen_s)}, {how}, "
        f"all in sync {format_duration(healed.whole_s)} after the kill"
    )
    return healed


@contextlib.contextmanager
def _watched(target: Target, policy: Policy, sight: _Sight) -> Iterator[None]:
    """`thor watch`, in a separate thread."""
    over = threading.Event()
    healing = heal.Healing(target, policy, Limits())

    def watch() -> None:
        heal.watch(healing, every_s=1.0, over=over, report=sight.report, complain=sight.complain)

    with ThreadPoolExecutor(1, "thor watch") as pool:
        watching = pool.submit(watch)
        try:
            yield
        finally:
            over.set()
        watching.result()


def whole(control: ControlPlane) -> bool:
    """Whether every partition has recovered; False if the look fails."""
    try:
        topics = control.topics()
    except Unreachable:
        return False
    return health.all_recovered(p for t in topics.values() for p in t.partitions)
