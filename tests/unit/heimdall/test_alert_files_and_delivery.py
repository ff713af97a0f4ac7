"""heimdall.yaml with every mistake at its place, a team's own file, and notifications that are tried again by themselves."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from asgard.core.errors import InvalidFile
from asgard.heimdall import settings
from asgard.heimdall.alerts import deliver, store, tables
from asgard.heimdall.alerts.model import AlertRule, Receiver, Seen, Subscription
from asgard.heimdall.alerts.tables import open_alerts
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
        first = store.check(database, given, seen(1000.0, LATE))
        again = store.check(database, given, seen(1001.0, LATE))
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
        store.check(database, given, seen(2000.0, ()))
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


def test_an_event_is_written_once_however_often_it_is_sent(tmp_path, monkeypatch):
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    body = {"kind": "heimdall.alert.raised", "subject": "g", "id": "late/g/1", "data": {"text": "x"}}
    with open_journal() as journal:
        for _ in range(3):
            deliver.record(journal, body)
        assert len(events.read(journal, events.EventFilter(kind="heimdall.alert.raised"))) == 1


def test_volumes_are_kept_once_in_ten_minutes_for_their_trend(url):
    def brokers(used: int) -> list[Broker]:
        return [Broker(1, log_dirs=(LogDir("/d1", 1000, used),)), Broker(2, log_dirs=(LogDir("/d1"),))]

    with open_alerts(url) as database:
        for at, used in ((6000, 10), (6100, 11), (6600, 20), (7200, 30), (7300, 33)):
            found = store.disks(database, "c1", brokers(used), float(at))
    assert {name: [(v.at, v.used_bytes) for v in samples] for name, samples in found.items()} == {
        "broker 1 /d1": [(6000.0, 10), (6600.0, 20), (7300.0, 33)]
    }
