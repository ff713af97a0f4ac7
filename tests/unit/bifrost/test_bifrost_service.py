"""Requests in the store, without a cluster: states, two approvers, tokens, budgets under real processes, what others may see."""

import json
import os
import subprocess
import sys

import pytest

from asgard.bifrost import catalog, grants, life, notices, service, states
from asgard.bifrost.desired import (
    Desired,
    Granting,
    GrantRow,
    TopicRow,
    UserRow,
    carry_out,
    rendered,
    undo_json,
    undo_of,
)
from asgard.bifrost.gate import opened
from asgard.bifrost.read import request_of
from asgard.bifrost.store import queue, requests, rows
from asgard.compose import bifrost_credentials
from asgard.core.errors import Refused, WrongUsage


def topic(name="orders.x", partitions=3, **more):
    return request_of({"topics": [{"name": name, "partitions": partitions, **more}]})


def person(gate, name):
    return gate.directory.actor(name)


def test_two_approvers_cannot_both_decide(gate):
    sent = service.submit(gate, person(gate, "linus"), topic(partitions=48))
    with gate.store.read() as connection:
        seen = requests.get(connection, sent.request.id)
    service.decide(gate, person(gate, "edgar"), seen.id, approve=True)
    with pytest.raises(Refused, match="someone else has decided"), gate.store.write() as connection:
        requests.move(connection, seen, "rejected", actor="root", now=0.0)
    with pytest.raises(WrongUsage, match="there is nothing to decide"):
        service.decide(gate, person(gate, "root"), seen.id, approve=False)


def test_states_follow_the_table_and_every_move_is_recorded(gate):
    for before, after in ((b, a) for b in states.FOLLOWS for a in states.FOLLOWS):
        if after not in states.FOLLOWS[before]:
            with pytest.raises(Refused):
                states.check(before, after)
    linus = person(gate, "linus")
    draft = service.submit(gate, linus, topic(), draft=True).request
    assert draft.state == "draft"
    assert service.submit_draft(gate, linus, draft.id).request.state == "approved"
    service.cancel(gate, linus, draft.id, "not needed")
    _, history = service.view(gate, linus, draft.id)
    assert [(m.before, m.after) for m in history] == [(None, "draft"), ("draft", "approved"), ("approved", "cancelled")]
    assert service.submit(gate, linus, topic()).request.state == "approved"  # the name is free again


def test_a_name_that_is_asked_for_is_taken(gate):
    first = service.submit(gate, person(gate, "linus"), topic()).request
    second = service.submit(gate, person(gate, "ada"), topic())
    assert first.state == "approved" and second.request.state == "rejected" and second.judgement.rule == "name-is-free"


def test_other_teams_requests_and_grants_do_not_exist(gate):
    sent = service.submit(gate, person(gate, "linus"), topic()).request
    for who in ("grace", "ken"):
        told = []
        for guess in (sent.id, "r-nothing"):
            for act in (service.view, service.cancel, service.retry):
                with pytest.raises(WrongUsage) as caught:
                    act(gate, person(gate, who), guess)
                told.append(caught.value.what.replace(guess, "ID"))
            with pytest.raises(WrongUsage):
                service.decide(gate, person(gate, who), guess, approve=True)
        assert len(set(told)) == 1
        assert service.requests(gate, person(gate, who)) == []
        assert catalog.mine(gate, person(gate, who)).open_requests == ()


BUYER = """
import sys
from pathlib import Path
from asgard.bifrost import service
from asgard.bifrost.gate import opened
from asgard.bifrost.read import request_of
with opened(Path(sys.argv[1])) as gate:
    for n in range(int(sys.argv[3])):
        ask = request_of({"topics": [{"name": f"orders.p{sys.argv[2]}n{n}", "partitions": 7}]})
        print(service.submit(gate, gate.directory.actor("linus"), ask).request.state)
"""


def test_a_budget_holds_when_many_processes_ask_at_once(gate):
    file = str(gate.directory.file)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", BUYER, file, str(i), "2"], stdout=subprocess.PIPE, text=True, env=os.environ
        )
        for i in range(8)
    ]
    answers = [line for p in started for line in p.communicate()[0].split()]
    # Sixteen ask for 7 partitions each; 60 are there.
    assert answers.count("approved") == 8 and answers.count("rejected") == 8


def test_the_queue_takes_back_what_failed_alone(gate):
    linus = person(gate, "linus")
    for name in ("orders.a", "orders.b"):
        service.submit(gate, linus, topic(name))
    batch = queue.begin(gate.store, "dev", gate.directory.owner_of)
    assert [r.state for r in batch] == ["applying", "applying"]
    assert [r.id for r in queue.begin(gate.store, "dev", gate.directory.owner_of)] == [r.id for r in batch], (
        "after a kill: the same"
    )
    queue.take_back(gate.store, "dev", [(batch[1], "Kafka said no")], retries=0)
    queue.finish(gate.store, "dev", batch[:1])
    found = {r.subject: r.state for r in service.requests(gate, linus)}
    assert found == {"orders.a": "ready", "orders.b": "failed"}
    assert [e.name for e in catalog.mine(gate, linus).topics] == ["orders.a"]


def test_carrying_out_and_back_leaves_nothing():
    desired = Desired({"orders.old": TopicRow("orders.old", "orders")}, {}, {})
    before = rendered(desired, "s")
    ask = request_of(
        {
            "team": "orders", "environment": "dev", "for": "7d",
            "topics": [{"name": "orders.x"}],
            "users": [{"name": "orders.u", "produce": ["orders.x"], "consume": ["payments.y", "orders.x"]}],
            "changes": [{"topic": "orders.old", "partitions": 9}],
        }
    )  # fmt: skip
    how = Granting(
        "r-1", "linus", "p", 100.0, lambda prefix: f"{prefix}-{len(desired.grants)}", lambda n: n.partition(".")[0]
    )
    undo = carry_out(desired, ask, how)
    after = rendered(desired, "s")
    assert '"partitions": 9' in after and '"consume": ["orders.x", "payments.y"]' in after
    ends = {g.name: g.expires_at for g in desired.grants.values() if g.field == "consume"}
    assert ends == {"orders.x": None, "payments.y": 100.0 + 7 * 86400}, "what is the team's own has no end"
    desired.undo(undo_of(undo_json(undo)))
    assert rendered(desired, "s") == before


@pytest.mark.parametrize(
    "left_days,lasted_days,reminded,due",
    [(8, 30, 99, []), (6.9, 30, 99, [7]), (6.9, 30, 7, []), (2.9, 30, 7, [3]), (0.5, 30, 3, [1]), (0.5, 30, 99, [1]),
     (0.5, 30, 1, []), (1.5, 2, 99, []), (0.9, 2, 99, [1]), (0, 30, 99, ["end"]), (-1, 30, 1, ["end"])],
)  # fmt: skip
def test_reminders(left_days, lasted_days, reminded, due):
    now = 1e9
    grant = GrantRow(
        "u", "consume", "t", "g-1", "orders", granted_at=now + (left_days - lasted_days) * 86400,
        expires_at=now + left_days * 86400, reminded=reminded,
    )  # fmt: skip
    found = [d.days if d.what == "remind" else "end" for d in life.due([grant], now)]
    assert found == due


def test_one_channel_that_fails_does_not_hold_up_another(tmp_path, monkeypatch, gate):
    import http.server
    import threading

    got = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if self.path == "/bad" else 200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    file = gate.directory.file
    hooks = f"notify: [{{webhook: 'http://127.0.0.1:{port}/bad'}}, {{webhook: 'http://127.0.0.1:{port}/secret-token'}}]"
    file.write_text(file.read_text().replace("    namespaces: [orders.]", f"    {hooks}\n    namespaces: [orders.]"))
    with opened(file) as again:
        service.submit(again, person(again, "linus"), topic())
        assert notices.deliver(again) == {"sent": 1, "later": 1, "failed": 0}
        assert notices.deliver(again) == {"sent": 0, "later": 0, "failed": 0}, "it waits for its time"
        with again.store.read() as connection:
            listed = notices.listed(connection)
        assert {(n.state, n.error) for n in listed} == {
            ("sent", None),
            ("waiting", "it answered 500 Internal Server Error"),
        }
    server.shutdown()
    server.server_close()
    assert {g["event"] for g in got} == {"bifrost.approved"}
    assert b"secret-token" not in b"".join(p.read_bytes() for p in (tmp_path / "home").iterdir() if p.is_file())


def test_files_that_others_may_write_are_refused(gate):
    file = gate.directory.file
    for path in (gate.directory.policy, file, file.parent):
        mode = path.stat().st_mode
        path.chmod(mode | 0o020)
        with pytest.raises(Refused, match="can be written by others"), opened(file):
            pass
        path.chmod(mode)
    with opened(file):
        pass


def test_leaving_and_withdrawing_is_for_those_who_may(gate):
    with pytest.raises(Refused, match="only data engineers"):
        grants.leaver(gate, person(gate, "ada"), "linus")
    with pytest.raises(WrongUsage, match="there is no grant"):
        grants.withdraw(gate, person(gate, "ada"), "g-unknown")


def test_a_request_keeps_which_records_it_was_said_to_delete(gate):
    import dataclasses

    linus = person(gate, "linus")
    loss = {"topic": "orders.x", "records": 7, "sentence": "orders.x loses up to 7 records"}
    asked = []

    def losses(of, who, ask):
        asked.append((who.name, ask.team))
        return [loss]

    looking = dataclasses.replace(gate, losses=losses)
    sent = service.submit(looking, linus, topic(partitions=48)).request
    assert sent.state == "pending" and list(sent.losses) == [loss] and asked == [("linus", "orders")]
    approved = service.decide(gate, person(gate, "edgar"), sent.id, approve=True)
    assert list(approved.losses) == [loss] and "losses" not in approved.judgement
    assert service.submit(gate, linus, topic("orders.y")).request.losses == (), "nobody looked: nothing may be deleted"
    draft = service.submit(looking, linus, topic("orders.z"), draft=True).request
    assert service.submit_draft(gate, linus, draft.id).request.losses == (), "what a draft was told is not what is sent"


def test_retention_under_config_is_the_topics_retention(gate):
    linus, edgar = person(gate, "linus"), person(gate, "edgar")
    asked = service.submit(gate, linus, topic(throughput="1KB/s", config={"retention.ms": "31536000000"})).request
    service.decide(gate, edgar, asked.id, approve=True)
    queue.finish(gate.store, "dev", queue.begin(gate.store, "dev", gate.directory.owner_of))
    with gate.store.read() as connection:
        assert rows.used(connection, "orders", "dev").storage == 1000 * 31_536_000 * 3
    change = request_of({"changes": [{"topic": "orders.x", "retention": "1d"}]})
    assert service.submit(gate, linus, change).request.state == "approved"
    queue.begin(gate.store, "dev", gate.directory.owner_of)
    with gate.store.read() as connection:
        assert '"config": {"retention.ms": "86400000"}' in rendered(rows.load(connection, "dev"), "s")


def test_a_row_of_an_older_version_counts_by_its_configs_and_can_be_changed(gate):
    linus = person(gate, "linus")
    old = TopicRow("orders.x", "orders", throughput=1000.0, config={"retention.ms": "+3600000", "segment.ms": "9"})
    desired = Desired()
    with gate.store.write() as connection:
        rows.save(connection, "dev", desired, [desired.put("topic", "orders.x", old)], 1.0)
        [(_, row)] = rows.topics(connection, "dev")
    assert row.usage().storage == 1000 * 3600 * 3
    change = request_of({"changes": [{"topic": "orders.x", "retention": "1d", "min_isr": 2}]})
    assert service.submit(gate, linus, change).request.state == "approved"
    queue.begin(gate.store, "dev", gate.directory.owner_of)
    with gate.store.read() as connection:
        text = rendered(rows.load(connection, "dev"), "s")
    assert '"config": {"min.insync.replicas": "2", "retention.ms": "86400000", "segment.ms": "9"}' in text


def test_a_rotation_takes_a_name_that_is_free_and_keeps_it(gate):
    linus, desired = person(gate, "linus"), Desired()
    rows_ = [UserRow(n, "orders", principals=p) for n, p in (
        ("orders.api", ("orders.api",)), ("orders.api-2", ("orders.api-2",)), ("orders.x", ("orders.api-4",)),
    )]  # fmt: skip
    changed = [desired.put("user", row.name, row) for row in rows_]
    with gate.store.write() as connection:
        rows.save(connection, "dev", desired, changed, 1.0)
    wanted = {"users": [{"name": "orders.api-3"}]}
    assert service.submit(gate, linus, request_of(wanted)).request.state == "approved"
    assert bifrost_credentials.rotate(gate, linus, None, "orders.api").principal == "orders.api-5"
    again = service.submit(gate, linus, request_of({"users": [{"name": "orders.api-5"}]})).judgement
    assert (again.outcome, again.rule) == ("deny", "name-is-free")
    access = {"access": [{"topic": "orders.t", "user": "orders.api-5"}], "topics": [{"name": "orders.t"}]}
    rules = [item.rule for item in service.submit(gate, linus, request_of(access)).judgement.items]
    assert "own-users-only" in rules, "access is given to the user, not to a principal"


def test_nothing_is_built_on_what_only_waits(gate):
    linus = person(gate, "linus")
    waits = service.submit(gate, linus, topic("orders.big", partitions=48)).request
    reads = request_of({"users": [{"name": "orders.u", "consume": ["orders.big"]}]})
    assert waits.state == "pending"
    judged = service.submit(gate, linus, reads).judgement
    assert (judged.outcome, judged.rule) == ("deny", "must-exist")
    assert service.submit(gate, linus, topic("orders.big")).judgement.rule == "name-is-free", "and the name stays taken"
    service.decide(gate, person(gate, "edgar"), waits.id, approve=True)
    assert service.submit(gate, linus, reads).request.state == "approved", "both are made in one run"
