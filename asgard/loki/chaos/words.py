"""What an activity found, in words for people. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

LONGEST = 160
_REFUSED = 400
"""From this status on, an HTTP response is an error."""


def came(run: Mapping[str, Any]) -> str:
    """The result of an activity: its exception, or its output."""
    if run["status"] == "failed":
        return str((run.get("exception") or ["failed"])[-1]).strip()
    return output(run["output"])


def output(value: Any) -> str:
    """A function's value, a program's exit code with its last line, the status of an HTTP response."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and value.keys() == {"status", "stdout", "stderr"}:
        said = (str(value["stderr"]).strip() or str(value["stdout"]).strip()).splitlines()
        return f"exit code {value['status']}" + (f": {said[-1][:LONGEST]}" if said else "")
    if isinstance(value, Mapping) and value.keys() == {"status", "headers", "body"}:
        body = value["body"] if isinstance(value["body"], str) else json.dumps(value["body"], ensure_ascii=False)
        said = body.strip().splitlines()
        return f"HTTP {value['status']}" + (f": {said[0][:LONGEST]}" if said else "")
    return json.dumps(value, ensure_ascii=False, default=str)


def unjudged_failure(run: Mapping[str, Any]) -> str | None:
    """Why a program or HTTP call counts as failed although it ran; None: it does not, or a tolerance judges it.

    Chaos Toolkit counts all of them as succeeded, whatever the exit code or status.
    """
    activity = run["activity"]
    value = run["output"]
    kind = activity.get("provider", {}).get("type")
    if run["status"] != "succeeded" or "tolerance" in activity or not isinstance(value, Mapping):
        return None
    if (kind == "process" and value["status"] != 0) or (kind == "http" and value["status"] >= _REFUSED):
        return output(value)
    return None
