"""Schemas by id from a registry with Confluent's API (`GET /schemas/ids/ID`), each asked for once.

The login is that of the client properties (`basic.auth.user.info=user:password`), so that it never appears in an argument.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from asgard.core.errors import Failed, Unreachable, WrongUsage
from asgard.heimdall.tail.decode import SchemaOf, parse_schema

DEADLINE_S = 10.0
LOGIN = "basic.auth.user.info"
URL = "schema.registry.url"


def schemas(url: str, properties: Mapping[str, str] | None = None) -> SchemaOf:
    """A function that gives the Avro schema of an id. Raises WrongUsage for an invalid URL."""
    if not url.startswith(("http://", "https://")):
        raise WrongUsage(f"--registry is {url!r}; allowed is an http or https URL")
    known: dict[int, Any] = {}
    login = (properties or {}).get(LOGIN)

    def schema_of(number: int) -> Any:
        if number not in known:
            known[number] = _ask(url, number, login)
        return known[number]

    return schema_of


def _ask(url: str, number: int, login: str | None) -> Any:
    request = urllib.request.Request(f"{url.rstrip('/')}/schemas/ids/{number}", headers={"Accept": "application/json"})
    if login:
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        raise Failed(
            f"the registry {url} has no schema {number}: {error.code} {error.reason}",
            f"Is it the registry that the producer uses? A login goes into {LOGIN} of the client properties.",
        ) from error
    except (OSError, ValueError) as error:
        raise Unreachable(f"the registry {url} does not answer: {error}", "Check --registry.") from error
    if found.get("schemaType", "AVRO") != "AVRO":
        raise Failed(f"schema {number} is {found['schemaType']}, and only Avro is read", "Use --format hex.")
    try:
        return parse_schema(found["schema"])
    except (KeyError, ValueError) as error:
        raise Failed(f"the registry {url} gave no Avro schema for {number}: {error}") from error
