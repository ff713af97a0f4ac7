"""The one web application: Bifrost's portal and API, with Heimdall's pages, behind one login. And the work behind it.

Odin does one thing at a time per process, so previews and the queue take turns. The queue runs on a separate thread: an approved
request is carried out while its page shows the progress.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Flask, get_flashed_messages, redirect, request, url_for

from asgard.bifrost import age
from asgard.bifrost.ask import Ask
from asgard.bifrost.desired import GrantRow
from asgard.bifrost.gate import Bifrost
from asgard.bifrost.teams import Actor, OpenIdProvider
from asgard.bifrost.web import ask as _ask  # noqa: F401  (its views belong to the portal)
from asgard.bifrost.web import guard, models, openapi, people
from asgard.bifrost.web.login import login_pages
from asgard.bifrost.web.portal import portal
from asgard.bifrost.web.site import EXTENSION, Handed, PortalSite, Proxy, RequestPreview, Traffic
from asgard.compose import (
    bifrost,
    bifrost_catalog,
    bifrost_credentials,
    bifrost_queue,
    bifrost_samples,
    bifrost_stack,
    bifrost_tick,
)
from asgard.core import events, paths
from asgard.core.errors import AsgardError, Busy, Refused, WrongUsage
from asgard.core.pages.parts import Link, Notice
from asgard.core.pages.render import install as install_pages
from asgard.kafka.connection import render_properties

if TYPE_CHECKING:
    from flask import Blueprint

TICK_S = 60.0
MOST_BYTES = 1024 * 1024
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class PortalWork:
    """What the portal does on the cluster, through the same functions as the command line."""

    def __init__(self) -> None:
        self._odin = threading.RLock()
        self._wanted = threading.Event()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def sync(self, gate: Bifrost, environment: str | None) -> None:
        """Import changes of the stack file."""
        bifrost_stack.sync(gate, gate.environment(environment))

    def change(self, gate: Bifrost, who: Actor, ask: Ask) -> RequestPreview:
        """Odin's preview."""
        with self._odin:
            found = bifrost.preview(gate, who, ask)
        return RequestPreview(found.changes, found.impossible)

    def losses(self, gate: Bifrost, who: Actor, ask: Ask) -> list[dict[str, Any]]:
        """The records that a request would delete: kept with it, and shown to its approvers."""
        with self._odin:
            return bifrost.losses(gate, who, ask)

    def carry_out(self) -> None:
        """Tell the queue to run soon."""
        self._wanted.set()

    def apply(self, gate: Bifrost, who: Actor, environment: str | None) -> tuple[int, int]:
        """Run the queue now."""
        with self._odin:
            done = bifrost_queue.apply_queue(gate, who, environment)
        return len(done.ready), len(done.failed)

    def adopt(self, gate: Bifrost, who: Actor, environment: str | None) -> list[GrantRow]:
        """Take over the ACLs of the stack's own users."""
        with self._odin:
            return bifrost_catalog.adopt(gate, who, environment)

    @contextlib.contextmanager
    def hand_over(
        self, gate: Bifrost, who: Actor, environment: str | None, user: str, key: str | None
    ) -> Iterator[Handed]:
        """Credentials of a user, once."""
        if key is not None:
            age.check_public_key(key)
        how: bifrost_credentials.How = "sealed" if key else "shown"
        with bifrost_credentials.handing_over(gate, who, environment, user, how) as secret:
            servers = secret.connection.bootstrap_servers
            text = f"bootstrap.servers={servers}\n{render_properties(secret.connection.properties)}"
            yield Handed(secret.principal, age.sealed(text, key) if key else text)

    def rotate(self, gate: Bifrost, who: Actor, environment: str | None, user: str) -> tuple[str, float]:
        """New credentials beside the old ones."""
        done = bifrost_credentials.rotate(gate, who, environment, user)
        return done.principal, done.until

    def sample(self, gate: Bifrost, who: Actor, topic: str, environment: str) -> models.SampleAnswer:
        """A few records of a topic."""
        return models.SampleAnswer.model_validate(asdict(bifrost_samples.sample(gate, who, topic, environment)))

    def traffic(self, gate: Bifrost, who: Actor, topic: str, environment: str) -> Traffic:
        """What the cluster knows about a topic."""
        try:
            live = bifrost_catalog.topic(gate, who, topic, environment)
        except AsgardError as error:
            return Traffic(problem=error.what)
        seen = live.measured
        return Traffic(
            live.records, live.size_bytes, live.lag or {}, seen.records_per_day if seen else None,
            seen.last_hour if seen else None, live.lineage, live.cost_per_month,
        )  # fmt: skip

    def start(self, site: PortalSite) -> None:
        """Start the thread that carries out approved requests, and runs the periodic work every minute."""
        self._thread = threading.Thread(
            target=events.carried(self._run), args=(site,), name="bifrost-queue", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Finish the current run, and stop."""
        self._over.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, site: PortalSite) -> None:
        tick_at = time.monotonic() + TICK_S
        while True:
            self._wanted.wait(max(0.0, tick_at - time.monotonic()))
            self._wanted.clear()
            if self._over.is_set():
                return
            due = time.monotonic() >= tick_at  # also when approvals come without a pause
            try:
                with self._odin:
                    bifrost_tick.tick(site.gate) if due else self._queue(site.gate)
            except Exception as error:  # a defect must not end the thread: requests would wait unexplained
                events.warn(f"the queue: {getattr(error, 'what', None) or f'{type(error).__name__}: {error}'}")
            if due:
                tick_at = time.monotonic() + TICK_S

    def _queue(self, gate: Bifrost) -> None:
        for environment in gate.directory.environments:
            if not bifrost_queue.waiting(gate, environment):
                continue
            try:
                bifrost_queue.run_queue(gate, environment.name, wait_s=30.0)
            except Busy:
                pass  # another command works on the cluster; the next tick tries again
            except AsgardError as error:
                events.warn(f"{environment.name}: {error.what}")


def create_app(
    gate: Bifrost,
    work: PortalWork,
    *,
    url: str = "http://127.0.0.1",
    proxy: Proxy | None = None,
    beside: Sequence[Blueprint] = (),
    links: Sequence[Link] = (),
) -> Flask:
    """The application. `url` is its public address; `beside` are other services' pages, for everyone with a role here."""
    app = Flask("asgard", static_folder=None)
    provider = gate.directory.provider
    secure = url.startswith("https://")
    host = urlsplit(url).netloc
    app.config.update(
        SECRET_KEY=secret_key(),
        SESSION_COOKIE_NAME="__Host-asgard" if secure else "asgard",
        SESSION_COOKIE_SECURE=secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=people.SESSION_S,
        MAX_CONTENT_LENGTH=MOST_BYTES,
        MAX_FORM_MEMORY_SIZE=MOST_BYTES,
        WTF_CSRF_TIME_LIMIT=None,
        TRUSTED_HOSTS=[host] if secure else [*LOOPBACK, host],
    )
    gate = replace(gate, losses=work.losses)
    app.extensions[EXTENSION] = PortalSite(gate, work, proxy=proxy, oidc=provider is not None)
    app.wsgi_app = people.FromProxy(app.wsgi_app, proxy.addresses if proxy else (), proxy.header if proxy else None)  # type: ignore[method-assign, assignment]
    install_pages(app)
    people.install(app)
    guard.install(app)
    if provider is not None:
        from asgard.bifrost.web import oidc

        oidc.install(app, provider.issuer, provider.client_id, _secret(provider))
    for blueprint in (login_pages, portal, openapi.api):
        app.register_blueprint(blueprint)
    for blueprint in beside:
        app.register_blueprint(blueprint)
        _behind_the_login(app, blueprint)
    app.add_url_rule("/", "first", guard.public(lambda: redirect(url_for("portal.mine"))))
    app.context_processor(lambda: _frame(links))
    if missing := guard.unguarded(app):
        raise RuntimeError(f"routes without authorisation: {', '.join(missing)}")
    return app


def _behind_the_login(app: Flask, blueprint: Blueprint) -> None:
    for endpoint, view in list(app.view_functions.items()):
        if not endpoint.startswith(f"{blueprint.name}.") or endpoint == f"{blueprint.name}.static":
            continue
        inner: Any = view

        def behind(who: Actor, *, inner: Any = inner, **path: str) -> Any:
            return inner(**path)

        app.view_functions[endpoint] = guard.guarded("catalog.view")(behind)


_PAGES = (("mine", "My services"), ("ask_first", "Ask"), ("requests_page", "Requests"), ("approvals", "Approvals"),
          ("catalog", "Catalogue"), ("grants", "Grants"), ("audit", "Record"), ("policy", "Policy"))  # fmt: skip


def _frame(links: Sequence[Link]) -> dict[str, Any]:
    """What every page has: its service, the logged-in user, the navigation, and what was just done."""
    person = people.caller() if request.endpoint else None
    nav: list[Link] = []
    if person is not None:
        who = person.actor
        for name, text in _PAGES:
            if name == "audit" and not (who.data_engineer or who.auditor or any(r == "owner" for _, r in who.teams)):
                continue
            if name == "ask_first" and not who.teams:
                continue
            current = request.endpoint == f"portal.{name}" or (name == "ask_first" and request.endpoint == "portal.ask")
            nav.append(Link(text, url_for(f"portal.{name}"), current))
        if who.data_engineer:
            nav.append(Link("Operations", url_for("portal.run"), request.endpoint == "portal.run"))
        nav += [Link(link.text, link.href, request.path.startswith(link.href)) for link in links]
    notices: list[Notice] = []
    if person is not None or request.endpoint == "login.login":
        said: Any = get_flashed_messages(with_categories=True)
        notices = [Notice(text, tone) for tone, text in said]
    return {
        "product": "Bifrost",
        "layout": "bifrost/layout.html",
        "who": person.name if person else None,
        "nav": nav,
        "notices": notices,
    }


def secret_key() -> bytes:
    """The key that signs sessions: random, created once, kept with the stacks' keys."""
    path = paths.home() / "keys" / "portal"
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    paths.private_dir(path.parent)
    paths.write_atomic(path, secrets.token_hex(32))
    return path.read_bytes()


def _secret(provider: OpenIdProvider) -> str:
    try:
        return provider.secret_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WrongUsage(f"{provider.secret_file}: the secret of the OpenID client can't be read: {reason}") from error


def check_address(host: str, url: str | None) -> None:
    """Raise Refused if sessions would cross a network unencrypted."""
    if host not in LOOPBACK and not (url or "").startswith("https://"):
        raise Refused(
            f"the portal on {host} would send sessions unencrypted over the network",
            "Put a proxy with TLS in front of it, and give the address people use: --url https://…",
        )
