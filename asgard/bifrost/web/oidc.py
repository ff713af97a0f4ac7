"""Logging in with an OpenID provider, through Authlib: authorization code with PKCE, state and nonce; the ID token's signature is checked.

The provider says who somebody is; what they may do stands in `bifrost.yaml`, which names people by their e-mail address or name.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app, session, url_for

from asgard.bifrost.web.people import Person, named, of_provider
from asgard.core import events
from asgard.core.errors import Unreachable, WrongUsage

_NAME = "asgard-oidc"


def install(app: Flask, issuer: str, client_id: str, client_secret: str) -> None:
    """Know the provider; it is asked for its addresses at the first login."""
    try:
        from authlib.integrations.flask_client import OAuth
    except ModuleNotFoundError as error:
        raise WrongUsage("an OpenID provider needs the extra `oidc`", "pip install 'asgard-kafka[oidc]'") from error
    oauth = OAuth(app)
    oauth.register(
        "provider",
        client_id=client_id,
        client_secret=client_secret,
        server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid email profile", "code_challenge_method": "S256", "timeout": 10},
    )
    app.extensions[_NAME] = oauth


def begin(target: str) -> Any:
    """To the provider's page."""
    session["next"] = target
    try:
        return _client().authorize_redirect(url_for("login.back", _external=True))
    except Exception as error:
        raise Unreachable(f"the OpenID provider does not answer: {type(error).__name__}") from error


def finish() -> tuple[Person | None, str]:
    """Back from there: the person, or why not. What the provider sent is never shown."""
    try:
        told = _client().authorize_access_token().get("userinfo") or {}
    except Exception as error:  # wrong state, wrong code, wrong signature, no answer: no login
        events.warn(f"a login by the OpenID provider failed: {type(error).__name__}: {error}")
        return None, "the login did not work: try it again"
    email = told.get("email") if told.get("email_verified", False) is True else None
    for text in (email, told.get("preferred_username")):
        if isinstance(text, str) and text and (name := named(text)) is not None:
            return of_provider(name), ""
    return None, "you are logged in there, but nobody here has that name or verified e-mail address"


def _client() -> Any:
    return current_app.extensions[_NAME].create_client("provider")
