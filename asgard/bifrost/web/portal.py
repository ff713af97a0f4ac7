"""The pages that show: my services, catalogue, topic, requests, approvals, grants, users, budget, record, tokens."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for

from asgard.bifrost import catalog as seen
from asgard.bifrost import grants as given
from asgard.bifrost import notices, samples, service, tokens, trail
from asgard.bifrost.authorise import What, authorise
from asgard.bifrost.catalog import Entry
from asgard.bifrost.store import credentials, rows
from asgard.bifrost.teams import Actor
from asgard.bifrost.web import finders, show
from asgard.bifrost.web.api import whole
from asgard.bifrost.web.guard import guarded, nothing
from asgard.bifrost.web.site import plain, site
from asgard.core.pages.parts import Cell, Column, Facts, Field, Figure, Figures, Link, Notice, Part, Table
from asgard.core.units import format_size

portal = Blueprint("portal", __name__, url_prefix="/bifrost", template_folder="templates", static_folder="static")
A_PAGE = 200


def button(url: str, text: str, tone: str = "plain", back: str = "", **hidden: str) -> dict[str, Any]:
    """A button that does one thing."""
    return {"url": url, "text": text, "tone": tone, "back": back, "hidden": hidden}


def page(title: str, parts: list[Part], **more: Any) -> str:
    """A page of parts; only the parts if a live page refreshes them."""
    if request.args.get("parts"):
        return render_template("bifrost/parts.html", parts=parts)
    return render_template("bifrost/page.html", title=title, parts=parts, **more)


def live() -> str:
    """The address from which this page refreshes its parts."""
    return f"{request.path}?{'&'.join(filter(None, [request.query_string.decode('ascii', 'ignore'), 'parts=1']))}"


@portal.get("/")
@guarded("catalog.view")
def start(who: Actor) -> Any:
    """The first page."""
    return redirect(url_for("portal.mine"))


@portal.get("/mine")
@guarded("catalog.view")
def mine(who: Actor) -> str:
    """What my teams have, and what waits for me."""
    found = seen.mine(site().gate, who)
    figures = Figures(
        [
            Figure("Topics", str(len(found.topics)), ", ".join(found.teams) or "no team"),
            Figure("Users", str(len(found.users))),
            Figure("Open requests", str(len(found.open_requests))),
            Figure("Wait for you", str(len(found.to_decide)), tone="warn" if found.to_decide else "plain"),
        ]
    )
    parts: list[Part] = [figures]
    if found.to_decide:
        parts.append(show.requests(found.to_decide, "Waiting for you"))
    if found.open_requests:
        parts.append(show.requests(found.open_requests, "Open requests"))
    parts += [show.topics(found.topics, "Topics", "No topics yet: ask for one."), show.users(found.users),
              show.grants(found.grants)]  # fmt: skip
    parts.append(show.usage([u for team in found.teams for u in seen.usage(site().gate, who, team)]))
    return page("My services", parts, live=live())


@portal.get("/catalog")
@guarded("catalog.view")
def catalog(who: Actor) -> str:
    """Find topics."""
    words, at = request.args.get("search", ""), whole("page", 1, 100_000)
    found = seen.catalog(site().gate, who, words)
    part = found[(at - 1) * A_PAGE : at * A_PAGE]
    count = f"{len(found):,} topics" if len(found) != 1 else "1 topic"
    note = (
        f"{(at - 1) * A_PAGE + 1:,} to {(at - 1) * A_PAGE + len(part):,} of {count}" if len(found) > A_PAGE else count
    )
    table = show.topics(part, "Topics", "No topic has all of these words.", places=len(site().gate.directory.environments) > 1, note=note)  # fmt: skip
    last = max(1, -(-len(found) // A_PAGE))
    near = sorted({1, last, *range(max(1, at - 3), min(last, at + 3) + 1)})
    pages = [Link(str(n), url_for("portal.catalog", search=words or None, page=n), n == at) for n in near]
    field = Field("search", "Name, owner, description or tag", kind="search", value=words)
    return render_template("bifrost/catalog.html", title="Catalogue", table=table, field=field, pages=pages)


@portal.get("/topics/<name>")
@guarded("catalog.view")
def topic(who: Actor, name: str) -> str:
    """One topic."""
    gate = site().gate
    entry = seen.topic(gate, who, name, plain(request.args.get("environment")))
    facts = [
        ("Team", entry.team or "none"),
        ("Environment", entry.environment),
        ("Description", entry.description or "none"),
        ("Tags", ", ".join(entry.tags) or "none"),
        ("Partitions", str(entry.partitions)),
        ("Replicas", str(entry.replication or "as the cluster has it")),
        ("Retention", show.kept(entry.retention_ms) or "as the cluster has it"),
        ("Stands in", "the stack file" if entry.origin == "stack" else "Bifrost's file"),
    ]
    parts: list[Part] = [Facts("", facts)]
    if entry.consumers is not None and entry.producers is not None:
        parts.append(_used(entry))
        parts += _traffic(who, entry)
    acts, asks = [], []
    if (
        gate.directory.samples is not None
        and authorise(who, "topic.sample", samples.what_of(gate, entry.environment, name)).allowed
    ):
        acts.append(button(url_for("portal.sample", name=name, environment=entry.environment), "Look at records"))
    if who.role_in(entry.team) is not None:
        acts.append(button(url_for("portal.ask", kind="change", topic=name), "Change it", "info"))
    elif entry.team is not None and who.teams:
        acts.append(button(url_for("portal.ask", kind="access", topic=name), "Ask for access", "info"))
    what = What(entry.team, in_namespace_of=gate.directory.owner_of(name))
    if entry.team is None and authorise(who, "topic.claim", what).allowed:
        field = Field("team", "Team", kind="select", options=[(t.name, t.name) for t in gate.directory.teams], value=gate.directory.owner_of(name) or "", required=True)  # fmt: skip
        asks.append({"url": url_for("portal.do_claim", name=name, environment=entry.environment), "title": "Nobody owns it", "fields": [field], "text": "Claim it", "tone": "info", "back": request.path})  # fmt: skip
    return page(name, parts, links=acts, asks=asks)


@portal.get("/topics/<name>/sample")
@guarded("topic.sample", finders.a_sampled_topic)
def sample(who: Actor, name: str) -> str:
    """A few records of a topic."""
    where = finders.environment_asked(site().gate)
    back = button(url_for("portal.topic", name=name, environment=where), "Back to the topic")
    return page(f"Records of {name}", [show.records(site().work.sample(site().gate, who, name, where))], links=[back])


def _used(entry: Entry) -> Table:
    rows: list[list[Any]] = [[u, t or "none", "reads"] for u, t in entry.consumers or ()]
    rows += [[u, t or "none", "writes"] for u, t in entry.producers or ()]
    return Table("Who uses it", [Column("user"), Column("team"), Column("does")], rows, empty="Nobody yet.")


def _traffic(who: Actor, entry: Entry) -> list[Part]:
    told = site().work.traffic(site().gate, who, entry.name, entry.environment)
    if told.problem is not None:
        return [Notice(f"The cluster does not answer now: {told.problem}", "warn")]
    if told.records is None:
        return []
    figures = [Figure("Records", f"{told.records:,}", "at most"), Figure("Size", format_size(told.size_bytes or 0))]
    if told.arrived is not None:
        figures.append(Figure("Arrived", f"{told.arrived:,}", "in 24 hours"))
    if told.last_hour is not None:
        figures.append(
            Figure(
                "Last record", show.when(told.last_hour)[11:], f"or later, on {show.when(told.last_hour)[:10]} (UTC)"
            )
        )
    if told.cost_per_month:
        figures.append(
            Figure("Cost", f"{told.cost_per_month:.2f}", f"{site().gate.directory.costs.currency} a month, estimated")
        )
    return [Figures(figures), show.lag(told.lag), show.lineage(told.lineage)]


@portal.get("/requests")
@guarded("catalog.view")
def requests_page(who: Actor) -> str:
    """The requests that I may see."""
    return page("Requests", [show.requests(service.requests(site().gate, who, last=300), "Requests")], live=live())


@portal.get("/approvals")
@guarded("catalog.view")
def approvals(who: Actor) -> str:
    """What waits for me."""
    found = seen.mine(site().gate, who).to_decide
    return page("Approvals", [show.requests(found, "Waiting for you", "Nothing waits for you.")], live=live())


@portal.get("/grants")
@guarded("catalog.view")
def grants(who: Actor) -> str:
    """The grants that I may see."""
    own = {team for team, _ in who.teams}
    found = given.grants(site().gate, who)
    parts: list[Part] = [show.grants([p for p in found if p[1].team in own], "What your teams may do")]
    others = [p for p in found if p[1].team not in own]
    if others:
        parts.append(show.grants(others, "What others may do" if not who.auditor else "Other teams"))
    return page("Grants", parts)


@portal.get("/grants/<grant_id>")
@guarded("grant.view", finders.a_grant)
def grant(who: Actor, grant_id: str) -> str:
    """One grant: until when, and a longer time in one step."""
    environment, g = given.find(site().gate, who, grant_id)
    facts = [
        ("User", g.user),
        ("May", f"{show.MAY[g.field]} {g.name}"),
        ("Environment", environment),
        ("Team", g.team or "none"),
        ("Owner of the topic", g.owner or "none"),
        ("Granted at (UTC)", show.when(g.granted_at)),
        ("Ends at (UTC)", show.when(g.expires_at) or "no end"),
        ("Last used at (UTC)", show.when(g.used_at) or "not known"),
        ("On the cluster", g.state),
        ("Defined in", "the stack file" if g.origin == "adopted" else "Bifrost's file"),
    ]
    what, asks, acts = given.what_of(g), [], []
    if g.expires_at is not None and authorise(who, "grant.extend", what).allowed:
        field = Field("for", "For how long from now", value="30d", required=True, help="As in 30d.")
        asks.append({"url": url_for("portal.do_extend", grant_id=g.id), "title": "Keep it longer", "fields": [field],
                     "text": "Extend", "tone": "info", "back": request.path})  # fmt: skip
    if g.origin != "adopted" and authorise(who, "grant.withdraw", what).allowed:
        acts.append(
            button(url_for("portal.do_withdraw", grant_id=g.id), "Withdraw it", "bad", url_for("portal.grants"))
        )
    return page(f"Grant {g.id}", [Facts("", facts)], acts=acts, asks=asks)


@portal.get("/users/<user>")
@guarded("grant.view", finders.a_user)
def user(who: Actor, user: str) -> str:
    """A Kafka user of a team and its credentials."""
    gate, where = site().gate, finders.environment_asked(site().gate)
    with gate.store.read() as connection:
        row = rows.users(connection, where, names=[user])[0][1]
        known = credentials.of_user(connection, where, user)
    what = What(row.team)
    facts = Facts("", [("Team", row.team or "none"), ("Environment", where), ("Kafka users", ", ".join(row.principals) or user)])  # fmt: skip
    held = [p for p in given.grants(gate, who) if p[0] == where and p[1].user == user]
    acts, here = [], url_for("portal.user", user=user, environment=where)
    if known and known[-1].state == "ready" and authorise(who, "credentials.take", what).allowed:
        acts.append(button(url_for("portal.take", user=user), "Show the credentials, once", "info", environment=where))
    if known and row.origin == "bifrost" and authorise(who, "credentials.rotate", what).allowed:
        acts.append(button(url_for("portal.do_rotate", user=user), "Make new ones", back=here, environment=where))
    return page(user, [facts, show.credentials(known), show.grants(held, "What it may do")], acts=acts)


@portal.get("/teams/<team>")
@guarded("usage.view", finders.a_team)
def team(who: Actor, team: str) -> str:
    """A team: what it uses of its budget, and what it was told."""
    gate = site().gate
    parts: list[Part] = [show.usage(seen.usage(gate, who, team))]
    if authorise(who, "notices.view", What(team)).allowed:
        with gate.store.read() as connection:
            parts.append(show.told(notices.listed(connection, [team])[-100:]))
    return page(f"Team {team}", parts)


@portal.get("/teams/<team>/notices")
@guarded("notices.view", finders.a_team)
def team_notices(who: Actor, team: str) -> str:
    """What a team was told."""
    with site().gate.store.read() as connection:
        return page(f"Notices of {team}", [show.told(notices.listed(connection, [team])[-300:])])


@portal.get("/teams/<team>/audit")
@guarded("audit.view", finders.a_team)
def team_audit(who: Actor, team: str) -> str:
    """The record of a team."""
    return page(f"Record of {team}", [show.steps(trail.trail(site().gate, who, team))])


@portal.get("/audit")
@guarded("catalog.view")
def audit(who: Actor) -> str:
    """Who did what: data engineers and auditors see all of it, owners that of their team."""
    return page("Record", [show.steps(trail.trail(site().gate, who))])


@portal.get("/policy")
@guarded("policy.view")
def policy(who: Actor) -> str:
    """The policy as it is now."""
    found: list[list[str | Cell]] = [
        [r.name, ", ".join(r.kinds) or "all", "; ".join(c.text for c in r.when) or "always",
         Cell(show.WORDS[r.then][0], tone=show.WORDS[r.then][1]), r.because or ""]
        for r in site().gate.policy.rules
    ]  # fmt: skip
    columns = [Column(n) for n in ("rule", "for", "when", "then", "because")]
    note = "Refusing wins, then approval, then allowing. Where no rule matches, a data engineer approves."
    return page("Policy", [Table("Rules", columns, found, note=note)])


@portal.get("/run")
@guarded("apply.run", nothing)
def run(who: Actor) -> str:
    """What data engineers do by hand."""
    gate, back = site().gate, url_for("portal.run")
    place = Field("environment", "Environment", kind="select", options=[(e.name, e.name) for e in gate.directory.environments], required=True)  # fmt: skip
    asks = [
        {"url": url_for("portal.do_apply"), "title": "Run the queue", "fields": [place], "text": "Run it", "tone": "info", "back": back},
        {"url": url_for("portal.do_adopt"), "title": "Adopt what the stack file grants", "fields": [], "text": "Adopt", "tone": "plain", "back": back},
        {"url": url_for("portal.leaver"), "title": "Somebody left", "fields": [Field("person", "Person", required=True)], "text": "End their access to other teams' topics", "tone": "bad", "back": back},
    ]  # fmt: skip
    return page("Operations", [show.topics(seen.unowned(gate, who), "Topics without an owner", "Every topic has an owner.")], asks=asks)  # fmt: skip


@portal.get("/tokens")
@guarded("token.view", finders.own_tokens)
def tokens_page(who: Actor) -> str:
    """My tokens."""
    gate = site().gate
    found = tokens.listed(gate, who)
    now = gate.store.time()
    fields = [
        Field("about", "What it is for"),
        Field("scope", "Scope", kind="select", value="request", options=(("read", "read: look only"), ("request", "request: look and ask, for CI"), ("full", "full: everything you may do")), required=True),
        Field("for", "For how long", value="30d", required=True),
    ]  # fmt: skip
    asks = [{"url": url_for("portal.new_token"), "title": "A new token", "fields": fields, "text": "Make it", "tone": "info", "back": ""}]  # fmt: skip
    acts = [
        button(url_for("portal.do_revoke_token", token_id=t.id), f"Revoke {t.id}", "bad", request.path)
        for t in found
        if t.works(now) and authorise(who, "token.revoke", What(requester=t.person)).allowed
    ][:50]
    return page("Tokens", [show.tokens(found, now)], acts=acts, asks=asks)
