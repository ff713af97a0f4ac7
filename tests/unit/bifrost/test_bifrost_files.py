"""bifrost.yaml, policies, cases and requests: what is wrong with them, with its place."""

import json

import pytest

from asgard.bifrost import read
from asgard.bifrost.ask import as_request, of_json, to_json
from asgard.bifrost.policy import read as policies
from asgard.core.errors import InvalidFile

TEAMS = "environments: [{name: dev, stack: a.yaml}]\n"


def problems(call, *args):
    with pytest.raises(InvalidFile) as caught:
        call(*args)
    return [str(p) for p in caught.value.problems]


@pytest.mark.parametrize(
    "text,said",
    [
        ("teams: []\n", "1:1: environments: is missing or empty"),
        (TEAMS + "teams: [{name: A}]\n", "2:16: teams[0].name: is 'A'; allowed are 1 to 63 lower-case letters"),
        (TEAMS + "teams: [{name: a}, {name: a}]\n", "teams[1].name: is 'a' again"),
        (TEAMS + "teams: [{name: a, namespaces: [orders]}]\n", "is 'orders'; allowed is a prefix that ends in"),
        (TEAMS + "teams: [{name: a, namespaces: [o.]}, {name: b, namespaces: [o.x.]}]\n", "overlaps 'o.' of team a"),
        (
            TEAMS + "teams: [{name: a, budget: {partition: 3}}]\n",
            "budget.partition: is not a known key; did you mean partitions",
        ),
        (TEAMS + "teams: [{name: a, members: [{name: x, rol: owner}]}]\n", "did you mean role"),
        (
            TEAMS + "teams: [{name: a, members: [{name: x}], approvers: [y]}]\n",
            "approvers[0]: is 'y', who is not a member",
        ),
        (
            TEAMS + "teams: [{name: a, members: [{name: x, os_user: u}]}]\nauditors: [{name: y, os_user: u}]\n",
            "OS user 'u', which is x already",
        ),
        (TEAMS + "include: [teams/*.yaml]\n", "include: has 'teams/*.yaml', which no file matches"),
    ],
)
def test_teams_with_a_mistake(tmp_path, text, said):
    file = tmp_path / "bifrost.yaml"
    file.write_text(text)
    found = problems(read.directory, file)
    assert len(found) == 1 and said in found[0] and found[0].startswith(f"{file}:")


def test_teams_of_included_files_name_their_own_place(tmp_path):
    (tmp_path / "teams").mkdir()
    (tmp_path / "teams" / "b.yaml").write_text("format: asgard.teams/v1\nteams:\n- {name: b}\n- {name: a}\n")
    (tmp_path / "bifrost.yaml").write_text(TEAMS + "include: [teams/*.yaml]\nteams: [{name: a}]\n")
    assert problems(read.directory, tmp_path / "bifrost.yaml") == [
        f"{tmp_path}/teams/b.yaml:4:10: teams[1].name: is 'a' again; allowed is each name once"
    ]
    (tmp_path / "teams" / "b.yaml").write_text("teams:\n- {name: b}\n")
    assert [t.name for t in read.directory(tmp_path / "bifrost.yaml").teams] == ["a", "b"]


@pytest.mark.parametrize(
    "rule,said",
    [
        ("{name: x, then: allow, whne: []}", "is not a known key; did you mean when"),
        ("{name: x, then: maybe}", "is 'maybe'; allowed is allow, approval or deny"),
        ("{name: x, then: allow, by: [owner]}", "has `by`, which goes with `then: approval`"),
        ('{name: x, then: allow, when: ["partition > 3"]}', "names 'partition'; did you mean partitions"),
        ('{name: x, then: allow, when: ["partitions > many"]}', "compares a number with 'many'"),
        ('{name: x, then: allow, when: ["tags > pii"]}', "allowed are has, lacks"),
        ('{name: x, then: allow, when: ["retention > 30"]}', "without a unit"),
        ('{name: x, then: allow, when: ["name matches ["]}', "not a regular expression"),
        ('{name: x, then: allow, when: ["team in orders"]}', "allowed is a list"),
        ('{name: x, then: allow, for: [user], when: ["partitions > 3"]}', "which a request for user does not have"),
        ("{name: x, then: approval, by: [boss]}", "allowed are owner, data-engineer and team:NAME"),
        ('{name: x, then: approval, by: ["team:ordres"]}', "did you mean orders"),
        ("{name: team-namespace, then: allow}", "which is taken"),
        ("{name: X Y, then: allow}", "lower-case"),
    ],
)
def test_a_rule_with_a_mistake_is_an_error_never_an_allow(tmp_path, directory, rule, said):
    file = tmp_path / "policy.yaml"
    file.write_text(f"rules:\n- {{name: fine, then: allow}}\n- {rule}\n")
    found = problems(policies.policy, file, directory)
    assert len(found) == 1 and said in found[0] and found[0].startswith(f"{file}:3:")


def test_the_shipped_cases_come_out_as_written(directory, shipped_policy):
    tried = policies.try_cases(policies.cases_path(directory.policy), shipped_policy, directory)
    assert len(tried) >= 10 and [t.wrong for t in tried] == [()] * len(tried)


def test_a_case_that_comes_out_otherwise_says_how(tmp_path, directory, shipped_policy):
    file = tmp_path / "policy.cases.yaml"
    file.write_text(
        "cases:\n- {name: c, team: orders, request: {topics: [{name: orders.x}]}, expect: {outcome: deny, rule: huge-topics}}\n"
    )
    [tried] = policies.try_cases(file, shipped_policy, directory)
    assert "the outcome is allow, wanted deny" in tried.wrong[0] and "rule small-topics decided" in tried.wrong[1]
    file.write_text("cases:\n- {name: c, team: ordres, request: {topics: [{name: x}]}, expect: {outcome: deny}}\n")
    assert "did you mean orders" in problems(policies.try_cases, file, shipped_policy, directory)[0]


@pytest.mark.parametrize(
    "text,said",
    [
        ("topics: []\n", "asks for nothing"),
        ("topics: [{name: 'a b'}]\n", "is 'a b'"),
        ("topics: [{name: orders.}]\n", "with a letter or digit at both ends"),
        ("topics: [{name: '${env:HOME}'}]\n", "is '${env:HOME}'"),
        (
            "topics: [{name: t, config: {retention.ms: +31536000000}}]\n",
            "has retention.ms '+31536000000'; allowed is -1",
        ),
        ("topics: [{name: t, config: {retention.ms: no-number}}]\n", "has retention.ms 'no-number'"),
        ("topics: [{name: t, config: {min.insync.replicas: '+2'}}]\n", "has min.insync.replicas '+2'"),
        ("changes: [{topic: t, config: {retention.ms: '٣٠'}}]\n", "has retention.ms '٣٠'"),
        ("access: [{topic: t, user: u, operation: write}]\n", "allowed is consume or produce"),
        ("deletions: [{}]\n", "either topic or user"),
        ("topics: [{name: t}]\nfro: 7d\n", "did you mean for"),
    ],
)
def test_a_request_with_a_mistake(text, said):
    assert said in problems(read.request, text, "r.yaml")[0]


def test_configs_with_a_field_of_their_own_are_judged_by_it():
    config = {"retention.ms": " 3600000", "min.insync.replicas": 2, "segment.ms": "+5"}
    ask = read.request_of({"topics": [{"name": "t", "config": config}], "changes": [{"topic": "u", "config": config}]})
    for item in (*ask.topics, *ask.changes):
        assert (item.retention_ms, item.min_isr, item.config) == (3_600_000, 2, {"segment.ms": "+5"})
    [asked] = as_request(ask)["changes"]
    assert asked == {"topic": "u", "min_isr": 2, "retention": "1h", "config": {"segment.ms": "+5"}}
    assert read.request_of(as_request(ask)) == ask


def test_a_request_that_an_older_version_stored_is_judged_by_its_configs():
    stored = json.loads(to_json(read.request_of({"topics": [{"name": "t"}], "changes": [{"topic": "u"}]})))
    for item in (*stored["topics"], *stored["changes"]):
        item["config"] = {"retention.ms": "+31536000000", "min.insync.replicas": "two"}
    ask = of_json(json.dumps(stored))
    for item in (*ask.topics, *ask.changes):
        assert (item.retention_ms, item.config) == (31_536_000_000, {"min.insync.replicas": "two"})


def test_a_request_is_the_same_after_the_store_and_as_a_request_again():
    ask = read.request_of(
        {
            "team": "orders",
            "environment": "dev",
            "for": "36h",
            "topics": [
                {"name": "orders.x", "retention": "forever", "tags": ["pii"], "config": {"cleanup.policy": "compact"}}
            ],
            "users": [{"name": "orders.u", "produce": ["orders.x"], "consume": ["orders."], "produce_quota": "1MB/s"}],
            "access": [{"topic": "payments.y", "user": "orders.u", "operation": "produce"}],
            "changes": [{"topic": "orders.z", "partitions": 4, "retention": "90m", "tags": []}],
            "deletions": [{"topic": "orders.old"}, {"user": "orders.gone"}],
        }
    )
    assert ask.kind == "bundle" and of_json(to_json(ask)) == ask
    again = as_request(ask)
    again["changes"][0]["tags"] = []  # an empty list is left out where people read it
    assert read.request_of(json.loads(json.dumps(again))) == ask
