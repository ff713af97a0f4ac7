"""Who may do what, as a whole table: every role, every action, own and other team."""

import itertools

import pytest

from asgard.bifrost.authorise import ACTIONS, What, authorise
from asgard.bifrost.teams import Actor

PEOPLE = {
    "stranger": Actor("stranger"),
    "member": Actor("member", (("orders", "member"),)),
    "owner": Actor("owner", (("orders", "owner"),), approves_for=frozenset({"orders"})),
    "engineer": Actor("engineer", data_engineer=True),
    "auditor": Actor("auditor", auditor=True),
}
OWN = What("orders", requester="somebody", by=("data-engineer",))
OTHER = What("payments", requester="somebody", by=("team:payments",))

# y: allowed, n: refused, -: refused, and as if it were not there. Columns: member, owner, engineer, auditor.
TABLE = {
    #                     own     other
    "request.create":     ("yynn", "--nn"),
    "request.view":       ("yyyy", "--yy"),
    "request.cancel":     ("nyyn", "--yn"),
    "request.retry":      ("yyyn", "--yn"),
    "request.decide":     ("nnyn", "--nn"),
    "credentials.take":   ("yynn", "--nn"),
    "credentials.rotate": ("yynn", "--nn"),
    "grant.view":         ("yyyy", "--yy"),
    "grant.extend":       ("yyyn", "--yn"),
    "grant.withdraw":     ("yyyn", "--yn"),
    "topic.view":         ("yyyy", "--yy"),
    "topic.sample":       ("yynn", "--nn"),
    "topic.claim":        ("nnyn", "--y-"),
    "usage.view":         ("yyyy", "--yy"),
    "catalog.view":       ("yyyy", "yyyy"),
    "policy.view":        ("yyyy", "yyyy"),
    "audit.view":         ("nyyy", "--yy"),
    "notices.view":       ("yyyy", "--yy"),
    "apply.run":          ("nnyn", "nnyn"),
    "adopt.run":          ("nnyn", "nnyn"),
    "leaver.run":         ("nnyn", "nnyn"),
    "token.create":       ("nnnn", "nnnn"),
    "token.view":         ("--yy", "--yy"),
    "token.revoke":       ("--yn", "--yn"),
}  # fmt: skip


def answer(decision):
    return "y" if decision.allowed else "-" if decision.hidden else "n"


def test_the_table_has_every_action():
    assert set(TABLE) == set(ACTIONS)


@pytest.mark.parametrize("action", ACTIONS)
def test_every_role_on_own_and_other_team(action):
    for what, wanted in zip((OWN, OTHER), TABLE[action], strict=True):
        got = "".join(answer(authorise(PEOPLE[p], action, what)) for p in ("member", "owner", "engineer", "auditor"))
        if action == "topic.claim" and what is OWN:
            got = got.replace("-", "n")
        assert got == wanted, f"{action} on {what.team}"


@pytest.mark.parametrize("action", ACTIONS)
def test_a_stranger_may_nothing_and_learns_nothing(action):
    for what in (OWN, OTHER, What()):
        decision = authorise(PEOPLE["stranger"], action, what)
        assert not decision.allowed and decision.hidden


def test_nobody_decides_about_their_own_request():
    everything = Actor("x", (("orders", "owner"),), True, True, frozenset({"orders"}))
    for by in (("data-engineer",), ("team:orders",), ("data-engineer", "team:orders")):
        assert not authorise(everything, "request.decide", What("orders", "x", by)).allowed
        assert authorise(everything, "request.decide", What("orders", "y", by)).allowed


def test_who_is_asked_sees_the_request_and_decides():
    owner = Actor("grace", (("payments", "owner"),), approves_for=frozenset({"payments"}))
    asked = What("orders", "linus", ("team:payments",))
    assert authorise(owner, "request.view", asked).allowed and authorise(owner, "request.decide", asked).allowed
    told_nothing = What("orders", "linus", ("data-engineer",))
    assert (
        authorise(owner, "request.view", told_nothing).hidden
        and authorise(owner, "request.decide", told_nothing).hidden
    )


def test_the_owner_of_a_topic_takes_back_what_was_given_and_its_members_see_it():
    given = What("orders", "linus", counterpart="payments")
    owner, member = Actor("g", (("payments", "owner"),)), Actor("k", (("payments", "member"),))
    assert authorise(owner, "grant.withdraw", given).allowed and authorise(owner, "grant.view", given).allowed
    assert authorise(member, "grant.view", given).allowed and not authorise(member, "grant.withdraw", given).allowed
    for action in set(ACTIONS) - {"grant.view", "grant.withdraw", "grant.extend", "catalog.view", "policy.view"}:
        assert not authorise(member, action, given).allowed


def test_claims_are_for_owners_of_the_namespace_and_engineers():
    free = What(None, in_namespace_of="orders")
    answers = {name: authorise(who, "topic.claim", free).allowed for name, who in PEOPLE.items()}
    assert answers == {"stranger": False, "member": False, "owner": True, "engineer": True, "auditor": False}


def test_every_answer_says_why():
    for who, action, what in itertools.product(PEOPLE.values(), ACTIONS, (OWN, OTHER, What())):
        assert len(authorise(who, action, what).because) > 8
