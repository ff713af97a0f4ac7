"""`heimdall serve`'s own application: the pages at the root, `/metrics`, `/healthz`, and a token if others can reach it.

The token comes as `Authorization: Bearer …`, or by the login page into a cookie. Without a token the application answers only to
addresses of this machine, so that no foreign web page reaches it through a name that resolves to this machine.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, jsonify, make_response, redirect, render_template, request, url_for

from asgard.core.pages.parts import Field
from asgard.core.pages.render import install
from asgard.heimdall import incidents, metrics
from asgard.heimdall.web import pages
from asgard.heimdall.web.source import MonitoredCluster

if TYPE_CHECKING:
    from collections.abc import Callable

SCRAPE_S = 60.0
"""What ended less than this ago is still in `/metrics`: it may have been shorter than the time between two scrapes."""
COOKIE = "asgard_heimdall"
STALE_S = 120.0
"""A picture older than this is not healthy."""
LOCAL = ("127.0.0.1", "localhost", "[::1]", "::1")
_OPEN = ("healthz", "login", "asgard_pages.static")


def create_app(source: MonitoredCluster, *, token: str | None = None, now: Callable[[], float]) -> Flask:
    """The application. With a token every request but those to `/healthz` needs it."""
    app = Flask("asgard.heimdall", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 64 * 1024
    if token is None:
        app.config["TRUSTED_HOSTS"] = list(LOCAL)
    install(app)
    app.register_blueprint(pages.blueprint(source, url_prefix=""))

    @app.get("/metrics")
    def metrics_() -> Response:
        picture = source.picture
        if picture is None:
            return Response("# the cluster was not looked at yet\n", 503, mimetype="text/plain")
        settings, at = source.settings, now()
        events = source.events(at - incidents.REACH_S)
        body = metrics.text(
            picture,
            settings.owners,
            source.raised(),
            incidents.happenings(events, picture.cluster_id, at - SCRAPE_S, at),
            max_series=settings.max_series,
            partitions=settings.partition_series,
        )
        return Response(body, content_type="text/plain; version=1.0.0; charset=utf-8; escaping=underscores")

    @app.get("/healthz")
    def healthz() -> Any:
        picture = source.picture
        age = None if picture is None else round(now() - picture.at, 1)
        well = age is not None and age < STALE_S and not source.problem
        return jsonify(healthy=well, looked_s_ago=age, problem=source.problem or None), 200 if well else 503

    if token is not None:
        _guard(app, token)
    return app


def _guard(app: Flask, token: str) -> None:
    session = hmac.new(secrets.token_bytes(32), token.encode(), hashlib.sha256).hexdigest()

    def right(given: str) -> bool:
        return hmac.compare_digest(given.strip().encode(), token.encode())

    @app.before_request
    def _check() -> Any:
        if request.endpoint in _OPEN:
            return None
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and right(given):
            return None
        if hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), session.encode()):
            return None
        if request.path.startswith("/api") or request.path == "/metrics" or request.args.get("part"):
            return Response("a token is needed\n", 401, {"WWW-Authenticate": "Bearer"}, mimetype="text/plain")
        return redirect(url_for("login"))

    @app.route("/login", methods=["GET", "POST"])
    def login() -> Any:
        error = ""
        if request.method == "POST":
            if right(request.form.get("token", "")):
                answer = make_response(redirect(url_for(f"{pages.NAME}.overview")))
                answer.set_cookie(
                    COOKIE, session, httponly=True, samesite="Strict", secure=request.is_secure, max_age=12 * 3600
                )
                return answer
            error = "is not the token"
        field = Field(
            "token",
            "Token",
            "password",
            error=error,
            required=True,
            help="The one that `asgard heimdall serve` was given.",
        )
        return render_template(
            "heimdall/login.html", title="Log in", product="Heimdall", field=field
        ), 401 if error else 200
