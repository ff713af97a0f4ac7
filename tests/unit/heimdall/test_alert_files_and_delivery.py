"""heimdall.yaml with every mistake at its place, a team's own file, and notifications that are tried again by themselves."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import pytest
import sqlalchemy as sa

from asgard.cli.command import Which
from asgard.cli.heimdall import alerts as cli_alerts
from asgard.compose import heimdall as composed
from asgard.compose.heimdall import ClusterWatch
from asgard.core import outbox
from asgard.core.database import open_database
from asgard.core.errors import AsgardError, Failed, InvalidFile
from asgard.core.post import BadMessage, Denied, post
from asgard.heimdall import settings
from asgard.heimdall.alerts import deliver, store, tables
from asgard.heimdall.alerts.model import AlertRule, Receiver, Seen, Subscription
from asgard.heimdall.alerts.tables import open_alerts
from asgard.heimdall.store import writer
from asgard.heimdall.store.read import ClusterStore
from asgard.heimdall.store.tables import open_store
from asgard.journal import events
from asgard.journal.store.database import open_journal
from asgard.kafka.model import Broker, LogDir
from tests.harness.heimdall_days import OWNERS, group_lag

DOCS = Path(__file__).parents[3] / "docs" / "heimdall-alerts.md"


def load(tmp_path: Path, text: str, team: str = "") -> settings.HeimdallSettings:
    (tmp_path / "heimdall.yaml").write_text(text)
    if team:
        (tmp_path / "heimdall.d").mkdir(exist_ok=True)
        (tmp_path / "heimdall.d" / "payments.yaml").write_text(team)
    return settings.load(tmp_path / "heimdall.yaml")


def test_the_files_of_the_docs_are_sound(tmp_path):
    whole, team = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    found = load(tmp_path, whole, team)
    assert [r.kind for r in found.rules][:3] == ["time-lag", "time-lag", "data-loss"] and len(found.rules) == 9
    assert {r.kind for r in found.rules} == set(re.findall(r"^\| `([a-z-]+)` \| (?:each|the)", DOCS.read_text(), re.M))
    assert found.rules[0].above == 300.0 and found.rules[0].for_s == 120.0 and found.rules[5].silent_in_drills
    assert [s.receiver for s in found.subscriptions] == ["ops", "on-call", "mail", "payments/pager"]
    assert found.owners.of_topic("orders.created") == "team-orders" and found.owners.of_group("other") == "unassigned"
    assert found.mail is not None and found.mail.sender == "kafka@example.org"
    assert settings.load(None).rules == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rules: [{name: a, when: data-loss, above: 5m}]", r":1:43: rules\[0\].above: says nothing for data-loss; meant is within"),
        ("rules: [{name: a, when: time-lag, within: 5m}]", r"rules\[0\].within: says nothing for time-lag; meant is above"),
        ("rules: [{name: a, when: time-lag, above: 5}]", r"rules\[0\].above: is 5, without a unit"),
        ("rules: [{name: a, when: audit-loss, above: 5m}]", r"above: is '5m'; allowed is a whole number"),
        ("rules: [{name: a, when: late}]", r":1:25: rules\[0\].when: is 'late'; allowed is time-lag"),
        ("rules: [{name: a, when: canary}, {name: a, when: canary}]", r"rules\[1\].name: is a, as one before it"),
        ("rule: []", r"rule: is not a known key; did you mean rules"),
        ("receivers: [{name: a, kind: slack}]", r"receivers\[0\]: is of kind slack and needs url or url_file"),
        ("receivers: [{name: a, kind: slack, url: 'ftp://secret'}]", r"url: is not the address of a web hook"),
        ("receivers: [{name: a, kind: command, command: [/bin/x], url: 'http://x'}]", r"url: says nothing for kind command"),
        ("receivers: [{name: a, kind: email, to: [x@y]}]", r"has receivers of kind email and no mail"),
        ("subscriptions: [{receiver: ops}]", r":1:28: subscriptions\[0\].receiver: is ops; receivers of this file are none yet"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(tmp_path, text, problem):
    with pytest.raises(InvalidFile) as refused:
        load(tmp_path, text + "\n")
    assert re.search(problem, str(refused.value)), str(refused.value)


def test_a_teams_file_adds_receivers_and_nothing_else(tmp_path):
    with pytest.raises(InvalidFile, match=r"payments\.yaml:1:1: rules: is not a known key"):
        load(tmp_path, "rules: []\n", "rules: []\n")


class Hooks:
    """A web server that notes what it gets, and refuses paths in `broken`."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Any]] = []
        self.broken: set[str] = set()


@pytest.fixture
def hooks() -> Iterator[tuple[Hooks, str]]:
    found = Hooks()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.got.append((self.path, body))
            self.send_response(503 if self.path in found.broken else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


RULES = (AlertRule("late", "time-lag", severity="critical"),)
LATE = (group_lag("orders-api", "slow", lag=9, time_lag_s=900.0),)


def seen(at: float, groups: Any) -> Seen:
    return Seen(at, "c1", "orders", groups)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: Any, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'alerts.db'}"
    return str(request.getfixturevalue("postgres_server").database())


def test_each_is_told_once_and_one_that_fails_holds_up_nobody(tmp_path, monkeypatch, hooks, url):
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    server, address = hooks
    (tmp_path / "key").write_text("secret-key\n")
    (tmp_path / "url").write_text(f"{address}/slack/secret-token\n")
    out = tmp_path / "told"
    script = tmp_path / "tell"
    script.write_text(f'#!/bin/sh\necho "$ASGARD_EVENT $ASGARD_LABEL_OWNER" >> {out}\n')
    script.chmod(0o700)
    receivers = [
        Receiver("slack", "slack", url_file=str(tmp_path / "url")),
        Receiver("hook", "webhook", url=f"{address}/hook"),
        Receiver("pager", "pagerduty", url=f"{address}/pager", key_file=str(tmp_path / "key")),
        Receiver("manager", "alertmanager", url=f"{address}/am"),
        Receiver("program", "command", command=(str(script),)),
        Receiver("lost", "pagerduty", key_file=str(tmp_path / "none")),
    ]
    wanted = [Subscription(r.name) for r in receivers] + [Subscription("hook", {"owner": ("nobody",)})]
    given = settings.HeimdallSettings(
        owners=OWNERS, rules=RULES, receivers=tuple(receivers), subscriptions=tuple(wanted)
    )
    server.broken = {"/slack/secret-token"}
    with open_alerts(url) as database, open_journal() as journal:
        began = database.time()
        first = store.check(database, given, seen(began, LATE))
        again = store.check(database, given, seen(began + 1, LATE))
        assert [c.what for c in first.transitions] == ["raised"] and not again.transitions

        def due_now() -> None:
            with database.write() as connection:
                connection.execute(sa.update(tables.notifications).values(next_at=0.0))

        due_now()
        assert deliver.deliver(database, "c1", receivers, None, journal) == {"sent": 5, "later": 2, "failed": 0}
        assert deliver.deliver(database, "c1", receivers, None, journal) == {"sent": 0, "later": 0, "failed": 0}
        rows = {row.receiver: row for row in store.notifications(database, "c1")}
        assert {name for name, row in rows.items() if row.state == "sent"} == {
            "hook",
            "pager",
            "manager",
            "program",
            "journal",
        }
        assert rows["slack"].error.startswith("it answered 503") and "can't be read" in rows["lost"].error
        assert "secret" not in "".join(str(row) for row in rows.values()).replace(str(tmp_path), "")
        server.broken = set()
        due_now()
        assert deliver.deliver(database, "c1", receivers, None, journal) == {"sent": 1, "later": 1, "failed": 0}
        store.check(database, given, seen(began + 1000, ()))
        due_now()
        deliver.deliver(database, "c1", receivers, None, journal)
        told = events.read(journal, events.EventFilter(kind="heimdall.alert.*"))
    got: dict[str, list[Any]] = {}
    for path, body in server.got:
        got.setdefault(path, []).append(body)
    assert [b["event_action"] for b in got["/pager"]] == ["trigger", "resolve"] and got["/pager"][0][
        "routing_key"
    ] == "secret-key"
    assert [b["alerts"][0]["state"] for b in got["/hook"]] == ["raised", "cleared"]
    assert len(got["/slack/secret-token"]) == 3 and len(got["/am/api/v2/alerts"]) == 2
    assert out.read_text().split("\n")[:2] == [
        "heimdall.alert.raised team-orders",
        "heimdall.alert.cleared team-orders",
    ]
    assert [(e.kind, e.data["group"], e.data["topic"]) for e in told] == [
        ("heimdall.alert.raised", "orders-api", "orders.created"),
        ("heimdall.alert.cleared", "orders-api", "orders.created"),
    ]


class Pager:
    """Alerts about replicas that go to PagerDuty and to a web hook, by a clock of its own; `wrong` is what PagerDuty answers."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        (tmp_path / "key").write_text("key")
        self.now, self.wrong, self.got = 1000.0, dict[str, AsgardError](), list[str]()
        receivers = (
            Receiver("pager", "pagerduty", key_file=str(tmp_path / "key")),
            Receiver("hook", "webhook", url="h"),
        )
        rules = (AlertRule("replicas", "under-replicated"), AlertRule("late", "time-lag"))
        self.given = settings.HeimdallSettings(
            rules=rules, receivers=receivers, subscriptions=(Subscription("pager"), Subscription("hook"))
        )
        self.database = open_database(tables.SCHEMA, url, clock=lambda: self.now)
        monkeypatch.setattr(deliver, "post", self._post)
        monkeypatch.setattr(deliver, "record", lambda journal, body: None)

    def _post(self, url: str, body: Any, timeout_s: float) -> None:
        said = body["event_action"] if url == deliver.PAGERDUTY else body["alerts"][0]["state"]
        if url == deliver.PAGERDUTY and said in self.wrong:
            raise self.wrong[said]
        self.got.append(said)

    def look(self, at: float, under: int) -> dict[str, int]:
        self.now = 1000.0 + at
        store.check(self.database, self.given, Seen(self.now, "c1", "c", under_replicated=under, offline=0))
        return deliver.deliver(self.database, "c1", self.given.receivers, None, None)  # type: ignore[arg-type]

    def rows(self) -> list[tuple[str, int]]:
        """State and attempts of what is for PagerDuty, the oldest first."""
        found = store.notifications(self.database, "c1")[::-1]
        return [(row.state, row.attempts) for row in found if row.receiver == "pager"]


@pytest.fixture
def pager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pager]:
    pager = Pager(tmp_path, monkeypatch, f"sqlite:///{tmp_path / 'alerts.db'}")
    with pager.database:
        yield pager


def test_the_news_that_an_alert_is_cleared_never_overtakes_that_it_is_raised(pager):
    pager.wrong = {"trigger": Failed("it answered 503")}
    assert pager.look(0, 5) == {"sent": 2, "later": 1, "failed": 0}
    pager.wrong = {}
    assert pager.look(10, 0) == {"sent": 2, "later": 0, "failed": 0}, "the other receivers don't wait"
    assert pager.got == ["raised", "cleared"]
    assert pager.look(40, 0) == {"sent": 2, "later": 0, "failed": 0}
    assert pager.got[2:] == ["trigger", "resolve"]


def test_a_message_that_is_refused_is_given_up_and_the_next_one_is_sent(pager):
    pager.wrong = {"trigger": BadMessage("it answered 400"), "resolve": Denied("it answered 403")}
    pager.look(0, 5)
    pager.look(10, 0)
    assert pager.rows() == [("failed", 1), ("waiting", 1)], "a key that is refused may be put right"


@pytest.mark.parametrize(
    ("code", "kind"), [(400, BadMessage), (422, BadMessage), (401, Denied), (404, Denied), (429, Failed), (503, Failed)]
)
def test_what_a_web_hook_refuses_is_the_message_or_the_sender(monkeypatch, code, kind):
    def refused(*_: object, **__: object) -> None:
        raise HTTPError("http://x", code, "no", Message(), BytesIO())

    monkeypatch.setattr("urllib.request.urlopen", refused)
    with pytest.raises(Failed) as error:
        post("http://x", {}, 1.0)
    assert type(error.value) is kind


def test_a_message_that_can_not_be_made_does_not_hold_up_the_next_one(pager, monkeypatch):
    def record(journal: Any, body: Any) -> None:
        if body["kind"].endswith("raised"):
            raise ValueError("its data names a secret")

    monkeypatch.setattr(deliver, "record", record)
    assert pager.look(0, 5) == {"sent": 2, "later": 0, "failed": 1}
    assert pager.look(10, 0) == {"sent": 3, "later": 0, "failed": 0}


def test_a_receiver_that_stays_away_is_tried_every_ten_minutes_and_gathers_messages_of_a_day(pager):
    pager.wrong = dict.fromkeys(("trigger", "resolve"), Failed("no connection"))
    tried = [at for at in range(0, 4 * 3600, 10) if pager.look(at, 5)["later"]]
    assert tried[:6] == [0, 30, 90, 210, 450, 930] and tried[7] - tried[6] == outbox.LONGEST_PAUSE_S
    pager.look(4 * 3600, 0)
    assert [state for state, _ in pager.rows()] == ["waiting"] * 2
    for at in (30 * 3600, 30 * 3600 + 10, 30 * 3600 + 20):
        pager.look(at, 0)
    assert [state for state, _ in pager.rows()] == ["failed"] * 2


def test_no_receiver_waits_because_another_has_many_messages(pager, monkeypatch):
    monkeypatch.setattr(outbox, "MOST", 2)
    pager.wrong = {"trigger": Failed("no connection")}
    for n in range(5):
        pager.look(n * 5, 5 * (n % 2 == 0))
    assert pager.got == ["raised", "cleared"] * 2 + ["raised"] and len(pager.rows()) == 5
    pager.wrong = {}
    assert pager.look(60, 5)["sent"] == 2, "two of a receiver in a round"


def test_an_event_is_written_once_however_often_it_is_sent(tmp_path, monkeypatch):
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    body = {"kind": "heimdall.alert.raised", "subject": "g", "id": "late/g/1", "data": {"text": "x"}}
    with open_journal() as journal:
        for _ in range(3):
            deliver.record(journal, body)
        assert len(events.read(journal, events.EventFilter(kind="heimdall.alert.raised"))) == 1


def test_a_check_from_cron_prunes_what_it_keeps(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    (tmp_path / "heimdall.yaml").write_text("rules: [{name: late, when: time-lag}]\n")
    long_ago = 1_000_000.0

    class Watch(ClusterWatch):
        def look(self) -> Any:
            self.evaluation = store.check(self.alerts, self.settings, seen(self.alerts.time(), LATE))

    @contextmanager
    def watching(target: Any, given: settings.HeimdallSettings) -> Iterator[Watch]:
        with open_store() as samples, open_alerts() as alerts:
            with samples.write() as connection:
                number = writer.cluster(connection, "c1")
                writer.add_hours(connection, number, {int(long_ago): {"t_id": np.array([1])}})
            store.check(alerts, given, seen(long_ago, LATE))
            with alerts.write() as connection:
                connection.execute(sa.update(tables.notifications).values(state="sent"))
            yield Watch(target, given, None, samples, alerts, None)  # type: ignore[arg-type]
            assert not ClusterStore(samples, "c1").counted_hours(0, long_ago * 2)
            assert not store.notifications(alerts, "c1")

    monkeypatch.setattr(composed, "watching", watching)
    monkeypatch.setattr(Which, "pick", lambda self: None)
    assert cli_alerts.check(once=True, settings=tmp_path / "heimdall.yaml") == 1


def test_volumes_are_kept_once_in_ten_minutes_for_their_trend(url):
    def brokers(used: int) -> list[Broker]:
        return [Broker(1, log_dirs=(LogDir("/d1", 1000, used),)), Broker(2, log_dirs=(LogDir("/d1"),))]

    with open_alerts(url) as database:
        for at, used in ((6000, 10), (6100, 11), (6600, 20), (7200, 30), (7300, 33)):
            found = store.disks(database, "c1", brokers(used), float(at))
    assert {name: [(v.at, v.used_bytes) for v in samples] for name, samples in found.items()} == {
        "broker 1 /d1": [(6000.0, 10), (6600.0, 20), (7300.0, 33)]
    }
