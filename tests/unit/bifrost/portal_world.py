"""A portal over a store of its own, with things of two teams in it, and people who are logged in. No cluster: the queue does not run."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from asgard.bifrost import service, tokens
from asgard.bifrost.desired import Desired, GrantRow, TopicRow, UserRow
from asgard.bifrost.gate import Bifrost, opened
from asgard.bifrost.read import request_of
from asgard.bifrost.store import queue, rows, tables
from asgard.bifrost.store.requests import Request, new_id
from asgard.bifrost.tokens import Scope
from asgard.compose import web
from asgard.core.pages.parts import Link

SHIPPED = Path(__file__).parents[3] / "templates" / "bifrost"
ROLES = {"member": "linus", "owner": "ada", "engineer": "edgar", "auditor": "audrey", "stranger": "nobody"}
SECRET_WORD = "hush-hush"
"""Stands in everything of team payments that members of orders may not see."""


@dataclass(frozen=True)
class Things:
    """One of each, of a team."""

    team: str
    topic: TopicRow
    unowned: str
    user: str
    grant: GrantRow
    request: Request
    token: str


@dataclass
class World:
    """The portal and its store."""

    gate: Bifrost
    app: Any
    numbers: Any

    def token(self, name: str, scope: Scope = "full") -> str:
        """A token of a person; the stranger's is of somebody who was taken out of bifrost.yaml."""
        if name != "nobody":
            return tokens.make(self.gate, self.gate.directory.actor(name), scope=scope, lasts_s=1e5)[1]
        made, secret = tokens.make(self.gate, self.gate.directory.actor("linus"), scope=scope, lasts_s=1e5)
        with self.gate.store.write() as connection:
            t = tables.tokens
            connection.execute(sa.update(t).where(t.c.id == made.id).values(person="nobody"))
        return secret

    def logged_in(self, name: str, scope: Scope = "full") -> tuple[Any, str]:
        """A browser of a person, and the token that its forms carry."""
        client = self.app.test_client()
        first = client.get("/login").text
        answer = client.post("/login", data={"token": self.token(name, scope), "csrf_token": csrf_of(first)})
        assert answer.status_code == 303 and answer.headers["Location"] == "/bifrost/mine", answer.text
        with client.session_transaction() as session:
            session["csrf_token"] = "0" * 40
        with self.app.test_request_context():
            from flask import session as current
            from flask_wtf.csrf import generate_csrf

            current["csrf_token"] = "0" * 40
            return client, generate_csrf()

    def put(self, *changed: TopicRow | UserRow | GrantRow) -> None:
        """Write rows as if Kafka had them."""
        with self.gate.store.write() as connection:
            desired, done = Desired(), []
            for row in changed:
                kind = "topic" if isinstance(row, TopicRow) else "user" if isinstance(row, UserRow) else "grant"
                done.append(desired.put(kind, row.key if isinstance(row, GrantRow) else row.name, row))
            rows.save(connection, "dev", desired, done, self.gate.store.now(connection))
            for row in changed:
                if isinstance(row, UserRow):
                    queue.add_credential(connection, "dev", row.name, row.name, row.team, 0.0)

    def things(self, team: str) -> Things:
        """One of each, new, of a team; with the secret word in what only that team may see."""
        n = next(self.numbers)
        other = "payments" if team == "orders" else "orders"
        person = {"orders": "linus", "payments": "ken"}[team]
        topic = TopicRow(f"{team}.t{n}", team, partitions=3, description="for everybody")
        free = TopicRow(f"{team}.free{n}", None)
        user = UserRow(f"{team}.u{n}", team, principals=(f"{team}.u{n}",))
        far = 4e9
        grant = GrantRow(
            user.name, "consume", topic.name, new_id("g"), team, team, None, person, "", "bifrost", 0.0, far
        )
        foreign = replace(grant, name=f"{other}.x{n}", id=new_id("g"), owner=other)
        self.put(topic, free, user, grant, foreign)
        actor = self.gate.directory.actor(person)
        wanted = request_of({"topics": [{"name": f"{team}.big{n}", "partitions": 30}], "reason": SECRET_WORD})
        request = service.submit(self.gate, actor, wanted).request
        token, _ = tokens.make(self.gate, actor, scope="read", lasts_s=1e5, about=SECRET_WORD)
        return Things(team, topic, free.name, user.name, grant, request, token.id)


def csrf_of(page: str) -> str:
    """The token of a page's forms."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found is not None, page
    return found[1]


@contextmanager
def portal(
    folder: Path, monkeypatch: Any, links: tuple[Link, ...] = (), yaml: str = "", **more: Any
) -> Iterator[World]:
    """A portal in a folder of its own. `yaml`: more lines of its bifrost.yaml."""
    from asgard.bifrost.web.guard import limiter

    monkeypatch.setenv("ASGARD_HOME", str(folder / "home"))
    for file in SHIPPED.glob("*.yaml"):
        shutil.copy(file, folder)
        (folder / file.name).chmod(0o644)
    text = (folder / "bifrost.yaml").read_text().replace("partitions: 60", "partitions: 100000")
    (folder / "bifrost.yaml").write_text(
        text.replace("partitions: 40", "partitions: 100000").replace("users: 5", "users: 900") + yaml
    )
    with opened(folder / "bifrost.yaml") as gate:
        app = web.create_app(gate, web.PortalWork(), links=links, **more)
        limiter.reset()
        yield World(gate, app, count())
