"""Identifies the caller: a session started with a token or an OpenID provider, a bearer token, or a trusted reverse proxy.

A session holds an id, never a right: each request looks up the token and the person again, so a revoked token or a person removed
from `bifrost.yaml` is locked out at once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from flask import Request, g, request
from flask_login import LoginManager, UserMixin

from asgard.bifrost import tokens
from asgard.bifrost.teams import Actor
from asgard.bifrost.tokens import Scope
from asgard.bifrost.web.site import site

SESSION_S = 8 * 3600.0


@dataclass(frozen=True)
class Person(UserMixin):  # type: ignore[misc]
    """A person who is logged in: in which way, and how much that way allows."""

    id: str
    name: str
    scope: Scope = "full"

    @property
    def actor(self) -> Actor:
        """The person with the roles that bifrost.yaml gives now."""
        return site().gate.directory.actor(self.name)


def of_token(secret: str) -> Person | None:
    """The person of a token."""
    token = tokens.of_secret(site().gate, secret)
    return None if token is None else Person(f"token:{token.id}", token.person, token.scope)


def of_provider(name: str) -> Person:
    """A person named by an OpenID provider; the session ends by itself."""
    return Person(f"oidc:{int(time.time() + SESSION_S)}:{name}", name)


def of_session(person_id: str) -> Person | None:
    """The person of a session, if it is still valid."""
    kind, _, rest = person_id.partition(":")
    if kind == "token":
        token = tokens.of_id(site().gate, rest)
        return None if token is None else Person(person_id, token.person, token.scope)
    until, _, name = rest.partition(":")
    if kind == "oidc" and until.isdecimal() and time.time() < int(until):
        return Person(person_id, name)
    return None


def of_request(asked: Request) -> Person | None:
    """The person of a request that has no session: for the API a bearer token, for pages the header of the proxy."""
    if asked.path.startswith("/api/"):
        # A proxy adds its header to what another site makes a browser send too, and the API asks for no CSRF token.
        scheme, _, secret = asked.headers.get("Authorization", "").partition(" ")
        return of_token(secret) if scheme.lower() == "bearer" else None
    proxy = site().proxy
    if proxy is not None and asked.environ.get("asgard.from_proxy"):
        name = asked.headers.get(proxy.header, "").strip()
        if name and (known := named(name)) is not None:
            return Person(f"proxy:{known}", known)
    return None


def named(text: str) -> str | None:
    """The person of bifrost.yaml whose name or e-mail address that is."""
    people = list(site().gate.directory.people())
    found = [p.name for p in people if p.name == text] or [p.name for p in people if p.email and p.email == text]
    return found[0] if found else None


def caller() -> Person | None:
    """The caller, or None. For the API only a bearer token counts, never a cookie: so no other site can send it along."""
    if "asgard_person" not in g:
        if request.path.startswith("/api/"):
            g.asgard_person = of_request(request)
        else:
            from flask_login import current_user

            g.asgard_person = current_user._get_current_object() if current_user.is_authenticated else None
    found: Person | None = g.asgard_person
    return found


def install(app: Any) -> None:
    """Set up Flask-Login with these ways to log in."""
    manager = LoginManager(app)
    manager.session_protection = "basic"
    manager.user_loader(of_session)
    manager.request_loader(of_request)


class FromProxy:
    """Proxy headers of a request count only if it comes from the proxy; from anywhere else they are removed."""

    def __init__(self, app: Any, addresses: tuple[str, ...], header: str | None) -> None:
        from werkzeug.middleware.proxy_fix import ProxyFix

        self.app, self.addresses = app, addresses
        self.fixed = ProxyFix(app, x_for=1, x_proto=1, x_host=1)
        self.header = None if header is None else "HTTP_" + header.upper().replace("-", "_")

    def __call__(self, environ: dict[str, Any], start: Any) -> Any:
        """WSGI."""
        if environ.get("REMOTE_ADDR") in self.addresses:
            environ["asgard.from_proxy"] = True
            return self.fixed(environ, start)
        for name in [n for n in environ if n.startswith("HTTP_X_FORWARDED_") or n in (self.header, "HTTP_FORWARDED")]:
            del environ[name]
        return self.app(environ, start)
