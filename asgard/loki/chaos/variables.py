"""The variables of an experiment: its `configuration` and `secrets`, and `${name}` replaced by them, as Chaos Toolkit does it.

A text that is just one variable becomes its value, such as a number; inside a text it becomes text. An unknown name stays
as it is.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from string import Template
from typing import Any

from asgard.core.errors import WrongUsage

_TYPES = {"str": str, "int": int, "float": float}


def configuration(entries: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """The values of a `configuration`. Raises WrongUsage if the environment lacks one."""
    return {name: _value(f"configuration.{name}", entry, environment) for name, entry in entries.items()}


def secrets(entries: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """The values of `secrets`, target by target. Raises WrongUsage if the environment lacks one."""
    found: dict[str, Any] = {}
    for name, entry in entries.items():
        nested = isinstance(entry, Mapping) and not isinstance(entry.get("type"), str)
        found[name] = secrets(entry, environment) if nested else _value(f"secrets.{name}", entry, environment)
    return found


def problem(entry: Any) -> str | None:
    """What is wrong with an entry of either, and what is allowed."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
        return None
    if entry["type"] != "env":
        return f"has the type {entry['type']!r}; allowed is env, or the value itself"
    if not isinstance(entry.get("key"), str):
        return "has no key; it is the name of a variable of the environment"
    kind = entry.get("env_var_type", "str")
    if not isinstance(kind, str) or kind not in _TYPES:
        return f"has the env_var_type {kind!r}; allowed are {', '.join(_TYPES)}"
    return None


def _value(where: str, entry: Any, environment: Mapping[str, str]) -> Any:
    if not isinstance(entry, Mapping) or entry.get("type") != "env":
        return entry
    name, kind = str(entry["key"]), str(entry.get("env_var_type", "str"))
    if name not in environment and "default" not in entry:
        raise WrongUsage(f"{where} is the variable {name} of the environment, and it is not set", f"Set {name}.")
    value = environment.get(name, entry.get("default"))
    try:
        return value if value is None else _TYPES[kind](value)
    except ValueError as error:
        raise WrongUsage(f"{where} is {name} of the environment, which is not of type {kind}") from error


class _Typed(Template):
    def put_in(self, values: Mapping[str, Any]) -> Any:
        match = self.pattern.fullmatch(self.template)
        name = (match["named"] or match["braced"]) if match else None
        return values[name] if name is not None and name in values else self.safe_substitute(values)


def put_in(data: Any, configuration: Mapping[str, Any], secrets: Mapping[str, Any]) -> Any:
    """The data with its variables replaced, at any depth; the data itself is left as it is."""
    values = ChainMap(dict(configuration), *(dict(v) for v in secrets.values() if isinstance(v, Mapping)))
    return _put_in(data, values)


def _put_in(data: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(data, str):
        return _Typed(data).put_in(values) if "$" in data else data
    if isinstance(data, Mapping):
        return {key: _put_in(value, values) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_put_in(value, values) for value in data]
    return data
