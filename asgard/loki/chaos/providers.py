"""Carries out activities: Loki's functions, other Python functions, programs, HTTP calls. As Chaos Toolkit does it.

Only the first are Loki's own. The others run only if the caller allowed it: what they do is outside the blast radius, and Loki
can't put it back.
"""

from __future__ import annotations

import inspect
import itertools
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.client import InvalidURL
from importlib import import_module
from pathlib import Path
from typing import Any

from asgard.core import tolerance
from asgard.core.errors import Failed, WrongUsage
from asgard.loki.chaos.experiment import Activity, ActivityProvider
from asgard.loki.chaos.variables import put_in


@dataclass(frozen=True)
class Values:
    """The values of variables in a run."""

    configuration: Mapping[str, Any]
    secrets: Mapping[str, Any]

    def into(self, data: Any) -> Any:
        """The data with its variables replaced."""
        return put_in(data, self.configuration, self.secrets)


def call(provider: ActivityProvider, values: Values) -> Any:
    """Carry it out; returns the result. Raises whatever the function raises, and Failed."""
    filled = replace(
        provider,
        arguments=values.into(provider.arguments),
        url=values.into(provider.url),
        headers=values.into(provider.headers),
        timeout=values.into(provider.timeout),
    )
    if filled.type == "python":
        return _python(filled, values)
    return _process(filled) if filled.type == "process" else _http(filled, provider.url)


def within(wanted: Any, found: Any, values: Values) -> bool:
    """Whether a probe's result is within its tolerance; a tolerance that is itself a probe is called with the result."""

    def probe(activity: Mapping[str, Any], value: Any) -> bool:
        given = activity["provider"]
        provider = ActivityProvider(
            given["type"], given.get("module", ""), given.get("func", ""),
            {**(given.get("arguments") or {}), "value": value}, given.get("path", ""), given.get("url", ""),
        )  # fmt: skip
        try:
            return bool(call(provider, values))
        except Exception:  # whatever a foreign function raises: it did not say yes
            return False

    return tolerance.within(values.into(wanted), found, probe)


def _python(provider: ActivityProvider, values: Values) -> Any:
    try:
        function = getattr(import_module(provider.module), provider.func)
    except (ImportError, AttributeError) as error:
        raise WrongUsage(f"there is no function {provider.module}.{provider.func}: {error}") from error
    arguments = dict(provider.arguments or {})
    parameters = inspect.signature(function).parameters
    if provider.secrets and "secrets" in parameters:
        arguments["secrets"] = {k: v for name in provider.secrets for k, v in values.secrets.get(name, {}).items()}
    if "configuration" in parameters:
        arguments["configuration"] = dict(values.configuration)
    return function(**arguments)


def _process(provider: ActivityProvider) -> Any:
    path = shutil.which(str(Path(provider.path).expanduser()))
    if path is None:
        raise WrongUsage(f"there is no program {provider.path}")
    given = provider.arguments or []
    shell = isinstance(given, str)
    if isinstance(given, Mapping):
        given = list(itertools.chain.from_iterable(given.items()))
    command: Any = f"{path} {given}" if shell else [path, *(str(a) for a in given if a not in (None, ""))]
    try:
        done = subprocess.run(
            command, capture_output=True, shell=shell, timeout=provider.timeout, env=os.environ, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{provider.path} took longer than {provider.timeout} s") from error
    return {
        "status": done.returncode,
        "stdout": done.stdout.decode(errors="replace"),
        "stderr": done.stderr.decode(errors="replace"),
    }


def _http(provider: ActivityProvider, written: str) -> Any:
    """Errors name the address as `written`: what stands in it for a variable may be a secret, and so may what it is sent."""
    if not provider.url.startswith(("http://", "https://")):
        raise WrongUsage(f"{written} is not an address; allowed is http://… or https://…")
    headers = {str(k): str(v) for k, v in provider.headers.items()}
    url, body = provider.url, None
    if provider.arguments and provider.method == "GET":
        url += ("&" if "?" in url else "?") + urllib.parse.urlencode(provider.arguments, doseq=True)
    elif provider.arguments:
        as_json = headers.get("Content-Type") == "application/json"
        text = json.dumps(provider.arguments) if as_json else urllib.parse.urlencode(provider.arguments, doseq=True)
        body = text.encode()
    timeout = provider.timeout[-1] if isinstance(provider.timeout, list) else provider.timeout
    request = urllib.request.Request(url, body, headers, method=provider.method)
    for left in range(provider.max_retries, -1, -1):
        try:
            return _answer(request, timeout, provider.verify_tls)
        except (urllib.error.URLError, OSError) as error:
            if left == 0:
                raise Failed(f"{written} does not answer: {error}") from error
        except json.JSONDecodeError:
            raise
        except (InvalidURL, ValueError):  # they quote the address or a header
            raise Failed(
                f"{written} can't be called: its address or a header has a character that is not allowed there",
                "Look for blanks and line breaks in the values of variables.",
            ) from None
    return None


def _answer(request: urllib.request.Request, timeout: float | None, verify: bool) -> dict[str, Any]:
    import ssl

    context = None if verify else ssl._create_unverified_context()
    try:
        with urllib.request.urlopen(request, timeout=timeout or 60, context=context) as answer:
            status, headers, raw = answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        status, headers, raw = error.code, dict(error.headers), error.read()
    text = raw.decode(errors="replace")
    is_json = headers.get("Content-Type") == "application/json"
    return {"status": status, "headers": headers, "body": json.loads(text) if is_json else text}


def told(activity: Activity) -> str:
    """What an activity calls, with its arguments as they are written, for people."""
    provider = activity.provider
    if provider.type != "python":
        return str(provider)
    arguments = ", ".join(f"{name}={value!r}" for name, value in (provider.arguments or {}).items())
    return f"{provider.func if provider.own else provider}({arguments})"
