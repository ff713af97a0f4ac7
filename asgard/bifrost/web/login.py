"""Logging in and out. A token opens a session; with an OpenID provider, its own page does."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask_login import login_user, logout_user

from asgard.bifrost.web.guard import limited, public
from asgard.bifrost.web.people import of_token
from asgard.bifrost.web.site import site
from asgard.core.pages.parts import Field

login_pages = Blueprint("login", __name__)


def inside(target: str | None) -> str:
    """A place on this portal to go to; anything else is the first page."""
    text = target or ""
    if text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and "\\" not in text:
        return text
    return url_for("portal.mine")


@login_pages.get("/login")
@public
def login() -> str:
    """The login."""
    return _page([])


@login_pages.post("/login")
@limited
@public
def try_login() -> Any:
    """A token is tried."""
    person = of_token(request.form.get("token", ""))
    if person is None:
        return _page(["that token does not work: it is wrong, over, or revoked"]), 403
    begin(person)
    return redirect(inside(request.args.get("next")), 303)


def begin(person: Any) -> None:
    """A new session, with nothing of an older one in it."""
    session.clear()
    session.permanent = True
    login_user(person)


@login_pages.post("/logout")
@public
def logout() -> Any:
    """The session ends."""
    logout_user()
    session.clear()
    flash("You are logged out.", "info")
    return redirect(url_for("login.login"), 303)


@login_pages.get("/login/provider")
@limited
@public
def provider() -> Any:
    """To the OpenID provider."""
    from asgard.bifrost.web import oidc

    return oidc.begin(inside(request.args.get("next"))) if site().oidc else redirect(url_for("login.login"), 303)


@login_pages.get("/login/back")
@limited
@public
def back() -> Any:
    """Back from the OpenID provider."""
    from asgard.bifrost.web import oidc

    if not site().oidc:
        return redirect(url_for("login.login"), 303)
    person, problem = oidc.finish()
    if person is None:
        return _page([problem]), 403
    target = session.get("next")
    begin(person)
    return redirect(inside(target), 303)


def _page(errors: list[str]) -> str:
    field = Field("token", "Token", kind="password", required=True, autocomplete="current-password")
    target = inside(request.args.get("next"))
    return render_template(
        "bifrost/login.html", title="Log in", field=field, errors=errors, oidc=site().oidc, target=target
    )
