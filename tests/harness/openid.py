"""An OpenID provider on this machine: pyop's, which checks clients, codes and PKCE as in production, behind a page to choose who one is.

Tests take hold of it where an attacker or a fault would: `tamper` changes the ID token's claims, `other_key` signs with a key that the
provider does not publish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flask import Flask, jsonify, redirect, request

from tests.harness.chromium import serving

CLIENT, SECRET = "bifrost", "a secret of the client"


class OpenId:
    """The provider. `people` are its accounts: name to claims."""

    def __init__(self, people: Mapping[str, Mapping[str, Any]]) -> None:
        self.people = people
        self.redirect_uris: list[str] = []
        self.tamper: Callable[[dict[str, Any]], None] = lambda claims: None
        self.asked: list[dict[str, str]] = []
        self.in_id_token = False
        self.app = Flask("openid")
        self.url = ""
        self._provider: Any = None
        self._keys: tuple[Any, Any] | None = None

    def begin(self, url: str) -> None:
        """Serve at this address."""
        from Cryptodome.PublicKey import RSA
        from cryptography.hazmat.primitives import serialization as pem
        from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
        from jwkest.jwk import RSAKey
        from jwkest.jws import JWS
        from pyop.authz_state import AuthorizationState
        from pyop.provider import Provider
        from pyop.subject_identifier import HashBasedSubjectIdentifierFactory
        from pyop.userinfo import Userinfo

        self.url = url.rstrip("/")

        def key() -> Any:
            # OpenSSL makes one at once; in Python it takes seconds.
            made = generate_private_key(65537, 2048)
            text = made.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
            return RSAKey(key=RSA.import_key(text), alg="RS256", kid="k", use="sig")

        mine, other = key(), key()
        self._keys = mine, other
        configuration = {
            "issuer": "https://localhost",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/jwks",
            "scopes_supported": ["openid", "email", "profile"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
        }
        client = {"client_secret": SECRET, "redirect_uris": self.redirect_uris, "response_types": ["code"]}
        state = AuthorizationState(HashBasedSubjectIdentifierFactory("salt"))
        self._provider = Provider(mine, configuration, state, {CLIENT: client}, Userinfo(dict(self.people)))
        # It takes https only, as it should; on this machine's loopback there is nobody to listen.
        self._provider.configuration_information["issuer"] = self.url
        inner = self._provider._create_signed_id_token

        def signed(*args: Any) -> Any:
            claims = JWS().verify_compact(inner(*args), [self._provider.signing_key])
            self.tamper(claims)
            return JWS(claims, alg="RS256").sign_compact([self._provider.signing_key])

        self._provider._create_signed_id_token = signed
        for rule, view in (("/.well-known/openid-configuration", self._configuration), ("/authorize", self._authorize),
                           ("/jwks", self._jwks), ("/token", self._token), ("/userinfo", self._userinfo)):  # fmt: skip
            methods = ["POST"] if rule == "/token" else ["GET"]
            self.app.add_url_rule(rule, rule, view, methods=methods)

    def other_key(self, *, on: bool) -> None:
        """Sign with a key that nobody publishes."""
        assert self._keys is not None
        self._provider.signing_key = self._keys[1 if on else 0]

    def _configuration(self) -> Any:
        return jsonify(self._provider.provider_configuration.to_dict())

    def _jwks(self) -> Any:
        assert self._keys is not None
        return jsonify({"keys": [self._keys[0].serialize()]})

    def _authorize(self) -> Any:
        asked = self._provider.parse_authentication_request(request.query_string.decode())
        self.asked.append(asked.to_dict())
        who = request.args.get("who")
        if who is None:
            links = "".join(f'<li><a href="{request.url}&who={name}">I am {name}</a></li>' for name in self.people)
            return f'<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>Provider</title><ul>{links}</ul></html>'
        if who == "nobody-at-all":
            return redirect(f"{asked['redirect_uri']}?error=access_denied&state={asked['state']}")
        claims = dict(self.people[who]) if self.in_id_token else {}
        return redirect(self._provider.authorize(asked, who, claims).request(asked["redirect_uri"]))

    def _token(self) -> Any:
        from pyop.exceptions import InvalidClientAuthentication, OAuthError

        try:
            told = self._provider.handle_token_request(request.get_data().decode(), dict(request.headers))
        except InvalidClientAuthentication:
            return jsonify({"error": "invalid_client"}), 401
        except OAuthError as error:
            return jsonify({"error": error.oauth_error, "error_description": str(error)}), 400
        return jsonify(told.to_dict())

    def _userinfo(self) -> Any:
        return jsonify(self._provider.handle_userinfo_request("", dict(request.headers)).to_dict())


@contextmanager
def provider(people: Mapping[str, Mapping[str, Any]]) -> Iterator[OpenId]:
    """A provider on a free port."""
    made = OpenId(people)
    with serving(made.app) as url:
        made.begin(url)
        yield made
