"""What people do with requests: submit, decide, cancel, retry, look. Each call names the person, and asks `authorise` first.

Policy is judged and the request written in one transaction, so that two requests can't both take what is left of a budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from asgard.bifrost import notices
from asgard.bifrost.ask import AccessWant, Ask, ChangeWant, DeleteWant
from asgard.bifrost.authorise import What, authorise, parties_of
from asgard.bifrost.gate import Bifrost, NotFound, demand
from asgard.bifrost.policy.judge import Judgement, judge
from asgard.bifrost.policy.world import Headroom, PolicyTopic, PolicyUser, World, is_prefix
from asgard.bifrost.states import State
from asgard.bifrost.store import credentials, rows
from asgard.bifrost.store import requests as stored
from asgard.bifrost.store.requests import Move, Request, StoredJudgement
from asgard.bifrost.teams import Actor
from asgard.core.errors import Refused, WrongUsage

POLICY = "policy"
"""The actor for what policy decided by itself."""


@dataclass(frozen=True)
class Submitted:
    """A request as it is now, and what policy said. `again`: it was already created with the same token."""

    request: Request
    judgement: Judgement | None
    again: bool = False


def completed(gate: Bifrost, who: Actor, ask: Ask) -> Ask:
    """The ask with team and environment filled in. Raises WrongUsage if they can't be determined, or are unknown."""
    team = ask.team
    if not team:
        if len(who.teams) != 1:
            known = ", ".join(name for name, _ in who.teams) or "none"
            raise WrongUsage(
                f"for which team? {who.name} is in: {known}", "Say it with --team, or team: in the request."
            )
        team = who.teams[0][0]
    filled = replace(ask, team=team, environment=gate.environment(ask.environment).name)
    demand(who, "request.create", What(team), f"team {team}")
    if team not in gate.directory.by_name:
        raise NotFound(f"there is no team {team}")
    return filled


def weigh(gate: Bifrost, who: Actor, ask: Ask) -> Judgement:
    """What policy would say; nothing is written."""
    ask = completed(gate, who, ask)
    with gate.store.read() as connection:
        return judge(gate.policy, ask, world_of(gate, connection, ask, who))


def submit(
    gate: Bifrost, who: Actor, ask: Ask, *, draft: bool = False, losses: Sequence[Mapping[str, Any]] | None = None
) -> Submitted:
    """Write a request with policy's answer: approved, pending or rejected. A token that was already used returns its request again.

    `losses`: which records it would delete, else the gate is asked. Only what is named there may be deleted when it is carried out.
    """
    ask = completed(gate, who, ask)
    lost = losses_of(gate, who, ask) if losses is None else losses
    before = weigh(gate, who, ask)
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        if ask.token and (known := stored.by_token(connection, ask.team, ask.token)) is not None:
            return Submitted(known, None, again=True)
        judged = _judged(gate, connection, ask, who, before)
        state: State = "draft" if draft else _state_of(judged)
        kept = _kept(judged, state, lost)
        request = stored.add(connection, ask, kept, requester=who.name, state=state, now=now)
        if state in ("pending", "approved"):
            _reserve(connection, request)
        notices.of_request(connection, gate.directory, request, now)
    return Submitted(request, judged)


def losses_of(gate: Bifrost, who: Actor, ask: Ask) -> list[dict[str, Any]]:
    """The records that a request would delete, by topic, with a `sentence` each, as far as this gate can look."""
    return [] if gate.losses is None else gate.losses(gate, who, ask)


def refuse_losses(losses: Sequence[Mapping[str, Any]], *, accepted: bool) -> None:
    """Raise Refused, with what is lost, unless the request allows it."""
    if losses and not accepted:
        told = "; ".join(str(loss["sentence"]) for loss in losses)
        raise Refused(told, "Nothing was asked for. If that is what you want, send it again with accept_losses=true.")


def _judged(gate: Bifrost, connection: Connection, ask: Ask, who: Actor, before: Judgement) -> Judgement:
    """The answer that counts, given while no other process writes. The nearest request was searched for earlier, as that takes longer; it is
    offered if it would pass now.
    """
    world = world_of(gate, connection, ask, who)
    judged = judge(gate.policy, ask, world, suggest=False)
    offer = before.nearest
    if judged.outcome == "allow" or offer is None:
        return judged
    there = world_of(gate, connection, offer, who)
    passes = judge(gate.policy, offer, there, suggest=False).outcome == "allow"
    return replace(judged, nearest=offer) if passes else judged


def submit_draft(
    gate: Bifrost, who: Actor, request_id: str, *, losses: Sequence[Mapping[str, Any]] | None = None
) -> Submitted:
    """Submit a draft: it is judged by the current state."""
    draft, _ = view(gate, who, request_id)
    lost = losses_of(gate, who, draft.ask) if losses is None else losses
    before = weigh(gate, who, draft.ask)
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        request = _mine(connection, who, request_id, "request.retry")
        judged = _judged(gate, connection, request.ask, who, before)
        state = _state_of(judged)
        kept = _kept(judged, state, lost)
        request = stored.move(connection, request, state, actor=who.name, now=now, reason=kept.reason, **kept.columns())
        if state in ("pending", "approved"):
            _reserve(connection, request)
        notices.of_request(connection, gate.directory, request, now)
    return Submitted(request, judged)


def _kept(judged: Judgement, state: State, losses: Sequence[Mapping[str, Any]]) -> StoredJudgement:
    document = {**judged.document(), "losses": list(losses)}
    return StoredJudgement(document, judged.by if state == "pending" else (), judged.usage, judged.sentence)


def decide(gate: Bifrost, who: Actor, request_id: str, *, approve: bool, reason: str | None = None) -> Request:
    """Approve or reject. If two people decide at once, one is refused; people can't decide their own requests."""
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        request = _get(connection, request_id)
        demand(who, "request.view", what_of(request), f"request {request_id}")
        if request.state != "pending":
            raise WrongUsage(f"request {request_id} is {request.state}: there is nothing to decide")
        demand(who, "request.decide", what_of(request), f"request {request_id}")
        if not approve:
            request = stored.move(connection, request, "rejected", actor=who.name, now=now, reason=reason)
            rows.give_names_back(connection, request.id)
        else:
            given = parties_of(who, request.by)
            left = tuple(party for party in request.by if party not in given)
            request = stored.move(
                connection, request, "pending" if left else "approved", actor=who.name, now=now, reason=reason,
                by=_json(left), approved_by=_json((*request.approved_by, who.name)),
            )  # fmt: skip
        notices.of_request(connection, gate.directory, request, now)
    return request


def cancel(gate: Bifrost, who: Actor, request_id: str, reason: str | None = None) -> Request:
    """Cancel a request that is not being applied."""
    with gate.store.write() as connection:
        request = _mine(connection, who, request_id, "request.cancel")
        request = stored.move(
            connection, request, "cancelled", actor=who.name, now=gate.store.now(connection), reason=reason
        )
        rows.give_names_back(connection, request.id)
        return request


def retry(gate: Bifrost, who: Actor, request_id: str) -> Request:
    """Retry a failed request."""
    with gate.store.write() as connection:
        request = _mine(connection, who, request_id, "request.retry")
        now = gate.store.now(connection)
        return stored.move(connection, request, "approved", actor=who.name, now=now, retry_at=None, attempts=0)


def expire(gate: Bifrost) -> list[Request]:
    """End the requests that were not decided in time."""
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        old = [
            r for r in stored.find(connection, in_states=["pending"]) if now - r.created_at > gate.directory.pending_s
        ]
        ended = [
            stored.move(connection, r, "expired", actor=POLICY, now=now, reason="not decided in time") for r in old
        ]
        for request in ended:
            rows.give_names_back(connection, request.id)
            notices.of_request(connection, gate.directory, request, now)
        return ended


def view(gate: Bifrost, who: Actor, request_id: str) -> tuple[Request, list[Move]]:
    """A request and its history, if this person may see it; otherwise it does not exist."""
    with gate.store.read() as connection:
        request = _get(connection, request_id)
        demand(who, "request.view", what_of(request), f"request {request_id}")
        return request, stored.history(connection, request_id)


def requests(gate: Bifrost, who: Actor, *, in_states: list[State] | None = None, last: int = 100) -> list[Request]:
    """The requests that a person may see, oldest first: those of their teams, and those that wait for their approval."""
    with gate.store.read() as connection:
        if who.data_engineer or who.auditor:
            return stored.find(connection, in_states=in_states, last=last)
        found = stored.find(connection, in_states=in_states, teams=[team for team, _ in who.teams], last=last)
        waiting = stored.find(connection, in_states=["pending"]) if in_states is None or "pending" in in_states else []
    known = {request.id for request in found}
    more = [r for r in waiting if r.id not in known and authorise(who, "request.view", what_of(r)).allowed]
    return sorted([*found, *more], key=lambda r: r.number)[-last:]


def what_of(request: Request) -> What:
    """A request as authorisation sees it."""
    return What(request.team, request.requester, request.by, approved_by=request.approved_by)


def world_of(gate: Bifrost, connection: Connection, ask: Ask, who: Actor) -> World:
    """What is known about the world, as far as it concerns this request."""
    names: set[str] = set()
    prefixes: set[str] = set()
    people = {user.name for user in ask.users}
    for item in ask.items():
        match item:
            case AccessWant():
                (prefixes if is_prefix(item.topic) else names).add(item.topic.removesuffix("*"))
                people.add(item.user)
            case ChangeWant():
                names.add(item.topic)
            case DeleteWant(what="user"):
                people.add(item.name)
            case _:
                names.add(item.name)
    head = headroom_of(gate, connection, ask.environment)
    topics = {}
    for _, row in rows.topics(connection, ask.environment, names=names, prefixes=prefixes):
        topics[row.name] = PolicyTopic(
            row.name,
            row.team,
            row.partitions,
            row.replication or head.default_replication,
            row.min_isr,
            row.retention_ms,
            row.throughput,
            frozenset(row.tags),
            rows.readers(connection, ask.environment, row.name, row.team) if ask.deletions else 0,
            row.origin == "bifrost",
        )
    users = {
        row.name: PolicyUser(row.name, row.team, row.origin == "bifrost")
        for _, row in rows.users(connection, ask.environment, names=people)
    }
    for kind, name, taker, certain in rows.taken_names(connection, ask.environment, names | people):
        if kind == "topic":
            topics.setdefault(name, PolicyTopic(name, taker, certain=certain))
        else:
            users.setdefault(name, PolicyUser(name, taker, certain=certain))
    for known in credentials.of_principals(connection, ask.environment, people):
        users.setdefault(known.principal, PolicyUser(known.principal, known.team, certain=False))
    team = gate.directory.by_name[ask.team]
    spaces = {prefix: other.name for other in gate.directory.teams for prefix in other.namespaces}
    used = rows.used(connection, ask.team, ask.environment) + stored.reserved(connection, ask.team, ask.environment)
    role = who.role_in(ask.team) or ("data-engineer" if who.data_engineer else "member")
    return World(team, role, topics, users, spaces, used, head)


def headroom_of(gate: Bifrost, connection: Connection, environment: str) -> Headroom:
    """What was last measured on the cluster; what was never measured is not known."""
    import json

    known = rows.value(connection, f"headroom:{environment}")
    return Headroom(**json.loads(known)) if known else Headroom()


def _state_of(judged: Judgement) -> State:
    return {"allow": "approved", "approval": "pending", "deny": "rejected"}[judged.outcome]  # type: ignore[return-value]


def _reserve(connection: Connection, request: Request) -> None:
    ask = request.ask
    names = [*(("topic", t.name) for t in ask.topics), *(("user", u.name) for u in ask.users)]
    rows.take_names(connection, request.environment, request.team, request.id, dict.fromkeys(names))


def _get(connection: Connection, request_id: str) -> Request:
    try:
        return stored.get(connection, request_id)
    except KeyError:
        raise NotFound(f"there is no request {request_id}") from None


def _mine(connection: Connection, who: Actor, request_id: str, action: str) -> Request:
    request = _get(connection, request_id)
    demand(who, action, what_of(request), f"request {request_id}")  # type: ignore[arg-type]
    return request


def _json(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)
