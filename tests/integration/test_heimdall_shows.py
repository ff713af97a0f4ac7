"""The daily report, alerts and served pages of a real cluster: what was written is what they show."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from asgard.cli.main import main
from asgard.compose import heimdall
from asgard.compose.heimdall_web import WatchSource
from asgard.heimdall import settings as reading
from asgard.heimdall.web.app import create_app
from asgard.journal import events
from asgard.kafka import target
from asgard.kafka.admin import connect
from asgard.kafka.data import Record, Writer
from asgard.kafka.model import NewTopic
from tests.harness import RealCluster

pytestmark = pytest.mark.kafka
RULES = """
owners: [{{owner: team-a, topics: ["{topic}*"], groups: ["{topic}*"]}}]
rules:
  - {{name: expires, when: data-loss, groups: ["{topic}*"], within: 2h, severity: critical}}
  - {{name: replicas, when: under-replicated}}
"""


def test_a_real_cluster_is_reported_watched_and_served(
    plain_broker: RealCluster, topic_name: str, own_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = f"{topic_name}-reader"
    hour = 3_600_000
    with connect(plain_broker.connection) as control:
        control.create_topics([NewTopic(topic_name, 2, 1, {"retention.ms": str(3 * hour)})])
        now_ms = int(time.time() * 1000)
        with Writer(plain_broker.connection) as writer:
            for n in range(120):
                at = now_ms - (2 * hour if n < 20 else 1000)
                writer.send(Record(topic_name, b"x" * 100, partition=n % 2, timestamp_ms=at))
        control.commit_offsets(group, {(topic_name, 0): 0, (topic_name, 1): 60})
    rules = tmp_path / "heimdall.yaml"
    rules.write_text(RULES.format(topic=topic_name))
    where = ["--bootstrap-server", plain_broker.bootstrap_servers]

    main(["heimdall", "report", "--date", "today", "--out", str(tmp_path / "day"), "--settings", str(rules), *where])
    capsys.readouterr()
    document = json.loads((tmp_path / "day" / "report.json").read_text())
    mine = next(t for t in document["topics"] if t["topic"] == topic_name)
    expected = 120 if time.gmtime().tm_hour >= 2 else 100
    assert (mine["records"], mine["owner"]) == (expected, "team-a")
    assert next(g for g in document["groups"] if g["group"] == group)["loses_data_in_s"] < 3700

    assert main(["heimdall", "alerts", "check", "--once", "--settings", str(rules), "--json", *where]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [(s["rule"], s["subject"], s["labels"]["owner"]) for s in told["raised"]] == [("expires", group, "team-a")]

    with heimdall.watching(target.pick(None, plain_broker.bootstrap_servers), reading.load(rules)) as watch:
        watch.look()
        assert watch.evaluation is not None and not watch.evaluation.transitions, "raised once"
        found = events.read(watch.journal, events.EventFilter(kind="heimdall.alert.raised", subject=group))
        assert [e.data["topic"] for e in found] == [topic_name]
        client = create_app(WatchSource(watch), now=time.time).test_client()
        assert topic_name in client.get(f"/topics?q={topic_name}").get_data(as_text=True)
        page = client.get(f"/groups/{group}").get_data(as_text=True)
        assert "Data expires in" in page and client.get("/healthz").status_code == 200
        metrics = client.get("/metrics").get_data(as_text=True)
        assert f'kafka_consumergroup_lag{{consumergroup="{group}",partition="0",topic="{topic_name}"}} 60.0' in metrics
        assert client.get(f"/api/topics/{topic_name}").get_json()["records"] == 120
        with connect(plain_broker.connection) as control:
            control.commit_offsets(group, {(topic_name, 0): 60, (topic_name, 1): 60})
        watch.look()
        assert [c.what for c in watch.evaluation.transitions] == ["cleared"]


def test_the_terminal_shows_the_figures_of_the_lag_command(
    plain_broker: RealCluster, topic_name: str, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import asyncio

    from textual.widgets import DataTable, Static

    from asgard.compose import heimdall_top
    from asgard.heimdall.top.app import Top

    group = f"{topic_name}-late"
    with connect(plain_broker.connection) as control:
        control.create_topics([NewTopic(topic_name, 1, 1)])
        with Writer(plain_broker.connection) as writer:
            for n in range(30):
                writer.send(Record(topic_name, b"%d" % n, partition=0, timestamp_ms=int(time.time() * 1000) - 3_600_000))  # fmt: skip
        control.commit_offsets(group, {(topic_name, 0): 7})
    where = ["--bootstrap-server", plain_broker.bootstrap_servers]
    assert main(["heimdall", "lag", group, "--json", "--apart", "200ms", *where]) == 1
    (told,) = json.loads(capsys.readouterr().out)["groups"]
    assert told["lag"] == 23
    seen: list[str] = []

    async def look() -> None:
        with heimdall_top.feeding(
            target.pick(None, plain_broker.bootstrap_servers), reading.HeimdallSettings(), 1.0
        ) as feed:
            app = Top(feed, "plain")
            async with app.run_test(size=(160, 40)) as pilot:
                await pilot.press("3", "slash", *group, "enter")
                while feed.known is None or group not in feed.known.picture.groups:
                    await pilot.pause(0.1)
                await pilot.pause(0.5)
                table = app.query_one("#table", DataTable)
                seen.extend(cell.plain for cell in table.get_row_at(0))
                await pilot.press("escape", "2", "slash", *topic_name, "enter", "enter")
                await pilot.pause(0.5)
                seen.append(str(app.query_one("#heading", Static).render()))

    asyncio.run(asyncio.wait_for(look(), 60))
    assert (seen[0], seen[2], seen[4]) == (group, told["status"], "23")
    assert seen[3].startswith("1 h") and told["time_lag_s"] >= 3600
    assert seen[-1].startswith(f"topic {topic_name}") and "held 30 records" in seen[-1]


def test_without_a_cluster_the_terminal_view_is_a_sentence(monkeypatch: pytest.MonkeyPatch, own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    import sys

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert main(["heimdall", "top", "--bootstrap-server", "127.0.0.1:1"]) == 3
    err = capsys.readouterr().err
    assert "127.0.0.1:1" in err and "Traceback" not in err
