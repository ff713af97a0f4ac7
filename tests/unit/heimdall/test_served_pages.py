"""The served pages with Flask's own client: what they show, the token, metrics within their bound, and the API as OpenAPI describes it."""

from __future__ import annotations

import json
import re
import socket
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from asgard.compose import listening
from asgard.core.errors import Failed, WrongUsage
from asgard.heimdall import grafana, metrics
from asgard.heimdall.alerts.model import AlertRule
from asgard.heimdall.web.app import create_app
from tests.harness.heimdall_days import OWNERS
from tests.harness.heimdall_site import NOW, Site, picture

TOKEN = "a-long-enough-token"


def client(site: Site | None = None, token: str | None = None) -> Any:
    return create_app(site or Site(), token=token, now=lambda: NOW + 5).test_client()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", ["Trouble", "broker 2 killed", "clickstream", "under-replicated"]),
        ("/topics", ["orders.created", "team-orders", "1 h 30 m"]),
        ("/topics?q=payments", ["payments.settled"]),
        ("/topics/orders.created?range=24h", ["Records that arrive", "Partitions", "orders-api"]),
        ("/groups", ["clickstream", "stalled", "7 h 30 m"]),
        ("/groups/clickstream", ["Stalled".lower(), "Its worst partitions", "Deleted unread"]),
        ("/brokers", ["fenced", "rack-b"]),
        ("/incidents", ["Drill broker-loss", "Thor heals"]),
        ("/daily?date=2026-11-26&tz=Europe/Berlin", ["2 topics have gaps", "payments.refunds"]),
    ],
)
def test_pages_show_what_is_known(path, words):
    answer = client().get(path)
    text = answer.get_data(as_text=True)
    assert answer.status_code == 200 and answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert [word for word in words if word.lower() not in text.lower()] == []
    assert "<nav" in text


def test_a_search_leaves_the_rest_out_and_is_in_the_address_that_is_fetched_again():
    text = client().get("/topics?q=pay+settled").get_data(as_text=True)
    assert "payments.settled" in text and "orders.created" not in text
    live = re.search(r'data-live="([^"]+)"', text)[1].replace("&amp;", "&")
    part = client().get(live).get_data(as_text=True)
    assert "payments.settled" in part and "orders.created" not in part and "<html" not in part


def test_what_is_not_there_is_404_and_before_the_first_look_it_is_said():
    assert client().get("/topics/none").status_code == client().get("/groups/none").status_code == 404
    waiting = Site(None, problem="no broker answers")
    assert "no broker answers" in client(waiting).get("/topics").get_data(as_text=True)
    assert [client(waiting).get(p).status_code for p in ("/metrics", "/healthz", "/api/topics")] == [503] * 3


def test_a_wrong_day_is_a_sentence():
    text = client().get("/daily?date=never&tz=UTC").get_data(as_text=True)
    assert "allowed is a date" in text
    assert client().get("/api/daily?tz=Mars").get_json() == {"error": "there is no time zone 'Mars'"}


def test_health():
    assert client().get("/healthz").get_json() == {"healthy": True, "looked_s_ago": 5.0, "problem": None}
    assert client(Site(problem="gone")).get("/healthz").status_code == 503


def test_without_a_token_only_this_machines_names_are_answered():
    assert client().get("/", headers={"Host": "evil.example"}).status_code == 400
    assert client().get("/", headers={"Host": "localhost:8090"}).status_code == 200


def test_a_token_opens_by_header_and_by_login():
    asked = client(token=TOKEN)
    assert asked.get("/").headers["Location"] == "/login" and asked.get("/healthz").status_code == 200
    assert [asked.get(p).status_code for p in ("/metrics", "/api/topics", "/?part=1")] == [401] * 3
    assert asked.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert asked.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert asked.post("/login", data={"token": "wrong"}).status_code == 401
    assert asked.get("/topics").status_code == 302
    entered = asked.post("/login", data={"token": TOKEN})
    assert "HttpOnly" in entered.headers["Set-Cookie"] and TOKEN not in entered.headers["Set-Cookie"]
    assert asked.get("/topics").status_code == 200


def test_metrics_are_read_by_prometheus_and_say_what_was_seen():
    body = client().get("/metrics").get_data(as_text=True)
    found = {f.name: f for f in text_string_to_metric_families(body)}
    samples = {(s.name, *sorted(s.labels.values())): s.value for f in found.values() for s in f.samples}
    assert samples["kafka_brokers",] == 2 and samples["asgard_cluster_under_replicated_partitions",] == 1
    assert samples["kafka_consumergroup_lag", "0", "orders-api", "orders.created"] == 40
    assert samples["kminion_kafka_consumer_group_topic_lag", "orders-api", "orders.created"] == 80
    assert samples["kafka_topic_partition_current_offset", "0", "orders.created"] == 1000
    assert samples["asgard_group_time_lag_seconds", "clickstream", "team-web"] == 5400
    assert found["asgard_metrics_series_dropped"].samples == []
    during = create_app(Site(), now=lambda: NOW - 3 * 3600 + 100).test_client().get("/metrics").get_data(as_text=True)
    assert 'asgard_happening{kind="fault"} 2.0' in during and 'asgard_happening{kind="drill"} 1.0' in during
    assert 'asgard_happening{kind="fault"} 0.0' in body, "it is over since"


@pytest.mark.parametrize("most", [100, 17, 1])
def test_series_are_bounded_and_what_is_left_out_is_counted(most):
    whole = list(text_string_to_metric_families(metrics.text(picture(), OWNERS, [], max_series=10**6).decode()))
    some = list(text_string_to_metric_families(metrics.text(picture(), OWNERS, [], max_series=most).decode()))
    every = sum(len(f.samples) for f in whole)
    kept = sum(len(f.samples) for f in some if f.name != "asgard_metrics_series_dropped")
    dropped = sum(s.value for f in some if f.name == "asgard_metrics_series_dropped" for s in f.samples)
    assert kept == min(most, every) and kept + dropped == every
    assert not any(f.name == "kafka_consumergroup_lag" for f in metrics_without_partitions()), (
        "and partitions can be left out"
    )


def metrics_without_partitions() -> list[Any]:
    body = metrics.text(picture(), OWNERS, [], max_series=10**6, partitions=False).decode()
    return list(text_string_to_metric_families(body))


def test_the_api_is_as_openapi_describes_it():
    jsonschema = pytest.importorskip("jsonschema")
    asked = client()
    document = asked.get("/api/openapi.json").get_json()
    paths = {"/api/topics/{name}": "/api/topics/orders.created", "/api/groups/{name}": "/api/groups/clickstream"}
    for path, item in document["paths"].items():
        answer = asked.get(paths.get(path, path))
        assert answer.status_code == 200, path
        schema = item["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(answer.get_json())
    rules = {r.rule for r in asked.application.url_map.iter_rules() if r.rule.startswith("/api/")}
    assert {r.replace("<path:name>", "{name}") for r in rules} == {*document["paths"], "/api/openapi.json"}


def test_a_dashboard_asks_for_metrics_that_exist():
    names = {
        f.name for f in text_string_to_metric_families(metrics.text(picture(), OWNERS, [], max_series=10**6).decode())
    }
    queries = [t["expr"] for p in grafana.dashboard()["panels"] for t in p["targets"]]
    marks = grafana.dashboard()["annotations"]["list"]
    assert [m["name"] for m in marks] == ["Faults", "Healings", "Drills"]
    queries += [m["expr"] for m in marks]
    queries += [r["expr"] for r in grafana.alert_rules()["groups"][0]["rules"]]
    asked = {n for q in queries for n in re.findall(r"\b((?:asgard|kafka|kminion)_[a-z_]+)", q)}
    assert asked and asked <= names
    assert json.dumps(grafana.dashboard())
    own = grafana.alert_rules(
        (AlertRule("slow ones", "time-lag", groups=("a.b*",), above=60), AlertRule("x", "audit-loss"))
    )
    assert [r["alert"] for r in own["groups"][0]["rules"]] == ["slow_ones", "HeimdallSilent"]
    assert own["groups"][0]["rules"][0]["expr"] == 'asgard_group_time_lag_seconds{group_id=~"a\\\\.b.*"} > 60'


def test_hostile_names_stay_text():
    evil = "<img src=x onerror=alert(1)>"
    now = picture()
    topic = replace(now.topics["orders.created"], name=evil)
    site = Site(replace(now, cluster=evil, topics={evil: topic}))
    for path in ("/", "/topics", "/groups"):
        assert "<img" not in client(site).get(path).get_data(as_text=True)


def named(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Every host name has these addresses."""

    def resolved(host: str, port: int, *_: object, **__: object) -> list[Any]:
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port))) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("127.0.0.1", "127.0.0.2")])
def test_a_host_name_may_have_several_addresses(monkeypatch, addresses):
    named(monkeypatch, *addresses)
    server, port = listening.listen(client().application, "localhost", 0, threads=1)
    with closing(server):
        taken = socket.socket()
        with closing(taken), pytest.raises(OSError, match="in use"):
            taken.bind(("127.0.0.1", port))


def test_a_host_without_an_address_and_a_port_that_is_taken_are_told(monkeypatch):
    named(monkeypatch)
    with pytest.raises(WrongUsage, match="--host is 'nowhere', which has no address"):
        listening.listen(client().application, "nowhere", 0, threads=1)
    named(monkeypatch, "127.0.0.1")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Failed, match="can't be bound: Address already in use"):
            listening.listen(client().application, "localhost", taken.getsockname()[1], threads=1)
