"""The same commands through a portal: `--portal URL`, with the token of ASGARD_PORTAL_TOKEN. Needs nothing of Bifrost here."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlsplit

import typer

from asgard.core.errors import AsgardError, Busy, Failed, Refused, Unreachable, WrongUsage

if TYPE_CHECKING:
    from urllib.error import HTTPError

TOKEN_VARIABLE = "ASGARD_PORTAL_TOKEN"
TIMEOUT_S = 30.0
WAIT_S = 120.0
Portal = Annotated[
    str | None,
    typer.Option(
        "--portal", metavar="URL", envvar="ASGARD_PORTAL", help="Ask a portal; its token: ASGARD_PORTAL_TOKEN."
    ),
]


def _opener() -> Any:
    from urllib.request import HTTPRedirectHandler, build_opener

    class NoRedirect(HTTPRedirectHandler):
        """Sends the token to the given address, and nowhere else."""

        def redirect_request(self, *_: Any) -> None:
            """Never."""
            return

    return build_opener(NoRedirect)


class Remote:
    """A portal's API."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise WrongUsage(f"--portal is {url!r}; allowed is an address, as in https://kafka.example.org")
        if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise Refused("the token would travel in the clear", "Use the portal's https address.")
        token = os.environ.get(TOKEN_VARIABLE, "")
        if not token:
            raise WrongUsage(
                f"{TOKEN_VARIABLE} is not set", "A token: asgard bifrost token create, or the portal's page."
            )
        self.base, self._token = url.rstrip("/") + "/api/v1", token
        self._open = _opener().open

    def call(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """One call. Returns its document. Raises the error that the portal's answer means."""
        from urllib.error import HTTPError
        from urllib.request import Request

        words = "&".join(f"{k}={quote(v)}" for k, v in query.items())
        data = None if body is None else json.dumps(body).encode()
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        asked = Request(f"{self.base}{path}{'?' if words else ''}{words}", data, headers, method=method)
        try:
            with self._open(asked, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except HTTPError as error:
            with error:
                raise _meaning(error) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise Unreachable(f"the portal {self.base} does not answer: {reason}", "Is the address right?") from error

    def until_done(self, request: dict[str, Any]) -> dict[str, Any]:
        """Wait until an approved request is ready or failed."""
        give_up = time.monotonic() + WAIT_S
        while request["state"] in ("approved", "applying") and time.monotonic() < give_up:
            time.sleep(0.5)
            request = self.call("GET", f"/requests/{quote(request['id'])}")
        request.pop("history", None)
        return request


def _meaning(error: HTTPError) -> AsgardError:
    try:
        told = json.load(error)
        what, hint = str(told["error"]), told.get("hint")
    except (ValueError, KeyError, TypeError, OSError):
        what, hint = f"the portal answered {error.code}", None
    if error.code in (401, 403, 409):
        return Refused(what, hint)
    if error.code in (429, 503):
        return Busy(what, hint)
    return WrongUsage(what, hint) if 400 <= error.code < 500 else Failed(what, hint)
