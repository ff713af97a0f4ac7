"""What the values of a path refer to, as authorisation sees it. Missing and hidden things raise the same message."""

from __future__ import annotations

from flask import request

from asgard.bifrost import samples, tokens
from asgard.bifrost.authorise import What
from asgard.bifrost.gate import Bifrost, NotFound
from asgard.bifrost.grants import what_of as what_of_grant
from asgard.bifrost.service import what_of as what_of_request
from asgard.bifrost.store import requests as stored
from asgard.bifrost.store import rows, tables
from asgard.bifrost.teams import Actor
from asgard.bifrost.web.site import plain


def environment_asked(gate: Bifrost) -> str:
    """The environment that a form, a body or a query names; the first one by default."""
    body = request.get_json(silent=True) if request.is_json else None
    named = body.get("environment") if isinstance(body, dict) else None
    return gate.environment(plain(named or request.form.get("environment") or request.args.get("environment"))).name


def a_request(gate: Bifrost, _who: Actor, *, request_id: str, **_more: str) -> tuple[What, str]:
    """A request by its id."""
    with gate.store.read() as connection:
        try:
            return what_of_request(stored.get(connection, request_id)), f"request {request_id}"
        except KeyError:
            raise NotFound(f"there is no request {request_id}") from None


def a_grant(gate: Bifrost, _who: Actor, *, grant_id: str, **_more: str) -> tuple[What, str]:
    """A grant by its id."""
    with gate.store.read() as connection:
        found = rows.placed_grants(connection, where=[tables.grants.c.id == grant_id])
    if not found:
        raise NotFound(f"there is no grant {grant_id}")
    return what_of_grant(found[0][1]), f"grant {grant_id}"


def a_user(gate: Bifrost, _who: Actor, *, user: str, **_more: str) -> tuple[What, str]:
    """A Kafka user by its name."""
    with gate.store.read() as connection:
        found = rows.users(connection, environment_asked(gate), names=[user])
    if not found:
        raise NotFound(f"there is no user {user}")
    return What(found[0][1].team), f"user {user}"


def a_topic(gate: Bifrost, _who: Actor, *, name: str, **_more: str) -> tuple[What, str]:
    """A topic by its name, for people who want to own it."""
    where = environment_asked(gate)
    with gate.store.read() as connection:
        found = rows.topics(connection, where, names=[name])
    if not found:
        raise NotFound(f"there is no topic {name} in {where}")
    return What(found[0][1].team, in_namespace_of=gate.directory.owner_of(name)), f"topic {name} in {where}"


def a_sampled_topic(gate: Bifrost, _who: Actor, *, name: str, **_more: str) -> tuple[What, str]:
    """A topic by its name, for people who want to see records of it."""
    where = environment_asked(gate)
    return samples.what_of(gate, where, name), f"topic {name} in {where}"


def a_team(gate: Bifrost, _who: Actor, *, team: str, **_more: str) -> tuple[What, str]:
    """A team by its name. Only those who see all teams learn whether there is one."""
    return What(team), f"team {team}"


def own_team(_gate: Bifrost, who: Actor, **_more: str) -> tuple[What, str]:
    """The team that a person asks for: any of theirs. Which one is checked once there is a request."""
    return What(who.teams[0][0] if who.teams else None), "requests"


def a_token(gate: Bifrost, _who: Actor, *, token_id: str, **_more: str) -> tuple[What, str]:
    """A token by its id."""
    return What(requester=tokens.find(gate, token_id).person), f"token {token_id}"


def own_tokens(_gate: Bifrost, who: Actor, **_more: str) -> tuple[What, str]:
    """One's own tokens."""
    return What(requester=who.name), "tokens"


def a_leaver(_gate: Bifrost, _who: Actor, *, person: str, **_more: str) -> tuple[What, str]:
    """A person who left; perhaps no longer in bifrost.yaml."""
    return What(), f"person {person}"
