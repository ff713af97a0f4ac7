"""Tolerances: whether a probe's result is within its allowed values. Pure. In the form and with the meaning of Chaos Toolkit.

true, 3, "text"              equal (a mapping with `status`: its status)
[1, 3]                       two: from the first to the second; another number of them: one of them
{type: range, range: [1, 3], target: KEY}
{type: regex, pattern: …, target: KEY}
{type: jsonpath, path: $.a, expect: …, count: …, target: KEY}
{type: probe, …}             an activity, which gets what was found as `value`

`target` is the key of the result to check. If Chaos Toolkit fails on a result (a number for a regex), it is out of
tolerance here. A number with a point can't be a tolerance there, and is refused here: use a range.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from asgard.core import jsonpath
from asgard.core.document import shown

TYPES = ("probe", "regex", "jsonpath", "range")


def problem(tolerance: Any) -> str | None:
    """What is wrong with a tolerance and what is allowed; None: nothing."""
    if isinstance(tolerance, bool | int | str | list):
        return None
    if not isinstance(tolerance, Mapping):
        return f"is {shown(tolerance)}; allowed are true, false, a whole number, text, a list, or a mapping with a type"
    kind = tolerance.get("type")
    if kind == "regex":
        return _pattern_problem(tolerance.get("pattern"))
    if kind == "jsonpath":
        return _path_problem(tolerance.get("path"))
    if kind == "range":
        bounds = tolerance.get("range")
        if not isinstance(bounds, list) or len(bounds) != 2 or any(_number(b) is None for b in bounds):
            return f"has the range {shown(bounds)}; allowed are two numbers, as in [0, 1.5]"
        return None
    if kind == "probe":
        return None if isinstance(tolerance.get("provider"), Mapping) else "is a probe without a provider"
    return f"has the type {shown(kind)}; allowed are {', '.join(TYPES)}"


def _pattern_problem(pattern: Any) -> str | None:
    if not isinstance(pattern, str):
        return f"has the pattern {shown(pattern)}; allowed is a regular expression"
    try:
        re.compile(pattern)
    except re.error as error:
        return f"has the pattern {pattern!r}, which is not a regular expression: {error}"
    return None


def _path_problem(path: Any) -> str | None:
    if not isinstance(path, str) or not path.strip():
        return f"has the path {shown(path)}; allowed is a JSONPath, as in $.brokers[0]"
    if "${" in path:
        return None  # known when the experiment runs
    try:
        jsonpath.parse(path.strip())
    except ValueError as error:
        return str(error)
    return None


def within(tolerance: Any, value: Any, probe: Callable[[Mapping[str, Any], Any], bool] | None = None) -> bool:
    """Whether a value is within a tolerance. `probe` runs the activity of one that is a probe, with the value."""
    try:
        return _within(tolerance, value, probe)
    except (TypeError, ValueError, AttributeError, KeyError, InvalidOperation):
        return False


def _within(tolerance: Any, value: Any, probe: Callable[[Mapping[str, Any], Any], bool] | None) -> bool:
    if isinstance(tolerance, bool | str):
        return bool(value == tolerance)
    if isinstance(tolerance, int):
        return bool((value["status"] if _has_status(value) else value) == tolerance)
    if isinstance(tolerance, list):
        if _has_status(value):
            return value["status"] in tolerance
        return bool(tolerance[0] <= value <= tolerance[1]) if len(tolerance) == 2 else value in tolerance
    if not isinstance(tolerance, Mapping):
        return False
    kind = tolerance["type"]
    if kind == "probe":
        return probe is not None and probe(tolerance, value)
    if target := tolerance.get("target"):
        value = value.get(target, value)
    if kind == "regex":
        return re.search(tolerance["pattern"], value) is not None
    if kind == "range":
        low, high = (Decimal(bound) for bound in tolerance["range"])
        return low <= Decimal(value) <= high
    return _on_path(tolerance, value)


def _on_path(tolerance: Mapping[str, Any], value: Any) -> bool:
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, str):
        with contextlib.suppress(ValueError):  # text that is not JSON is checked as it is
            value = json.loads(value)
    found = jsonpath.find(jsonpath.parse(tolerance["path"].strip()), value)
    if "expect" in tolerance:
        expect = tolerance["expect"]
        return bool(found == (expect if isinstance(expect, list) else [expect]))
    count = tolerance.get("count")
    return len(found) == count if count is not None else bool(found)


def _has_status(value: Any) -> bool:
    return isinstance(value, Mapping) and "status" in value


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) else None
