"""Policy as properties: deny wins, order means nothing, budgets hold, the suggested request passes, the rule that is named decided."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asgard.bifrost.ask import AccessWant, Ask, TopicWant, UserWant
from asgard.bifrost.policy import verdicts
from asgard.bifrost.policy import world as sizes
from asgard.bifrost.policy.judge import judge
from asgard.bifrost.policy.rules import BUILT_IN, NO_RULE, Policy, Rule, condition, decide
from asgard.bifrost.policy.world import Headroom, PolicyTopic, PolicyUser, World, common_facts, facts_of, usage_of
from asgard.bifrost.read import request_of
from asgard.bifrost.teams import RESOURCES, Budget, Team, Usage

DAY = 86_400_000
CONDITIONS = [
    "partitions > 24", "partitions <= 12", "partitions > 100", "retention > 30d", "retention <= 14d", "tags has pii",
    "tags lacks pii", "environment == prod", "team in [orders, payments]", "replication < 3", "throughput > 5MB/s",
    "storage > 100GiB", "name matches orders[.].*", "name not matches [a-z.]+", "budget.partitions > 80%",
    "headroom.disk < 20%", "described == false", "role == owner",
]  # fmt: skip
OUTCOMES = st.sampled_from(["allow", "approval", "deny"])


@st.composite
def rules(draw):
    count = draw(st.integers(0, 6))
    made = []
    for i in range(count):
        then = draw(OUTCOMES)
        when = draw(st.lists(st.sampled_from(CONDITIONS), max_size=3, unique=True))
        by = tuple(
            draw(st.lists(st.sampled_from(["owner", "data-engineer", "team:payments"]), max_size=2, unique=True))
        )
        made.append(Rule(f"rule-{i}", then, ("topic",), tuple(map(condition, when)), by if then == "approval" else ()))
    return made


topics = st.builds(
    TopicWant,
    name=st.sampled_from(["orders.created", "created", "orders.Big_Name", "payments.x", "orders.a-b"]),
    partitions=st.integers(1, 200),
    replication=st.sampled_from([None, 1, 2, 3, 5]),
    min_isr=st.sampled_from([None, 1, 2]),
    retention_ms=st.sampled_from([None, -1, DAY, 7 * DAY, 20 * DAY, 90 * DAY]),
    throughput=st.sampled_from([None, 1e6, 2e7]),
    tags=st.sampled_from([(), ("pii",)]),
)
worlds = st.builds(
    World,
    team=st.builds(
        Team,
        name=st.just("orders"),
        namespaces=st.just(("orders.",)),
        budget=st.builds(
            Budget,
            partitions=st.sampled_from([None, 0, 30, 100]),
            storage=st.sampled_from([None, 10**9, 10**13]),
            throughput=st.sampled_from([None, 1e6, 1e8]),
            users=st.sampled_from([None, 1]),
        ),
    ),
    role=st.sampled_from(["member", "owner"]),
    used=st.builds(Usage, partitions=st.sampled_from([0, 20]), storage=st.sampled_from([0, 10**8])),
    headroom=st.builds(Headroom, brokers=st.sampled_from([None, 1, 3]), disk_free=st.sampled_from([None, 0.1, 0.5])),
)
asks = st.builds(
    lambda t: Ask("orders", "prod", topics=tuple({x.name: x for x in t}.values())),
    st.lists(topics, min_size=1, max_size=2),
)
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def item_of(ask, world):
    kind, facts = facts_of(ask.topics[0], ask, world, common_facts(ask, world))
    return kind, facts


@many
@given(rules(), asks, worlds)
def test_deny_wins(found, ask, world):
    denying = Rule("no", "deny", ("topic",))
    assert judge(Policy((*found, denying)), ask, world, suggest=False).outcome == "deny"


@many
@given(rules(), asks, worlds, st.randoms(use_true_random=False))
def test_the_order_of_rules_means_nothing(found, ask, world, random):
    other = list(found)
    random.shuffle(other)
    first, second = (judge(Policy(tuple(r)), ask, world, suggest=False) for r in (found, other))
    assert (first.outcome, first.rule, first.because, first.by) == (
        second.outcome,
        second.rule,
        second.because,
        second.by,
    )
    assert first.policy_version == second.policy_version


@many
@given(rules(), asks, worlds)
def test_what_is_allowed_fits_the_budget(found, ask, world):
    judged = judge(Policy(tuple(found)), ask, world)
    for passing in [ask] * (judged.outcome == "allow") + [judged.nearest] * (judged.nearest is not None):
        after = world.used + usage_of(passing, world)
        for what in RESOURCES:
            limit = getattr(world.budget, what)
            assert limit is None or getattr(after, what) <= limit or not getattr(usage_of(passing, world), what)


@many
@given(rules(), asks, worlds)
def test_the_nearest_request_passes_and_keeps_tags(found, ask, world):
    policy = Policy(tuple(found))
    judged = judge(policy, ask, world)
    if judged.outcome == "allow":
        assert judged.nearest is None
    if judged.nearest is not None:
        assert judge(policy, judged.nearest, world).outcome == "allow"
        assert judged.nearest != ask and judged.nearest.team == ask.team
        assert [t.tags for t in judged.nearest.topics] == [t.tags for t in ask.topics]


@many
@given(rules(), asks, worlds)
def test_the_named_rule_decides_alone_too(found, ask, world):
    kind, facts = item_of(ask, world)
    verdict = decide(Policy(tuple(found)), kind, facts)
    if verdict.rule == NO_RULE:
        assert all(rule.matches(kind, facts) is not True for rule in (*found, *BUILT_IN))
        return
    alone = [rule for rule in found if rule.name == verdict.rule]
    again = decide(Policy(tuple(alone)), kind, facts)
    assert (again.outcome, again.rule) == (verdict.outcome, verdict.rule)
    assert next(r for r in (*found, *BUILT_IN) if r.name == verdict.rule).matches(kind, facts) is not False


@many
@given(rules(), asks, worlds)
def test_what_is_not_known_is_never_allowed(found, ask, world):
    unknown = replace(world, headroom=replace(world.headroom, disk_free=None))
    kind, facts = item_of(ask, unknown)
    only = Policy((Rule("room", "allow", ("topic",), (condition("headroom.disk > 0%"),)),))
    assert decide(only, kind, facts).outcome != "allow"
    denying = Policy((*found, Rule("room", "deny", (), (condition("headroom.disk < 0%"),))))
    assert decide(denying, kind, facts).outcome != "allow"


def test_no_rule_matched_means_approval_by_a_data_engineer():
    world = World(Team("orders", namespaces=("orders.",)))
    judged = judge(Policy(), Ask("orders", "prod", topics=(TopicWant("orders.x"),)), world)
    assert (judged.outcome, judged.rule, judged.by) == ("approval", NO_RULE, ("data-engineer",))


def access(shipped_policy, topic, operation="consume", lasts_s=86400.0, facts=None, user="orders.u"):
    team = Team("orders", namespaces=("orders.",))
    world = World(
        team,
        topics={f.name: f for f in facts or ()},
        users={"orders.u": PolicyUser("orders.u", "orders"), "pay.u": PolicyUser("pay.u", "payments")},
        namespaces={"orders.": "orders", "payments.": "payments"},
    )
    ask = Ask("orders", "dev", access=(AccessWant(topic, user, operation),), lasts_s=lasts_s)
    return judge(shipped_policy, ask, world)


def test_access_asks_the_owner_of_the_topic(shipped_policy):
    cards, settled = (
        PolicyTopic("payments.cards", "payments", tags=frozenset({"pii"})),
        PolicyTopic("payments.settled", "payments"),
    )
    stray = PolicyTopic("stray", None)
    assert access(shipped_policy, "payments.settled", facts=[settled]).outcome == "allow"
    assert access(shipped_policy, "payments.cards", facts=[cards]).by == ("team:payments",)
    assert access(shipped_policy, "payments.settled", "produce", facts=[settled]).by == ("team:payments",)
    assert access(shipped_policy, "stray", "produce", facts=[stray]).by == ("data-engineer",)
    assert access(shipped_policy, "nothing").rule == "must-exist"
    assert access(shipped_policy, "payments.settled", facts=[settled], user="pay.u").rule == "own-users-only"
    forever = access(shipped_policy, "payments.settled", lasts_s=None, facts=[settled])
    assert forever.outcome == "approval" and forever.nearest.lasts_s == 90 * 86400


def test_a_rule_on_configs_holds_however_they_are_said():
    policy = Policy((Rule("cluster-wide", "deny", ("topic",), (condition("configs has min.insync.replicas"),)),))
    world = World(Team("orders", namespaces=("orders.",)))
    for values in ({"min_isr": 2}, {"config": {"min.insync.replicas": "2"}}):
        ask = request_of({"team": "orders", "topics": [{"name": "orders.x", **values}]})
        assert judge(policy, ask, world, suggest=False).rule == "cluster-wide", values


@pytest.mark.parametrize(
    ("group", "rule"),
    [("orders.api", None), ("orders.", None), ("orders.*", None), ("orders.a*", None)]
    + [
        (name, "team-namespace-groups")
        for name in ("*", "orders", "orders*", "order*", "payments.api", "payments.", "")
    ],
)
def test_a_group_lies_in_a_namespace_of_the_team(group, rule, shipped_policy):
    mine = {"orders.t": PolicyTopic("orders.t", "orders")}
    world = World(
        Team("orders", namespaces=("orders.",)), topics=mine, users={"orders.u": PolicyUser("orders.u", "orders")},
        namespaces={"orders.": "orders", "payments.": "payments"},
    )  # fmt: skip
    groups = ("orders.fine", group)
    for ask in (
        Ask("orders", "dev", users=(UserWant("orders.v", consume=("orders.t",), groups=groups),)),
        Ask("orders", "dev", access=(AccessWant("orders.t", "orders.u", groups=groups),)),
    ):
        judged = judge(shipped_policy, ask, world)
        assert judged.outcome == ("deny" if rule else "allow")
        assert rule is None or judged.rule == rule


def test_the_nearest_name_of_a_user_is_that_of_its_group_too(shipped_policy):
    world = World(
        Team("orders", namespaces=("orders.",)), topics={"orders.t": PolicyTopic("orders.t", "orders")},
        namespaces={"orders.": "orders"},
    )  # fmt: skip
    ask = request_of(
        {
            "team": "orders",
            "users": [{"name": "web", "consume": ["orders.t"]}],
            "access": [{"topic": "orders.t", "user": "web", "groups": ["web"]}],
        }
    )
    judged = judge(shipped_policy, ask, world)
    assert judged.rule == "team-namespace"
    [user], [access] = judged.nearest.users, judged.nearest.access
    assert (user.name, user.groups, access.user, access.groups) == ("orders.web", ("orders.web",)) * 2


def test_a_mistyped_topic_is_denied_whatever_the_budget(shipped_policy):
    budget = Budget(partitions=10, storage=10**9, throughput=1e6, users=1)
    world = World(Team("orders", namespaces=("orders.",), budget=budget), namespaces={"orders.": "orders"})
    for values in ({"retention": "1d"}, {"partitions": 3}, {"throughput": "1KB/s"}):
        ask = request_of({"team": "orders", "changes": [{"topic": "orders.typo", **values}]})
        judged = judge(shipped_policy, ask, world)
        assert (judged.outcome, judged.rule, judged.nearest) == ("deny", "must-exist", None)


@pytest.fixture
def decisions(monkeypatch):
    """Every decision about an item, and every look at all items of a request for its size."""
    seen = SimpleNamespace(items=0, sizes=0)
    decide_, usage_ = verdicts.decide, sizes.usage_of

    def decide(*given):
        seen.items += 1
        return decide_(*given)

    def usage(*given):
        seen.sizes += 1
        return usage_(*given)

    monkeypatch.setattr(verdicts, "decide", decide)
    monkeypatch.setattr(sizes, "usage_of", usage)
    return seen


def bundle(count, big, **more):
    wanted = [{"name": f"orders.t{n}", "partitions": 48 if n < big else 3, **more} for n in range(count)]
    return request_of({"team": "orders", "environment": "dev", "topics": wanted})


def test_an_item_costs_the_same_in_a_large_request(shipped_policy, decisions):
    judge(shipped_policy, bundle(20, 0), World(Team("orders", namespaces=("orders.",))), suggest=False)
    assert (decisions.items, decisions.sizes) == (20, 1)


@pytest.mark.parametrize(("big", "more", "found"), [(3, {}, True), (20, {}, False), (20, {"tags": ["pii"]}, False)])
def test_the_search_ends_in_large_requests(shipped_policy, decisions, big, more, found):
    ask = bundle(20, big, **more)
    nearest = judge(shipped_policy, ask, World(Team("orders", namespaces=("orders.",)))).nearest
    assert (nearest is not None) == found and decisions.items < 25_000 and decisions.sizes < 1_100
    assert not found or [t.partitions for t in nearest.topics] == [24] * big + [3] * (20 - big)


def test_one_time_is_found_for_all_access(shipped_policy):
    theirs = {f"payments.t{n}": PolicyTopic(f"payments.t{n}", "payments") for n in range(30)}
    spaces = {"orders.": "orders", "payments.": "payments"}
    world = World(Team("orders", namespaces=("orders.",)), topics=theirs, namespaces=spaces)
    ask = request_of({"team": "orders", "users": [{"name": "orders.u", "consume": list(theirs)}]})
    assert judge(shipped_policy, ask, world).nearest.lasts_s == 90 * 86400


def test_a_prefix_reaches_other_teams_topics(shipped_policy):
    mine, theirs = PolicyTopic("o.a", "orders"), PolicyTopic("o.b", "payments", tags=frozenset({"pii"}))
    judged = access(shipped_policy, "o.", facts=[mine, theirs])
    assert judged.outcome == "approval" and "team:payments" in judged.by
    # A prefix that covers nothing of theirs today could tomorrow: their namespace counts.
    later = access(shipped_policy, "p", facts=[PolicyTopic("p", "orders")])
    assert later.outcome == "allow"
    wide = access(shipped_policy, "pay*", facts=[PolicyTopic("pay", "orders")])
    assert wide.outcome != "allow"


def test_a_user_with_topics_of_others_is_judged_as_access(shipped_policy):
    cards = PolicyTopic("payments.cards", "payments", tags=frozenset({"pii"}))
    world = World(
        Team("orders", namespaces=("orders.",)), topics={"payments.cards": cards}, namespaces={"payments.": "payments"}
    )
    ask = Ask("orders", "dev", users=(UserWant("orders.u", consume=("payments.cards",)),))
    assert judge(shipped_policy, ask, world).by == ("team:payments",)
