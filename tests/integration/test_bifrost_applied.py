"""Bifrost's queue on a real cluster, in this process: what may be deleted, a batch with one that fails, clients, and what was measured."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from asgard.bifrost import handover, notices, service
from asgard.bifrost.gate import Denied, NotFound, opened
from asgard.bifrost.read import request_of
from asgard.bifrost.store import rows
from asgard.compose import (
    bifrost,
    bifrost_catalog,
    bifrost_check,
    bifrost_credentials,
    bifrost_queue,
    bifrost_samples,
    bifrost_tick,
)
from asgard.core.errors import Refused
from asgard.kafka.data import Record, Writer

FILE = """
environments: [{name: dev, stack: stack.yaml}]
costs: {storage: 0.1, partition: 0.5}
samples: {to: readers, masks: masks.yaml, last: 3}
teams:
  - name: shop
    namespaces: [bfa.shop.]
    members: [{name: ada, role: owner}, {name: linus}]
  - name: bank
    namespaces: [bfa.bank.]
    members: [{name: grace, role: owner}]
data_engineers: [{name: edgar}]
"""
POLICY = """
rules:
  - {name: all, for: [topic, user, access, change], then: allow}
  - {name: deleting, for: [delete], then: allow}
"""
MASKS = "fields: [{field: mail, do: redact}]\nsecret: for-tests-only\n"


@pytest.fixture(scope="module")
def gate(tmp_path_factory, secured_cluster):
    folder = tmp_path_factory.mktemp("bifrost")
    where = {
        "bootstrap_servers": secured_cluster.bootstrap_servers,
        "client_properties": str(secured_cluster.client_properties),
    }
    stack = {"stack": "bfa", "target": "external", "cluster": where, "security": {"sasl": "scram-sha-512"}}
    for name, text in (
        ("stack.yaml", json.dumps(stack)),
        ("bifrost.yaml", FILE),
        ("policy.yaml", POLICY),
        ("masks.yaml", MASKS),
    ):
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)
    before = os.environ.get("ASGARD_HOME")
    os.environ["ASGARD_HOME"] = str(folder / "home")
    try:
        with opened(folder / "bifrost.yaml") as gate:
            yield gate
    finally:
        os.environ.pop("ASGARD_HOME") if before is None else os.environ.update(ASGARD_HOME=before)


def person(gate, name):
    return gate.directory.actor(name)


def ask(gate, who, **request):
    sent = bifrost.submit(gate, person(gate, who), request_of(request))
    return bifrost.carried_out(gate, person(gate, who), sent.request.id)


@pytest.fixture(scope="module")
def connections(gate):
    """A topic of each team with records in it, and the credentials of each team's user."""
    found = {}
    for who, team in (("linus", "shop"), ("grace", "bank")):
        topic, user = f"bfa.{team}.t", f"bfa.{team}.api"
        made = ask(
            gate, who,
            topics=[{"name": topic, "partitions": 1, "throughput": "1KB/s", "retention": "7d"}],
            users=[{"name": user, "produce": [topic], "consume": [topic], "groups": [f"{user}-"]}],
        )  # fmt: skip
        assert made.state == "ready", made.reason
        with bifrost_credentials.handing_over(gate, person(gate, who), None, user, "shown") as secret:
            found[team] = secret.connection
        write(found[team], topic, 50, age_s=2 * 3600)
    return found


def write(connection, topic, count, age_s=0.0):
    with Writer(connection, name="test") as writer:
        for n in range(count):
            at = int((time.time() - age_s) * 1000)
            writer.send(Record(topic, str(n).encode(), timestamp_ms=at))
        tally = writer.finish()
    assert tally.acked == count, tally.failures


def test_only_losses_that_were_named_with_the_request_are_allowed(gate, connections):
    cut = request_of({"changes": [{"topic": "bfa.shop.t", "retention": "1h"}]})
    ada = person(gate, "ada")
    blind = service.submit(gate, ada, cut)  # nobody looked at what it deletes
    failed = bifrost.carried_out(gate, ada, blind.request.id)
    assert failed.state == "failed" and "bfa.shop.t" in failed.reason and "delete" in failed.reason
    other = bifrost.losses(gate, person(gate, "grace"), cut)
    assert other == [], "another team's figures are not told"
    sent = bifrost.submit(gate, ada, cut).request
    assert [loss["topic"] for loss in sent.losses] == ["bfa.shop.t"]
    assert "loses up to 50 records" in sent.losses[0]["sentence"]
    assert bifrost.carried_out(gate, ada, sent.id).state == "ready"
    plain = bifrost.submit(gate, ada, request_of({"changes": [{"topic": "bfa.shop.t", "description": "x"}]})).request
    assert plain.losses == ()
    assert bifrost.carried_out(gate, ada, plain.id).state == "ready"


def test_of_a_batch_only_what_fails_is_taken_back(gate, connections):
    linus = person(gate, "linus")
    good = [
        service.submit(gate, linus, request_of({"topics": [{"name": f"bfa.shop.b{n}", "partitions": 1}]})).request
        for n in range(3)
    ]
    bad = {"name": "bfa.shop.bad", "partitions": 1, "config": {"max.message.bytes": "no-number"}}
    wrong = service.submit(gate, linus, request_of({"topics": [bad]})).request
    more = service.submit(gate, linus, request_of({"topics": [{"name": "bfa.shop.b3", "partitions": 1}]})).request
    applied = bifrost_queue.run_queue(gate, "dev")
    assert sorted(r.id for r in applied.ready) == sorted(r.id for r in [*good, more])
    assert [r.id for r in applied.failed] == [wrong.id] and "max.message.bytes" in applied.failed[0].reason
    with gate.store.read() as connection:
        assert "bfa.shop.bad" not in rows.load(connection, "dev").topics
    text = (gate.directory.file.parent / "stack.bifrost.yaml").read_text()
    assert "bfa.shop.bad" not in text and text.count("bfa.shop.b3") == 1


def test_a_token_gives_the_same_request_again(gate, connections):
    wanted = {"topics": [{"name": "bfa.shop.token", "partitions": 1}], "token": "ci-1"}
    first, second = ask(gate, "linus", **wanted), ask(gate, "linus", **wanted)
    assert first.id == second.id and second.state == "ready"


def test_snippets_run(gate, connections, tmp_path):
    shop = connections["shop"]
    password = shop.for_librdkafka()["sasl.password"]
    write(shop, "bfa.shop.t", 1)
    made = {
        language: handover.snippet(language, shop, topic="bfa.shop.t", group="bfa.shop.api-s", password=password)
        for language in handover.LANGUAGES
    }
    file = tmp_path / "client.py"
    file.write_text(made["python"])
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and done.stdout.startswith("b'"), done.stderr
    from confluent_kafka import Producer

    conf = dict(line.split("=", 1) for line in made["librdkafka"].splitlines())
    conf.pop("group.id")
    producer = Producer(conf)
    producer.produce("bfa.shop.t", b"x")
    assert producer.flush(30) == 0
    from asgard.kafka.connection import Connection, parse_properties

    properties = parse_properties(made["java"])
    bifrost_check._fetch(Connection(properties.pop("bootstrap.servers"), properties), "bfa.shop.t")
    assert all("<password>" in handover.snippet(name, shop) for name in handover.LANGUAGES)


def test_check_asks_about_topics_that_it_does_not_write_to(gate, connections):
    assert (
        ask(gate, "grace", access=[{"topic": "bfa.shop.t", "user": "bfa.bank.api", "operation": "produce"}]).state
        == "ready"
    )
    found = bifrost_check.check(gate, person(gate, "grace"), None, "bfa.bank.api")
    assert {(c.what, c.name, c.worked) for c in found} >= {
        ("produce", "bfa.bank.t", True),
        ("may produce", "bfa.shop.t", True),
    }
    assert all(c.ok for c in found)
    quiet = bifrost_check.check(gate, person(gate, "linus"), None, "bfa.shop.api", write=False)
    assert ("may produce", "bfa.shop.t", True) in {(c.what, c.name, c.worked) for c in quiet}
    with pytest.raises(Exception, match="not authorised"):
        bifrost_check._may_write(connections["shop"], "bfa.bank.t")


def test_the_catalogue_has_what_heimdall_measured(gate, connections, secured_cluster):
    from asgard.heimdall import collect
    from asgard.heimdall.store.tables import open_store
    from asgard.kafka.admin import connect

    linus = person(gate, "linus")
    assert bifrost_catalog.topic(gate, linus, "bfa.shop.t").measured is None
    control = connect(secured_cluster.connection)
    try:
        with open_store() as database:
            collect.once(control, database)
    finally:
        control.close()
    live = bifrost_catalog.topic(gate, linus, "bfa.shop.t")
    assert live.measured is not None and live.measured.held is not None
    assert live.cost_per_month > 0
    assert ("bfa.shop.api", "bfa.shop.t") in {(edge.user, edge.target) for edge in live.lineage}
    bifrost_tick.look(gate, gate.environment(None))
    seen = {e.name: m for e, m in bifrost_catalog.overview(gate, linus, "bfa.")}
    assert seen["bfa.shop.t"] is not None and seen["bfa.bank.t"] is None, "another team's figures are not shown"
    assert [u.source for u in bifrost_catalog.unused(gate, linus, 0.01)] != ["heimdall"], "its hours have holes"
    quiet = bifrost_catalog.unused(gate, person(gate, "edgar"), 0.0, ask_owners=True)
    assert {u.entry.name for u in quiet} >= {"bfa.shop.t", "bfa.bank.t"}
    with gate.store.read() as connection:
        assert notices.listed(connection) == [], "no team has a channel"


def test_records_are_shown_masked_and_only_where_the_setting_allows(gate, connections):
    with Writer(connections["shop"], name="test") as writer:
        writer.send(Record("bfa.shop.t", json.dumps({"mail": "ada@example.org", "what": "<b>tea</b>"}).encode()))
        assert writer.finish().acked == 1
    shown = bifrost_samples.sample(gate, person(gate, "linus"), "bfa.shop.t", last=2)
    assert shown.masked and len(shown.records) == 2
    assert shown.records[-1]["value"] == {"mail": "***", "what": "<b>tea</b>"}
    assert len(bifrost_samples.sample(gate, person(gate, "linus"), "bfa.shop.t", last=50).records) == 3, "as it is set"
    for who, topic, error in (("linus", "bfa.bank.t", NotFound), ("edgar", "bfa.bank.t", Denied)):
        with pytest.raises(error):
            bifrost_samples.sample(gate, person(gate, who), topic)
    assert ask(gate, "linus", access=[{"topic": "bfa.bank.t", "user": "bfa.shop.api"}]).state == "ready"
    assert bifrost_samples.sample(gate, person(gate, "linus"), "bfa.bank.t").topic == "bfa.bank.t"
    off = replace(gate, directory=replace(gate.directory, samples=None))
    with pytest.raises(Refused, match="not shown"):
        bifrost_samples.sample(off, person(gate, "linus"), "bfa.shop.t")
