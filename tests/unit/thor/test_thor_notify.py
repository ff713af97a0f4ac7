"""Whom Thor tells: web hooks and commands that are slow, down, or say no."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from asgard.core import events
from asgard.core.errors import Failed
from asgard.thor.heal.notify import Notification, Notifier, send
from asgard.thor.heal.policy import Recipient

NOTICE = Notification("thor.heal.finished", "orders", "broker 3 is healed", 1_795_510_800, {"brokers": [3]})


class Hook:
    """A web hook that answers with these codes, one after the other, then with 200."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.got: list[dict[str, object]] = []
        self.hold = threading.Event()
        self.hold.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.hold.wait(10)
                outer.got.append(body)
                self.send_response(outer.codes.pop(0) if outer.codes else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/services/T0/B0"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.hold.set()
    made.server.shutdown()
    made.server.server_close()


def test_a_web_hook_gets_a_sentence_and_what_belongs_to_it(hook: Hook) -> None:
    send(Recipient(hook.url), NOTICE)
    assert hook.got == [
        {
            "text": "broker 3 is healed",
            "event": "thor.heal.finished",
            "cluster": "orders",
            "at": "2026-11-24T09:00:00Z",
            "brokers": [3],
        }
    ]


def test_a_hook_that_is_down_for_a_moment_is_told_later(hook: Hook) -> None:
    hook.codes = [503, 429]
    taken: list[float] = []
    send(Recipient(hook.url), NOTICE, pause=taken.append)
    assert len(hook.got) == 3
    assert taken == [0.5, 1.0]


def test_a_hook_that_says_no_is_not_asked_again_and_its_address_is_not_shown(hook: Hook) -> None:
    hook.codes = [404]
    with pytest.raises(Failed, match=r"^http://127.0.0.1:\d+ rejected the notice: it answered 404 Not Found$"):
        send(Recipient(hook.url), NOTICE)
    assert len(hook.got) == 1


def test_a_hook_that_is_not_there_is_given_up_after_its_tries() -> None:
    taken: list[float] = []
    with pytest.raises(Failed, match=r"was not notified \(3 tries\): .*[Cc]onnection refused"):
        send(Recipient("http://127.0.0.1:9/x", retries=2), NOTICE, pause=taken.append)
    assert len(taken) == 2


def test_a_command_finds_the_notice_in_its_environment(tmp_path: Path) -> None:
    out = tmp_path / "out"
    send(Recipient(command=("/bin/sh", "-c", f'echo "$ASGARD_CLUSTER: $ASGARD_TEXT ($ASGARD_EVENT)" > {out}')), NOTICE)
    assert out.read_text() == "orders: broker 3 is healed (thor.heal.finished)\n"


def test_a_command_that_hangs_is_killed_and_tried_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = f"echo tried >> {out}; sleep 60"
    with pytest.raises(Failed, match=r"/bin/sh was not notified \(2 tries\): .* was killed"):
        send(Recipient(command=("/bin/sh", "-c", script), timeout_s=0.2, retries=1), NOTICE, pause=lambda _: None)
    assert out.read_text() == "tried\ntried\n"


def heard(complaints: list[str]) -> AbstractContextManager[None]:
    """Warnings of the block, also those of its threads."""
    return events.listening(lambda event: complaints.append(event.text))


def test_telling_does_not_wait_for_a_slow_hook_and_closing_waits_a_while(hook: Hook) -> None:
    hook.hold.clear()
    complaints: list[str] = []
    with heard(complaints):
        notifier = Notifier([Recipient(hook.url)])
        notifier.tell(NOTICE)
        assert hook.got == []
        hook.hold.set()
        notifier.close()
    assert len(hook.got) == 1
    assert complaints == []


def test_closing_gives_up_on_a_hook_that_does_not_answer(hook: Hook) -> None:
    hook.hold.clear()
    complaints: list[str] = []
    with heard(complaints):
        notifier = Notifier([Recipient(hook.url)])
        notifier.tell(NOTICE)
        notifier.close(within_s=0.2)
    assert complaints == [f"gave up notifying {hook.url[: hook.url.index('/services')]} after 0 s"]


def test_one_recipient_that_fails_does_not_keep_the_others_from_hearing(hook: Hook) -> None:
    complaints: list[str] = []
    recipients = [Recipient(command=("/no/such/program",), retries=0), Recipient(hook.url)]
    with heard(complaints), Notifier(recipients) as notifier:
        notifier.tell(NOTICE)
    assert len(hook.got) == 1
    assert complaints == ["/no/such/program was not notified: /no/such/program can't be run: No such file or directory"]


def test_without_recipients_nothing_runs() -> None:
    before = threading.active_count()
    with Notifier([]) as notifier:
        notifier.tell(NOTICE)
        assert threading.active_count() == before
