"""Archives of a cluster's topics: filled while the cluster is watched, so that healing comes first."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from asgard.kafka.target import Target
from asgard.thor.archive import source
from asgard.thor.archive.model import Codec
from asgard.thor.archive.shards import Done, Rolling
from asgard.thor.archive.storage import open_storage
from asgard.thor.replay import care
from asgard.thor.replay.pace import Pace, Rate


@dataclass(frozen=True)
class Order:
    """What is to be archived where. Times are ms (UTC); a `rate` without limits is as fast as it goes."""

    topics: tuple[str, ...]
    to: str
    endpoint_url: str | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    codec: Codec = "zstandard"
    rolling: Rolling = field(default_factory=Rolling)
    rate: Rate = field(default_factory=Rate)


def archive(target: Target, order: Order, *, follow: bool = False) -> Done:
    """Archive a window of topics, or follow them until somebody stops it. It slows down while the cluster is not well."""
    from asgard.journal.store.database import open_journal
    from asgard.thor.archive import follow as following
    from asgard.thor.archive import run

    storage = open_storage(order.to, order.endpoint_url)
    with ExitStack() as stack:
        control = target.connect()
        stack.callback(control.close)
        names = source.chosen(control, order.topics)
        watch = stack.enter_context(
            care.Watch(order.rate, [care.look_at(control, names, stack.enter_context(open_journal()))])
        )
        ease = _eased(watch)
        if follow:
            return following.follow(
                control, target.connection, names, storage, codec=order.codec, rolling=order.rolling, ease=ease
            )
        return run.archive(
            control,
            target.connection,
            names,
            storage,
            codec=order.codec,
            rolling=order.rolling,
            from_ms=order.from_ms,
            until_ms=order.until_ms,
            ease=ease,
        )


def _eased(watch: care.Watch) -> Callable[[int], None]:
    """Waits after each batch for as long as the cluster's health and the order's rate ask for."""
    pace = Pace(watch.rate(), time.monotonic())

    def ease(size_bytes: int) -> None:
        pace.rate = watch.rate()
        time.sleep(max(0.0, pace.spend(time.monotonic(), 1, size_bytes)))

    return ease
