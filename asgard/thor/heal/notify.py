"""Tells people what Thor does: web hooks and commands, with tries and time limits, never in the way of a healing.

A web hook gets a POST with JSON: `text` (a sentence, where chat services look for it), `event`, `cluster`, `at` (UTC) and what
belongs to the event. A command finds the same in its environment: ASGARD_TEXT, ASGARD_EVENT, ASGARD_CLUSTER, ASGARD_AT.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from asgard.core import paths
from asgard.core.errors import Failed
from asgard.thor.heal.policy import Recipient
from asgard.thor.recipes import program

WAITING = 100
"""Notices that wait for a slow recipient; further ones are dropped, and that is said."""
LAST_WORDS_S = 30.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
_READ_BYTES = 1024


@dataclass(frozen=True)
class Notice:
    """What is told: the event's kind, of which cluster, a sentence, when (seconds since 1970), and what belongs to it."""

    event: str
    cluster: str
    text: str
    at: float
    data: Mapping[str, object] = field(default_factory=dict)

    @property
    def when(self) -> str:
        """UTC."""
        return datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def send(recipient: Recipient, notice: Notice, *, pause: Callable[[float], object] = time.sleep) -> None:
    """Tell one recipient, trying again as its policy says. Raises Failed with the last reason."""
    for attempt in range(recipient.retries + 1):
        try:
            if recipient.webhook is not None:
                _post(recipient.webhook, notice, recipient.timeout_s)
            else:
                program.run(recipient.command, _environment(notice), recipient.timeout_s)
            return
        except _Refused as refused:
            raise Failed(f"{recipient} does not take the notice: {refused.what}", refused.hint) from None
        except Failed as error:
            if attempt == recipient.retries:
                tries = f" ({attempt + 1} tries)" if attempt else ""
                raise Failed(f"{recipient} was not told{tries}: {error.what}", error.hint) from error
        pause(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt))


class Notifier:
    """Tells all recipients from a thread of its own; `complain` hears of those that could not be told. A context manager."""

    def __init__(self, recipients: Collection[Recipient], complain: Callable[[str], None]) -> None:
        self._recipients = tuple(recipients)
        self._complain = complain
        self._notices: queue.Queue[Notice | None] = queue.Queue(WAITING)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="notify", daemon=True)
        if self._recipients:
            self._thread.start()

    def __enter__(self) -> Notifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tell(self, notice: Notice) -> None:
        """Queue a notice; returns at once."""
        if not self._recipients:
            return
        try:
            self._notices.put_nowait(notice)
        except queue.Full:
            self._complain(f"too many notices wait for a slow recipient; this one is dropped: {notice.text}")

    def close(self, within_s: float = LAST_WORDS_S) -> None:
        """Wait so long for what is queued; what is not told by then is dropped."""
        if not self._thread.is_alive():
            return
        until = time.monotonic() + within_s
        with contextlib.suppress(queue.Full):
            self._notices.put(None, timeout=within_s)
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            self._over.set()
            self._complain(f"gave up telling {', '.join(map(str, self._recipients))} after {within_s:.0f} s")

    def _work(self) -> None:
        while (notice := self._notices.get()) is not None:
            for recipient in self._recipients:
                if self._over.is_set():
                    return
                try:
                    send(recipient, notice, pause=self._over.wait)
                except Failed as error:
                    self._complain(error.what)


class _Refused(Failed):
    """Trying again would not help."""


def _post(url: str, notice: Notice, timeout_s: float) -> None:
    body = {**notice.data, "text": notice.text, "event": notice.event, "cluster": notice.cluster, "at": notice.when}
    request = urllib.request.Request(
        url,
        json.dumps(body, ensure_ascii=False).encode(),
        {"Content-Type": "application/json; charset=utf-8", "User-Agent": "asgard"},
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            answer.read(_READ_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            error.read(_READ_BYTES)
        passing = error.code >= 500 or error.code in (408, 429)
        raise (Failed if passing else _Refused)(f"it answered {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise Failed(str(reason) or type(error).__name__) from None


def _environment(notice: Notice) -> dict[str, str]:
    return {
        "PATH": program.PATH,
        "LANG": "C.UTF-8",
        "ASGARD_HOME": str(paths.home()),
        "ASGARD_TEXT": notice.text,
        "ASGARD_EVENT": notice.event,
        "ASGARD_CLUSTER": notice.cluster,
        "ASGARD_AT": notice.when,
    }
