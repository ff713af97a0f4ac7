"""Notifies people of what Thor does: web hooks and commands, with retries and timeouts, never delaying a healing.

A web hook gets a POST with JSON: `text` (a sentence, where chat services look for it), `event`, `cluster`, `at` (UTC) and the
event's data. A command gets the same in its environment: ASGARD_TEXT, ASGARD_EVENT, ASGARD_CLUSTER, ASGARD_AT.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from asgard.core import events, post, program
from asgard.core.errors import Failed
from asgard.thor.heal.policy import Recipient

WAITING = 100
"""Notices queued for a slow recipient; more are dropped, with a warning."""
LAST_WORDS_S = 30.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0


@dataclass(frozen=True)
class Notification:
    """A notice: the event's kind, its cluster, a sentence, when (seconds since 1970), and the event's data."""

    event: str
    cluster: str
    text: str
    at: float
    data: Mapping[str, object] = field(default_factory=dict)

    @property
    def when(self) -> str:
        """UTC."""
        return datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def send(recipient: Recipient, notice: Notification, *, pause: Callable[[float], object] = time.sleep) -> None:
    """Notify one recipient, retrying as its policy says. Raises Failed with the last reason."""
    for attempt in range(recipient.retries + 1):
        try:
            if recipient.webhook is not None:
                post.post(recipient.webhook, _body(notice), recipient.timeout_s)
            else:
                program.run(recipient.command, _environment(notice), recipient.timeout_s)
            return
        except post.Denied as refused:
            raise Failed(f"{recipient} rejected the notice: {refused.what}", refused.hint) from None
        except Failed as error:
            if attempt == recipient.retries:
                tries = f" ({attempt + 1} tries)" if attempt else ""
                raise Failed(f"{recipient} was not notified{tries}: {error.what}", error.hint) from error
        pause(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt))


class Notifier:
    """Notifies all recipients from a separate thread, and warns about those it could not reach. A context manager."""

    def __init__(self, recipients: Collection[Recipient]) -> None:
        self._recipients = tuple(recipients)
        self._notices: queue.Queue[Notification | None] = queue.Queue(WAITING)
        self._over = threading.Event()
        self._thread = threading.Thread(target=events.carried(self._work), name="notify", daemon=True)
        if self._recipients:
            self._thread.start()

    def __enter__(self) -> Notifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tell(self, notice: Notification) -> None:
        """Queue a notice; returns at once."""
        if not self._recipients:
            return
        try:
            self._notices.put_nowait(notice)
        except queue.Full:
            events.warn(f"too many notices are waiting for a slow recipient; dropped this one: {notice.text}")

    def close(self, within_s: float = LAST_WORDS_S) -> None:
        """Wait this long for queued notices; the rest are dropped."""
        if not self._thread.is_alive():
            return
        until = time.monotonic() + within_s
        with contextlib.suppress(queue.Full):
            self._notices.put(None, timeout=within_s)
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            self._over.set()
            events.warn(f"gave up notifying {', '.join(map(str, self._recipients))} after {within_s:.0f} s")

    def _work(self) -> None:
        while (notice := self._notices.get()) is not None:
            for recipient in self._recipients:
                if self._over.is_set():
                    return
                try:
                    send(recipient, notice, pause=self._over.wait)
                except Failed as error:
                    events.warn(error.what)


def _body(notice: Notification) -> dict[str, object]:
    return {**notice.data, "text": notice.text, "event": notice.event, "cluster": notice.cluster, "at": notice.when}


def _environment(notice: Notification) -> dict[str, str]:
    return program.environment(
        {
            "ASGARD_TEXT": notice.text,
            "ASGARD_EVENT": notice.event,
            "ASGARD_CLUSTER": notice.cluster,
            "ASGARD_AT": notice.when,
        }
    )
