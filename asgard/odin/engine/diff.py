"""Differences between property maps, and paths into them; pure.

A path is Pulumi's: `config["retention.ms"]`, `tags[0].name`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from asgard.odin.resources.values import UNKNOWN, Secret, Value, Values

Path = tuple[str | int, ...]
_PLAIN = re.compile(r"[A-Za-z_$][\w$-]*")
_PART = re.compile(r'\.?([^.\[\]"]+)|\[(\d+|\*)\]|\["((?:[^"\\]|\\.)*)"\]')


def render(path: Path) -> str:
    """The path as text."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += '["' + part.replace('"', '\\"') + '"]'
    return text


def parse(text: str) -> Path:
    """The path that a text names; `*` stands for every key or index."""
    parts: list[str | int] = []
    for name, index, quoted in _PART.findall(text):
        if index:
            parts.append(int(index) if index != "*" else "*")
        else:
            parts.append(name or quoted.replace('\\"', '"'))
    return tuple(parts)


def differences(old: Values, new: Values) -> dict[str, str]:
    """Path -> `add`, `update` or `delete`, as deep as maps and lists go; a value that only became secret is not a
    difference."""
    found: dict[str, str] = {}
    _compare(old, new, (), found)
    return found


def _compare(old: Value, new: Value, path: Path, found: dict[str, str]) -> None:
    old, new = _open(old), _open(new)
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            if key not in new:
                found[render((*path, key))] = "delete"
            elif key not in old:
                found[render((*path, key))] = "add"
            else:
                _compare(old[key], new[key], (*path, key), found)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            if index >= len(new):
                found[render((*path, index))] = "delete"
            elif index >= len(old):
                found[render((*path, index))] = "add"
            else:
                _compare(old[index], new[index], (*path, index), found)
    elif old is UNKNOWN or new is UNKNOWN or type(old) is bool or type(new) is bool:
        if old is not new:
            found[render(path)] = "update"
    elif old != new:
        found[render(path)] = "update"


def _open(value: Value) -> Value:
    while isinstance(value, Secret):
        value = value.value
    return value


def top(paths: Iterable[str]) -> list[str]:
    """The properties that paths begin with, each once, in order."""
    return list(dict.fromkeys(str(parse(path)[0]) for path in paths))


def covers(pattern: str, path: str) -> bool:
    """Whether the path is the pattern or inside it; `*` in the pattern stands for any part."""
    wanted, given = parse(pattern), parse(path)
    return len(wanted) <= len(given) and all(w in ("*", g) for w, g in zip(wanted, given, strict=False))


def keep_old(new: Values, old: Values, ignored: Iterable[str]) -> Values:
    """The new properties with each ignored path as it was before."""
    result: Any = new
    for text in ignored:
        result = _kept(result, old, parse(text))
    return dict(result)


def _kept(new: Any, old: Any, path: Path) -> Any:
    if not path:
        return old
    part, rest = path[0], path[1:]
    if isinstance(new, Secret):
        return Secret(_kept(new.value, _open(old), path))
    if isinstance(new, dict):
        old = old if isinstance(old, dict) else {}
        result = dict(new)
        for key in {**new, **old} if part == "*" else [str(part)]:
            if key not in old:
                if not rest:
                    result.pop(key, None)
            elif not rest:
                result[key] = old[key]
            elif key in result:
                result[key] = _kept(result[key], old[key], rest)
        return result
    if isinstance(new, list) and isinstance(old, list):
        items = list(new)
        for index in range(min(len(new), len(old))) if part == "*" else [part]:
            if isinstance(index, int) and index < min(len(new), len(old)):
                items[index] = _kept(items[index], old[index], rest)
        return items
    return new
