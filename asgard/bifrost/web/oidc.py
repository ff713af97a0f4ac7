"""Logging in with an OpenID provider, through Authlib: authorization code with PKCE, state and nonce; the ID token's signature is checked.

The provider says who somebody is; what they may do is in `bifrost.yaml`, which names people by their e-mail address or name.
If the ID token lacks these (a provider may give them only at its userinfo endpoint: OpenID Connect Core 1.0, section 5.4), it is asked there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, current_app, session, url_for

from asgard.bifrost.web.people import Person, named, of_provider
from asgard.core import events
from asgard.core.errors import Refused, Unreachable, WrongUsage

_NAME = "asgard-oidc"
TIMEOUT_S = 10.0
_AWAY = "the OpenID provider does not answer: try it again later, or log in with a token"


def install(app: Flask, issuer: str, client_id: str, client_secret: str) -> None:
    """Register the provider; it is asked for its addresses at the first login."""
    try:
        from authlib.integrations.flask_client import OAuth
    except ModuleNotFoundError as error:
        raise WrongUsage("an OpenID provider needs the extra `oidc`", "pip install 'asgard-kafka[oidc]'") from error
    parts = urlsplit(issuer)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise Refused(
            f"openid.issuer is {issuer}: anybody on the way could log in as anybody", "Use its https address."
        )
    oauth = OAuth(app)
    oauth.register(
        "provider",
        client_id=client_id,
        client_secret=client_secret,
        server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": "openid email profile",
            "code_challenge_method": "S256",
            "default_timeout": TIMEOUT_S,
        },
    )
    app.extensions[_NAME] = (oauth, issuer.rstrip("/"))


def begin(target: str) -> Any:
    """To the provider's page."""
    from requests import RequestException

    oauth, _ = current_app.extensions[_NAME]
    session["next"] = target
    try:
        return oauth.provider.authorize_redirect(url_for("login.back", _external=True))
    except (RequestException, ValueError, RuntimeError) as error:  # no answer, not JSON, or the addresses are missing
        events.warn(f"the OpenID provider does not answer: {type(error).__name__}: {error}")
        raise Unreachable(_AWAY) from error


def finish() -> tuple[Person | None, str]:
    """Back from the provider: the person, or why not. What the provider sent is never shown."""
    from authlib.common.errors import AuthlibBaseError
    from joserfc.errors import JoseError
    from requests import RequestException

    try:
        told = _told()
    except RequestException as error:
        events.warn(f"the OpenID provider does not answer: {type(error).__name__}: {error}")
        return None, _AWAY
    except (AuthlibBaseError, JoseError, ValueError, KeyError) as error:  # wrong state, code, signature, nonce, issuer
        events.warn(f"a login by the OpenID provider failed: {type(error).__name__}: {error}")
        return None, "the login did not work: try it again"
    email = told.get("email") if told.get("email_verified", False) is True else None
    for text in (email, told.get("preferred_username")):
        if isinstance(text, str) and text and (name := named(text)) is not None:
            return of_provider(name), ""
    return None, "you are logged in there, but no person here has that name or verified e-mail address"


def _told() -> Mapping[str, Any]:
    """What the provider says about the person: the ID token's claims, completed from the userinfo endpoint."""
    oauth, issuer = current_app.extensions[_NAME]
    client = oauth.provider
    token = client.authorize_access_token(claims_options={"iss": {"essential": True, "values": [issuer, f"{issuer}/"]}})
    claims: dict[str, Any] = dict(token["userinfo"])  # from the ID token; KeyError if there is none
    if (
        "email" in claims
        or "preferred_username" in claims
        or not client.load_server_metadata().get("userinfo_endpoint")
    ):
        return claims
    more = client.userinfo(token=token)
    if more.get("sub") != claims["sub"]:
        raise ValueError("the userinfo endpoint answered about another user")
    return {**more, **claims}
