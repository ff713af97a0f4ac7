"""E-mail through a real server, sealed credentials, Backstage's file, and what grants go through: adopt, extend, a leaver."""

import socketserver
import threading

import pytest
import yaml

from asgard.bifrost import catalog, grants, notices, service
from asgard.bifrost.catalog import lineage
from asgard.bifrost.desired import Desired, GrantRow, TopicRow, UserRow
from asgard.bifrost.gate import opened
from asgard.bifrost.read import request_of
from asgard.bifrost.store import rows
from asgard.compose import bifrost_catalog, bifrost_stack
from asgard.core.errors import Refused, WrongUsage

DAY = 86400.0
STACK = """
stack: told
target: local
external_topics: [orders.old]
topics: [{name: payments.settled, partitions: 1, replication: 1, owner: payments}]
users: [{name: orders-old, owner: orders, produce: [orders.old], consume: [payments.settled], groups: [orders-]}]
kafka: {brokers: 1}
"""


class Mailbox(socketserver.ThreadingTCPServer):
    """As much of RFC 5321 as a client needs: mail for `refused@…` is refused, the rest is kept."""

    allow_reuse_address, daemon_threads = True, True

    def __init__(self):
        self.got = []
        super().__init__(("127.0.0.1", 0), Session)


class Session(socketserver.StreamRequestHandler):
    def handle(self):
        self.say("220 mailbox")
        recipients = []
        while line := self.rfile.readline():
            verb = line.decode().strip()
            if verb.upper().startswith("RCPT TO:<REFUSED@"):
                self.say("550 no such mailbox")
            elif verb.upper().startswith("RCPT TO:"):
                recipients.append(verb[9:-1])
                self.say("250 ok")
            elif verb.upper() == "DATA":
                self.say("354 go on")
                body = []
                while (text := self.rfile.readline()) not in (b".\r\n", b""):
                    body.append(text.decode())
                self.server.got.append((recipients, "".join(body)))
                self.say("250 kept")
            elif verb.upper() == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")


@pytest.fixture
def mailbox():
    with Mailbox() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def edited(gate, **replaced):
    file = gate.directory.file
    text = file.read_text()
    for before, after in replaced.values():
        assert before in text
        text = text.replace(before, after, 1)
    file.write_text(text)
    return opened(file)


def mailing(gate, server, address):
    port = server.server_address[1]
    hook = f"  - name: orders\n    notify: [{{email: {address}}}]\n"
    mail = f"mail: {{host: 127.0.0.1, port: {port}, sender: bifrost@example.org}}\npolicy:"
    return edited(gate, hook=("  - name: orders\n", hook), mail=("policy:", mail))


def test_a_notice_by_email(gate, mailbox):
    with mailing(gate, mailbox, "orders@example.org") as again:
        ask = request_of({"topics": [{"name": "orders.x", "description": "Größe"}]})
        service.submit(again, again.directory.actor("linus"), ask)
        assert notices.deliver(again) == {"sent": 1, "later": 0, "failed": 0}
    [(to, message)] = mailbox.got
    assert to == ["orders@example.org"]
    assert "From: bifrost@example.org" in message and "Subject: Kafka self-service: approved" in message
    assert "topic orders.x (dev), asked for by linus of orders" in message


def test_a_refused_email_waits_and_its_address_is_not_kept(gate, mailbox, tmp_path):
    with mailing(gate, mailbox, "refused@example.org") as again:
        service.submit(again, again.directory.actor("linus"), request_of({"topics": [{"name": "orders.x"}]}))
        assert notices.deliver(again) == {"sent": 0, "later": 1, "failed": 0}
        with again.store.read() as connection:
            [notice] = notices.listed(connection)
    assert notice.state == "waiting" and notice.attempts == 1 and "SMTPRecipientsRefused" in notice.error
    assert "refused@example.org" not in notice.error and mailbox.got == []


def test_without_a_mail_server_the_reason_is_said(gate):
    with edited(gate, hook=("  - name: orders\n", "  - name: orders\n    notify: [{email: a@example.org}]\n")) as again:
        service.submit(again, again.directory.actor("linus"), request_of({"topics": [{"name": "orders.x"}]}))
        notices.deliver(again)
        with again.store.read() as connection:
            assert notices.listed(connection)[0].error == "no mail server is configured (mail:)"


def test_backstage(gate):
    long = "orders." + "x" * 80
    save(
        gate,
        topics=[TopicRow("orders.t", "orders", description='What: a "topic"', tags=("PII",)), TopicRow(long, None)],
    )
    found = list(yaml.safe_load_all(yaml.safe_dump_all(catalog.backstage(gate, gate.directory.actor("linus")))))
    assert [e["metadata"]["name"] for e in found if e["kind"] == "Group"] == ["orders", "payments"]
    owned, unowned = (e for e in found if e["kind"] == "Resource")
    assert owned["metadata"] == {
        "name": "dev.orders.t",
        "title": "orders.t",
        "description": 'What: a "topic"',
        "tags": ["pii"],
    }
    assert owned["spec"] == {"type": "kafka-topic", "owner": "group:orders", "lifecycle": "dev"}
    assert unowned["spec"]["owner"] == "group:unknown"
    assert all(len(e["metadata"]["name"]) <= 63 for e in found)


def save(gate, topics=(), users=(), held=()):
    desired = Desired()
    changed = [desired.put("topic", t.name, t) for t in topics]
    changed += [desired.put("user", u.name, u) for u in users]
    changed += [desired.put("grant", g.key, g) for g in held]
    with gate.store.write() as connection:
        rows.save(connection, "dev", desired, changed, 1.0)


def test_what_the_stack_file_grants_is_adopted_once(gate):
    (gate.directory.file.parent / "asgard.yaml").write_text(STACK)
    with pytest.raises(Refused, match="only data engineers"):
        bifrost_catalog.adopt(gate, gate.directory.actor("ada"))
    edgar = gate.directory.actor("edgar")
    adopted = bifrost_catalog.adopt(gate, edgar)
    assert {(g.field, g.name, g.team, g.owner, g.origin) for g in adopted} == {
        ("produce", "orders.old", "orders", "orders", "adopted"),
        ("consume", "payments.settled", "orders", "payments", "adopted"),
        ("groups", "orders-", "orders", "orders", "adopted"),
    }
    assert bifrost_catalog.adopt(gate, edgar) == []
    seen = catalog.topic(gate, gate.directory.actor("grace"), "payments.settled")
    assert seen.consumers == (("orders-old", "orders"),)


def test_an_adopted_grant_ends_in_the_stack_file_only(gate):
    file = gate.directory.file.parent / "asgard.yaml"
    file.write_text(STACK)
    edgar, grace = gate.directory.actor("edgar"), gate.directory.actor("grace")
    adopted = {g.field: g for g in bifrost_catalog.adopt(gate, edgar)}
    for who, field in ((grace, "consume"), (edgar, "groups")):
        with pytest.raises(Refused, match=f"orders-old has {field} .* in the stack file itself"):
            grants.withdraw(gate, who, adopted[field].id)
    with pytest.raises(Refused, match="only owners"):
        grants.withdraw(gate, gate.directory.actor("ken"), adopted["consume"].id)
    assert len(grants.grants(gate, edgar)) == 3
    file.write_text(STACK.replace("consume: [payments.settled], ", ""))
    bifrost_stack.sync(gate, gate.environment(None))
    assert {g.field for _, g in grants.grants(gate, edgar)} == {"produce", "groups"}
    file.write_text(STACK[: STACK.index("users:")] + "kafka: {brokers: 1}\n")
    bifrost_stack.sync(gate, gate.environment(None))
    assert grants.grants(gate, edgar) == []


@pytest.fixture
def shared(gate):
    """orders.api reads payments.settled until tomorrow, as linus asked."""
    now = gate.store.time()
    read = GrantRow(
        "orders.api", "consume", "payments.settled", "g-1", "orders", "payments", requester="linus",
        granted_at=now, expires_at=now + DAY, state="active",
    )  # fmt: skip
    own = GrantRow("orders.api", "produce", "orders.t", "g-2", "orders", "orders", requester="linus", state="active")
    topics = [TopicRow("payments.settled", "payments"), TopicRow("orders.t", "orders")]
    save(gate, topics, [UserRow("orders.api", "orders", principals=("orders.api",))], [read, own])
    return gate


def test_an_extension_is_one_step_where_policy_allows_it(shared):
    linus, now = shared.directory.actor("linus"), shared.store.time()
    _, longer = grants.extend(shared, linus, "g-1", 30 * DAY)
    assert longer.expires_at == pytest.approx(now + 30 * DAY, abs=60)
    _, same = grants.extend(shared, linus, "g-1", DAY)
    assert same.expires_at == longer.expires_at, "an extension never shortens"
    with pytest.raises(Refused, match="an extension needs approval"):
        grants.extend(shared, linus, "g-1", 400 * DAY)
    with pytest.raises(WrongUsage, match="has no end"):
        grants.extend(shared, linus, "g-2", DAY)
    with pytest.raises(Refused, match="only owners"):
        grants.extend(shared, shared.directory.actor("grace"), "g-1", DAY)


def test_a_leavers_access_to_others_topics_goes_and_the_teams_own_stays(shared):
    ended = grants.leaver(shared, shared.directory.actor("edgar"), "linus")
    assert [g.id for _, g in ended] == ["g-1"]
    assert [g.id for _, g in grants.grants(shared, shared.directory.actor("ada"))] == ["g-2"]
    with shared.store.read() as connection:
        assert rows.value(connection, "dirty:dev")
    assert grants.leaver(shared, shared.directory.actor("edgar"), "linus") == []


def test_lineage():
    held = [
        GrantRow("etl", "consume", "raw.", "g-1", "a"),
        GrantRow("etl", "produce", "clean.t", "g-2", "a"),
        GrantRow("app", "consume", "clean.t", "g-3", "b"),
        GrantRow("etl", "groups", "etl-", "g-4", "a"),
        GrantRow("probe", "produce", "other", "g-5", "c"),
    ]
    found = {(e.source, e.user, e.target) for e in lineage(held, "clean.t")}
    assert found == {("raw.", "etl", "clean.t"), ("clean.t", "app", None)}
    assert {(e.source, e.user, e.target) for e in lineage(held, "raw.x")} == {("raw.x", "etl", "clean.t")}
    assert lineage(held, "unknown") == ()
