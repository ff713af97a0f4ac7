"""One entry point for all pages and calls: every route must name its action, and each asks `authorise`.

Errors become answers here: what a person may not see is answered as if it did not exist.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Flask, abort, current_app, jsonify, redirect, render_template, request, url_for
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import HTTPException, SecurityError

from asgard.bifrost.authorise import Action, What
from asgard.bifrost.gate import Bifrost, Denied, NotFound, demand
from asgard.bifrost.teams import Actor
from asgard.bifrost.tokens import permits
from asgard.bifrost.web.people import caller
from asgard.bifrost.web.site import site
from asgard.core.errors import AsgardError, Busy, Failed, Refused, Unreachable, WrongUsage

View = TypeVar("View", bound=Callable[..., Any])
Finder = Callable[..., tuple[What, str]]
"""Finds what a request is about: (gate, who, the values of the path) -> what authorisation looks at, and how to name it."""

HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Frame-Options": "DENY",
}
LIMIT = "600 per minute"
LOGIN_LIMIT = "10 per minute"
PUBLIC = frozenset({"asgard_pages.static", "portal.static"})
"""Files of the package: the same for everybody."""
csrf = CSRFProtect()
limiter = Limiter(
    key_func=lambda: _key(), default_limits=[LIMIT], storage_uri="memory://", headers_enabled=False, strategy="moving-window"
)  # fmt: skip


def _key() -> str:
    person = caller()
    return f"person:{person.name}" if person is not None else f"address:{get_remote_address()}"


def nothing(_gate: Bifrost, who: Actor, **_path: str) -> tuple[What, str]:
    """A page about nothing in particular."""
    return What(), "page"


def guarded(action: Action, what: Finder = nothing) -> Callable[[View], View]:
    """Let in people who may do that with what the path names. The view gets `who` and the values of the path."""

    def mark(view: View) -> View:
        @functools.wraps(view)
        def call(**path: str) -> Any:
            person = caller()
            if person is None:
                raise LoginFirst
            who, gate = person.actor, site().gate
            if not who.known:
                demand(who, action, What(), "page")
            demand(who, action, *what(gate, who, **path))
            if not permits(person.scope, action):
                raise Denied(f"this token is for {person.scope} only", "Make one with a wider scope.")
            return view(who=who, **path)

        call.asgard_action = action  # type: ignore[attr-defined]
        return call  # type: ignore[return-value]

    return mark


def public(view: View) -> View:
    """Open to everybody: the login, and the pages that say how to use the portal."""
    view.asgard_action = None  # type: ignore[attr-defined]
    return view


class LoginFirst(Exception):
    """The caller is not logged in."""


def limited(view: View) -> View:
    """A login: at most a few tries a minute."""
    made: View = limiter.limit(LOGIN_LIMIT)(view)
    return made


def unguarded(app: Flask) -> list[str]:
    """Routes without a guard: if there are any, the application does not start."""
    return sorted(
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if rule.endpoint not in PUBLIC and not hasattr(app.view_functions[rule.endpoint], "asgard_action")
    )


def install(app: Flask) -> None:
    """CSRF, limits, headers and answers for errors."""
    csrf.init_app(app)
    limiter.init_app(app)
    app.before_request(_only_guarded)
    app.after_request(_headers)
    app.register_error_handler(LoginFirst, _login_first)
    app.register_error_handler(AsgardError, _asgard_error)
    app.register_error_handler(HTTPException, _http_error)


def _only_guarded() -> None:
    endpoint = request.endpoint
    if endpoint is None or endpoint in PUBLIC:
        return
    if not hasattr(current_app.view_functions[endpoint], "asgard_action"):
        abort(404)


def _headers(response: Any) -> Any:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint not in PUBLIC:
        response.headers["Cache-Control"] = "no-store"
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    return response


def _login_first(_error: Exception) -> Any:
    if request.path.startswith("/api/"):
        answer = _answer(
            401, "log in with a token", "Authorization: Bearer TOKEN; `asgard bifrost token create` makes one."
        )
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    if request.headers.get("X-Requested-With"):
        return _answer(401, "your session has ended", "Load the page again.")
    target = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("login.login", next=target), 303)


def status_of(error: AsgardError) -> int:
    """The HTTP status of an error of Asgard."""
    table = (
        (NotFound, 404),
        (Denied, 403),
        (WrongUsage, 422),
        (Refused, 409),
        (Busy, 503),
        (Unreachable, 503),
        (Failed, 502),
    )
    return next((status for kind, status in table if isinstance(error, kind)), 500)


def _asgard_error(error: AsgardError) -> Any:
    answer = _answer(status_of(error), error.what, error.hint)
    if answer.status_code == 503:
        answer.headers["Retry-After"] = "5"
    return answer


def _http_error(error: HTTPException) -> Any:
    if error.code is None or error.code < 400 or isinstance(error, SecurityError):
        return error  # no page can be rendered for a foreign host: it has no links
    if isinstance(error, CSRFError):
        return _answer(400, "this form did not come from this portal, or it is too old", "Load the page again.")
    words = {
        404: "there is no such page",
        405: "that method is not for this address",
        429: "too many requests: try again later",
    }
    answer = _answer(error.code, words.get(error.code, (error.name or "error").lower()))
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            answer.headers[name] = value
    return answer


def _answer(status: int, what: str, hint: str | None = None) -> Any:
    if request.path.startswith("/api/"):
        answer = jsonify({"error": what, "hint": hint})
    else:
        from flask import make_response

        title = HTTPStatus(status).phrase
        answer = make_response(render_template("bifrost/error.html", title=title, status=status, what=what, hint=hint))
    answer.status_code = status
    return answer
