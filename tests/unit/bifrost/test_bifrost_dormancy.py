"""Access that nobody uses: noticed first, withdrawn later, spared where it is used again or where Kafka can't tell; the digest."""

import dataclasses

import pytest
import sqlalchemy as sa

from asgard.bifrost import digest, grants, life, notices
from asgard.bifrost.desired import Desired, GrantRow, UserRow
from asgard.bifrost.gate import Bifrost, opened
from asgard.bifrost.store import rows, tables
from asgard.bifrost.store.tables import SCHEMA
from asgard.bifrost.teams import Budget, Dormancy, Usage
from asgard.core.database import Database
from asgard.core.errors import InvalidFile

DAY = 86400.0
NOW = 2e9
RULE = Dormancy(90 * DAY, 14 * DAY)
SEEN = life.Watched(NOW - 200 * DAY, frozenset({"u"}))


def grant(used=None, granted=300, **more):
    used_at = None if used is None else NOW - used * DAY
    values = {
        "team": "orders",
        "owner": "payments",
        "granted_at": NOW - granted * DAY,
        "used_at": used_at,
        "state": "active",
    }
    return dataclasses.replace(GrantRow("u", "consume", "payments.t", "g-1", "orders"), **{**values, **more})


@pytest.mark.parametrize(
    ("known", "told_days", "watched", "due"),
    [
        (grant(used=10), None, SEEN, None),
        (grant(used=89), None, SEEN, None),
        (grant(used=91), None, SEEN, "notice"),
        (grant(used=91), 13, SEEN, None),
        (grant(used=91), 15, SEEN, "withdraw"),
        (grant(used=5), 15, SEEN, "used"),
        (grant(), None, SEEN, "notice"),  # never used, and looked at for 200 days
        (grant(granted=20), None, SEEN, None),
        (grant(), None, life.Watched(NOW - 5 * DAY, frozenset({"u"})), None),  # nobody looked before
        (grant(), None, life.Watched(None, frozenset({"u"})), None),
        (grant(), None, life.Watched(NOW - 200 * DAY, frozenset()), None),  # no group: it commits nothing
        (grant(used=400, field="produce"), None, SEEN, None),
        (grant(used=400, owner="orders"), None, SEEN, None),
        (grant(used=400, origin="adopted"), None, SEEN, None),
    ],
)  # fmt: skip
def test_what_is_due(known, told_days, watched, due):
    noticed = {} if told_days is None else {"g-1": NOW - told_days * DAY}
    assert [d.what for d in life.unused([known], noticed, RULE, watched, NOW)] == ([due] if due else [])


@pytest.fixture
def at(gate):
    """The gate at a time: `at(days)` is that many days after the grants were made."""
    hooks = "dormant: {after: 90d, notice: 14d}\n"
    file = gate.directory.file
    text = file.read_text().replace(
        "  - name: orders\n", "  - name: orders\n    notify: [{email: orders@example.org}]\n"
    )
    file.write_text(hooks + text)
    with opened(file) as again:
        desired = Desired()
        user = UserRow("orders.api", "orders", principals=("orders.api",))
        mine = {"team": "orders", "owner": "payments", "granted_at": NOW, "state": "active"}
        read = GrantRow("orders.api", "consume", "payments.settled", "g-1", **mine)
        group = GrantRow("orders.api", "groups", "orders.api", "g-2", **{**mine, "owner": "orders"})
        changed = [desired.put("user", user.name, user)]
        changed += [desired.put("grant", g.key, g) for g in (read, group)]
        with again.store.write() as connection:
            rows.save(connection, "dev", desired, changed, NOW)
            rows.set_value(connection, "reads-since:dev", str(NOW))

        def moved(days):
            return Bifrost(
                again.directory, Database(SCHEMA, again.store.engine, again.store.where, lambda: NOW + days * DAY)
            )

        yield moved


def state(gate):
    with gate.store.read() as connection:
        return {g.id: g.state for g in rows.grants(connection, environment="dev")}


def told(gate):
    with gate.store.read() as connection:
        return [n.kind for n in notices.listed(connection)]


def ids(pair):
    return tuple([g.id for g in found] for found in pair)


def test_unused_access_is_noticed_then_withdrawn(at):
    assert ids(grants.end_unused(at(89), "dev")) == ([], [])
    assert ids(grants.end_unused(at(91), "dev")) == (["g-1"], [])
    assert state(at(91))["g-1"] == "noticed" and told(at(91)) == ["dormant"]
    assert ids(grants.end_unused(at(104), "dev")) == ([], []), "told once, and its time is not over"
    assert ids(grants.end_unused(at(106), "dev")) == ([], ["g-1"])
    assert state(at(106)) == {"g-2": "active"} and told(at(106)) == ["dormant", "ended"]
    with at(106).store.read() as connection:
        assert rows.value(connection, "dirty:dev"), "the next run of the queue takes the ACL away"


def test_a_read_after_the_notice_ends_the_matter(at):
    grants.end_unused(at(91), "dev")
    gate = at(95)
    with gate.store.write() as connection:
        connection.execute(sa.update(tables.grants).values(used_at=NOW + 95 * DAY))
    assert ids(grants.end_unused(gate, "dev")) == ([], []) and state(gate)["g-1"] == "active"
    assert ids(grants.end_unused(at(150), "dev")) == ([], [])
    assert ids(grants.end_unused(at(186), "dev")) == (["g-1"], []), "it starts again with a notice"


def test_a_notice_that_came_late_still_gives_its_time(at):
    assert ids(grants.end_unused(at(400), "dev")) == (["g-1"], [])
    assert ids(grants.end_unused(at(401), "dev")) == ([], [])
    assert ids(grants.end_unused(at(415), "dev")) == ([], ["g-1"])


def test_without_a_rule_nothing_goes(at, gate):
    with opened(gate.directory.file) as again:
        bare = Bifrost(dataclasses.replace(again.directory, dormant=None), at(400).store)
        assert ids(grants.end_unused(bare, "dev")) == ([], [])


def test_a_mistake_in_the_rule_is_named(gate):
    file = gate.directory.file
    file.write_text("dormant: {afterr: 90d}\n" + file.read_text())
    with pytest.raises(InvalidFile, match="afterr"), opened(file):
        pass


def test_the_digest_comes_once_a_week(at):
    assert digest.weekly(at(0)) == 0, "the first week is not over"
    assert digest.weekly(at(7)) == 1 and digest.weekly(at(7)) == 0
    assert digest.weekly(at(14)) == 1
    with at(14).store.read() as connection:
        found = notices.listed(connection)
    assert [(n.team, n.kind) for n in found] == [("orders", "digest")] * 2
    assert found[0].text.startswith("orders, week 20") and "0 topics, 2 grants" in found[0].text


def test_what_a_digest_says():
    soon = grant(expires_at=NOW + 3 * DAY)
    idle = grant(state="noticed", id="g-2")
    body = digest.text(
        "orders", 4, [soon, idle], [], {"dev": (Usage(partitions=54), Budget(partitions=60, users=3))}, NOW
    )
    assert "ends on 2033-05-21: u consume payments.t. asgard bifrost extend g-1 --for 30d" in body
    assert "unused: u consume payments.t. asgard bifrost withdraw g-2" in body
    assert "90% of the budget of partitions is used in dev" in body and "users" not in body
