"""Sends a JSON document to a web hook, once. The caller decides on retries."""

from __future__ import annotations

import json
from typing import Any

from asgard.core.errors import Failed

_READ_BYTES = 1024
_BAD_MESSAGE = (400, 413, 415, 422)
"""What these answers reject is the message. Others (401, 403, 404, 410) concern the address or the key, which people mend."""


class Denied(Failed):
    """The receiver rejects it: retrying would not help."""


class BadMessage(Denied):
    """The receiver rejects this message; another one may get through."""


def post(url: str, body: Any, timeout_s: float) -> None:
    """POST as JSON. Raises Denied (4xx; BadMessage if it is the message), and Failed if a retry may help.

    Neither repeats the address, which may hold a token.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    request = Request(
        url,
        json.dumps(body, ensure_ascii=False).encode(),
        {"Content-Type": "application/json; charset=utf-8", "User-Agent": "asgard"},
    )
    try:
        with urlopen(request, timeout=timeout_s) as answer:
            answer.read(_READ_BYTES)
    except HTTPError as error:
        with error:
            error.read(_READ_BYTES)
        passing = error.code >= 500 or error.code in (408, 429)
        kind = Failed if passing else BadMessage if error.code in _BAD_MESSAGE else Denied
        raise kind(f"it answered {error.code} {error.reason}") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        said = str(reason).replace(url, "the address") or type(error).__name__
        raise Failed(said) from None
