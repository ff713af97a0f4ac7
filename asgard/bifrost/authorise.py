"""May this person do that to this? One pure function for the command line, the API and the portal alike.

Roles: a member acts for their own team; an owner also consents in its name and withdraws what others were given; a data engineer sees and
decides for all teams, but can't take a team's credentials; an auditor sees everything and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from asgard.bifrost.teams import Actor

Action = Literal[
    "request.create",
    "request.view",
    "request.cancel",
    "request.retry",
    "request.decide",
    "credentials.take",
    "credentials.rotate",
    "grant.view",
    "grant.extend",
    "grant.withdraw",
    "topic.view",
    "topic.sample",
    "topic.claim",
    "usage.view",
    "catalog.view",
    "policy.view",
    "audit.view",
    "notices.view",
    "apply.run",
    "adopt.run",
    "leaver.run",
    "token.create",
    "token.view",
    "token.revoke",
]
ACTIONS: tuple[Action, ...] = get_args(Action)
_SEEING = ("request.view", "grant.view", "topic.view", "usage.view", "audit.view", "notices.view")
_MEMBERS = ("request.create", "request.view", "request.retry", "credentials.take", "credentials.rotate", "grant.view",
            "grant.extend", "grant.withdraw", "topic.view", "topic.sample", "usage.view", "notices.view")  # fmt: skip
_RUNNING = ("apply.run", "adopt.run", "leaver.run")


@dataclass(frozen=True)
class What:
    """What is acted on: its team, its requester, who still has to approve, and the other team concerned.

    `team` None: no owner. `counterpart` is the owner of the topic that a grant is about, `readers` are the teams that may see its records.
    """

    team: str | None = None
    requester: str | None = None
    by: tuple[str, ...] = ()
    counterpart: str | None = None
    approved_by: tuple[str, ...] = ()
    in_namespace_of: str | None = None
    readers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decision:
    """The answer. `hidden`: the person may not even know that it exists."""

    allowed: bool
    because: str
    hidden: bool = False


def authorise(who: Actor, action: Action, what: What = What()) -> Decision:
    """May this person do that to this? Pure; never raises."""
    if not who.known:
        return Decision(False, f"{who.name} is in no team", hidden=True)
    if action in ("catalog.view", "policy.view"):
        return Decision(True, "everybody with a role may look at the catalogue and the policy")
    if action == "request.decide":
        return _decide(who, what)
    if action in ("token.create", "token.view", "token.revoke"):
        return _token(who, action, what)
    role = who.role_in(what.team)
    if action in _RUNNING:
        if who.data_engineer:
            return Decision(True, "data engineers run the queue")
        return Decision(False, "only data engineers may do that")
    if action == "topic.claim":
        return _claim(who, what)
    if role is not None:
        return _own(who, action, what, owner=role == "owner")
    if what.counterpart is not None and (there := who.role_in(what.counterpart)) is not None:
        if action == "grant.view" or (action == "grant.withdraw" and there == "owner"):
            return Decision(True, f"the topic belongs to {what.counterpart}")
        if action in ("grant.withdraw", "grant.extend"):
            return Decision(False, "only owners withdraw what their team gave")
    if action == "topic.sample" and any(who.role_in(team) is not None for team in what.readers):
        return Decision(True, "a user of the team may read it")
    if action == "request.view" and (parties_of(who, what.by) or who.name in what.approved_by):
        return Decision(True, "the request needs, or has, this person's approval")
    if action in _SEEING and (who.data_engineer or who.auditor):
        return Decision(True, "data engineers and auditors see all teams")
    if who.data_engineer and action in ("request.cancel", "request.retry", "grant.extend", "grant.withdraw"):
        return Decision(True, "data engineers look after every team's requests and grants")
    if who.data_engineer or who.auditor:
        return Decision(False, f"only members of {what.team or 'the team'} may do that")
    return Decision(False, "it belongs to another team", hidden=True)


def parties_of(who: Actor, by: tuple[str, ...]) -> tuple[str, ...]:
    """Which of the required approvals this person can give."""
    found = []
    for party in by:
        team = party.removeprefix("team:")
        if (party == "data-engineer" and who.data_engineer) or (party != team and team in who.approves_for):
            found.append(party)
    return tuple(found)


def _decide(who: Actor, what: What) -> Decision:
    if who.name == what.requester:
        return Decision(False, "people can't decide their own requests")
    if parties_of(who, what.by):
        return Decision(True, f"the request waits for {' and '.join(parties_of(who, what.by))}")
    seen = who.role_in(what.team) is not None or who.data_engineer or who.auditor
    return Decision(False, f"the request waits for {' and '.join(what.by) or 'no one'}", hidden=not seen)


def _own(who: Actor, action: Action, what: What, *, owner: bool) -> Decision:
    if action in _MEMBERS:
        return Decision(True, f"{who.name} is a member of {what.team}")
    if action == "request.cancel":
        if owner or what.requester == who.name or who.data_engineer:
            return Decision(True, "requesters and owners take requests back")
        return Decision(False, "only the requester or an owner of the team takes a request back")
    if action == "audit.view":
        if owner or who.data_engineer or who.auditor:
            return Decision(True, "owners see what happened in their team")
        return Decision(False, "only owners see the whole record")
    return Decision(False, "no role of a team may do that")


def _token(who: Actor, action: Action, what: What) -> Decision:
    """A token acts as its person, so people can't create one for somebody else: they could then decide on their own requests."""
    if what.requester == who.name:
        return Decision(True, "everybody looks after their own tokens")
    if action == "token.create":
        return Decision(False, "people can't create tokens for others")
    if who.data_engineer or (who.auditor and action == "token.view"):
        return Decision(True, "data engineers revoke tokens, auditors see that they are there")
    return Decision(False, "it belongs to someone else", hidden=not who.auditor)


def _claim(who: Actor, what: What) -> Decision:
    if who.data_engineer:
        return Decision(True, "data engineers say who owns what")
    if what.team is not None:
        return Decision(False, "it has an owner", hidden=who.role_in(what.team) is None)
    if what.in_namespace_of is not None and who.role_in(what.in_namespace_of) == "owner":
        return Decision(True, f"its name is in the namespace of {what.in_namespace_of}")
    return Decision(False, "only an owner of the team whose namespace it is in, or a data engineer, may claim it")
