"""No two modules import each other, not inside functions and not for types alone: each can be read without the other."""

from __future__ import annotations

import ast
from pathlib import Path

import asgard

ROOT = Path(asgard.__file__).parent


def imports() -> dict[str, set[str]]:
    """Each module with the modules that it names, wherever the import stands."""
    files = {module(path): path for path in ROOT.rglob("*.py")}
    found: dict[str, set[str]] = {name: set() for name in files}
    for name, path in files.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found[name] |= {alias.name for alias in node.names} & files.keys()
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    found[name] |= {whole if whole in files else node.module} & files.keys()
    # A package's own modules may ask it for what it hands on, and it names them.
    return {name: {other for other in named if not name.startswith(f"{other}.")} for name, named in found.items()}


def module(path: Path) -> str:
    """The dotted name of a file."""
    parts = ("asgard", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_module_is_reached_from_what_it_imports() -> None:
    graph = imports()
    assert len(graph) > 500
    done: set[str] = set()
    circles = []
    for start in sorted(graph):
        path: list[str] = []

        def visit(name: str, path: list[str] = path) -> None:
            if name in path:
                circles.append(" -> ".join([*path[path.index(name) :], name]))
                return
            if name in done:
                return
            path.append(name)
            for other in sorted(graph[name]):
                visit(other)
            path.pop()
            done.add(name)

        visit(start)
    assert circles == []
