"""Archives of a cluster's topics: filled while watching the cluster, so that healing comes first."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from asgard.journal import leases, operations
from asgard.journal.store.database import Database
from asgard.kafka.ports import ControlPlane
from asgard.kafka.target import Target
from asgard.thor.archive import source
from asgard.thor.archive.location import open_storage
from asgard.thor.archive.model import Codec
from asgard.thor.archive.read import TopicWindow
from asgard.thor.archive.shards import ArchiveOptions, Done, Rolling
from asgard.thor.replay import care, quota
from asgard.thor.replay.pace import CopyPace, Rate

SWITCH_S = 0.0005
"""How long the compressing thread waits for the reading one: Python's 5 ms are longer than a block takes."""


@dataclass(frozen=True)
class ArchiveOrder:
    """What to archive where. Times are ms (UTC); a `rate` without limits means full speed."""

    topics: tuple[str, ...]
    to: str
    endpoint_url: str | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    codec: Codec = "zstandard"
    rolling: Rolling = field(default_factory=Rolling)
    rate: Rate = field(default_factory=Rate)


def archive(target: Target, order: ArchiveOrder, *, follow: bool = False) -> Done:
    """Archive a window of topics, or follow them until stopped. It slows down while the cluster is unhealthy."""
    from asgard.journal.store.database import open_journal
    from asgard.thor.archive import follow as following
    from asgard.thor.archive import run

    storage = open_storage(order.to, order.endpoint_url)
    with ExitStack() as stack:
        control = target.connect()
        stack.callback(control.close)
        names = source.chosen(control, order.topics)
        journal = stack.enter_context(open_journal())
        client_id = f"asgard-archive.{secrets.token_hex(4)}"
        stack.enter_context(_guarded(control, journal, client_id, order.rate, storage.url))
        ease = _eased(stack.enter_context(care.Watch(order.rate, [care.look_at(control, names, journal)])))
        stack.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(SWITCH_S)
        options = ArchiveOptions(order.codec, order.rolling, ease, client_id)
        if follow:
            return following.follow(control, target.connection, names, storage, options)
        window = TopicWindow(tuple(names), order.from_ms, order.until_ms)
        return run.archive(control, target.connection, window, storage, options)


@contextmanager
def _guarded(control: ControlPlane, journal: Database, client_id: str, rate: Rate, url: str) -> Iterator[None]:
    """A client quota of this process as the second guard of its rate; the lease covers only that. Quotas of killed processes are lifted."""
    if rate.bytes_per_s is None:
        yield
        return
    above = f"cluster/{control.cluster().cluster_id}/archive/"
    doing = f"thor archive run to {url}"
    with leases.hold(journal, above + client_id, priority=leases.Priority.CHANGE, doing=doing) as lease:
        operations.settle(journal, {quota.KIND: lambda o, _: quota.lift(control, o.undo)}, under=above, held=[lease])
        with quota.guard(control, lease, client_id, rate.bytes_per_s):
            yield


def _eased(watch: care.Watch) -> Callable[[int], None]:
    """Waits after each batch as long as the cluster's health and the order's rate require."""
    pace = CopyPace(watch.rate(), time.monotonic())

    def ease(size_bytes: int) -> None:
        pace.rate = watch.rate()
        time.sleep(max(0.0, pace.spend(time.monotonic(), 1, size_bytes)))

    return ease
