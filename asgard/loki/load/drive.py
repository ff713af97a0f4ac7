"""The loops of producers and consumers, without Locust and gevent: what is sent when, and when the thread is given up.

`breathe(wait)` is how a loop waits at most so long: it serves answers and lets others run (`users` makes one for gevent).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from asgard.loki.load.pace import SendSchedule
from asgard.loki.load.sender import Sender

SLICE_S = 0.005
"""The longest wait of a loop: due records are sent at most this late, and no other user is kept waiting longer."""
BATCH = 500
"""Records that are handed to the client before answers are served again."""

Breathe = Callable[[float], None]
Over = Callable[[], bool]


class Source(Protocol):
    """What reads: `take` waits at most so many seconds, counts what came, and returns how many records that were."""

    def take(self, wait_s: float) -> int: ...


def open_loop(sender: Sender, pace: SendSchedule, start_ns: int, most: int | None, breathe: Breathe, over: Over) -> int:
    """Send what is due, when it is due, until the pace ends, `most` records are sent, or it is over; returns how many were not sent.

    `start_ns` is the start on the monotonic clock. Nothing is skipped if the cluster or the client is slow: it is sent late.
    """
    total = pace.total if most is None else min(pace.total, most)
    sent = 0
    while sent < total and not over():
        now_s = (time.monotonic_ns() - start_ns) / 1e9
        count = min(pace.due(now_s), total, sent + BATCH, sent + sender.room) - sent
        if count > 0:
            sender.send(pace.times_ns(sent, sent + count, start_ns))
            sent += count
            breathe(0)
        elif sender.room <= 0:
            breathe(SLICE_S)
        else:
            breathe(min(max(pace.at(sent) - now_s, 0), SLICE_S))
    return total - sent


def closed_loop(sender: Sender, in_flight: int, most: int | None, breathe: Breathe, over: Over) -> None:
    """Send as fast as answers come back, with at most so many records in flight, until `most` are sent or it is over."""
    batch = max(min(BATCH, in_flight // 2), 1)
    left = most if most is not None else -1
    while left and not over():
        room = min(in_flight - sender.in_flight, sender.room)
        count = min(batch, left) if left > 0 else batch
        if room < count:
            breathe(SLICE_S)
            continue
        sender.send_now(count)
        left -= count if left > 0 else 0
        breathe(0 if sender.in_flight else SLICE_S)  # nothing in flight: the client refused them all


def settle(sender: Sender, within_s: float, breathe: Breathe) -> None:
    """Wait for the answers to all that was sent; what has none by then is indeterminate."""
    give_up = time.monotonic() + within_s
    while sender.in_flight > 0 and time.monotonic() < give_up:
        breathe(SLICE_S)
    if sender.in_flight > 0:
        sender.give_up()


def read(source: Source, breathe: Breathe, over: Over) -> None:
    """Take what comes until it is over."""
    while not over():
        breathe(0 if source.take(SLICE_S) else SLICE_S)
