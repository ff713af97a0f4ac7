"""No module gets round the contract of layers: imports by name stand in few places, and never reach another package of Asgard's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import asgard

ROOT = Path(asgard.__file__).parent
BY_NAME = {
    "cli/main.py": "the command that was asked for, so that the others cost no time",
    "loki/chaos/kinds.py": "Loki's own fault of that name",
    "loki/chaos/providers.py": "the function that an experiment names, of whatever package",
    "loki/chaos/read.py": "Loki's own actions and probes",
}
"""The modules that may import by name, and what."""
WORDS = re.compile(r"import_module|__import__|resolve_name|run_module")
SOURCES = {str(path.relative_to(ROOT)): path for path in sorted(ROOT.rglob("*.py"))}


def importers(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls that import a module by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if WORDS.fullmatch(name):
                yield node


def names_of_asgard(tree: ast.AST) -> Iterator[str]:
    """Dotted names of Asgard's modules that stand in the texts of a module, f-strings included."""
    docs = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docs:
            text = node.value
            if text.startswith("asgard.") and " " not in text:
                yield text


def hidden(name: str, source: str) -> list[str]:
    """What a module imports by name although it may not."""
    if not WORDS.search(source):
        return []
    tree = ast.parse(source)
    if not list(importers(tree)):
        return []
    if name not in BY_NAME:
        return [f"{name} imports by name"]
    package = name.split("/")[0]
    return [f"{name} names {found}" for found in names_of_asgard(tree) if found.split(".")[1] != package]


def test_nothing_is_imported_by_name_around_the_layers():
    assert [found for name, path in SOURCES.items() for found in hidden(name, path.read_text())] == []


def test_every_exception_is_still_one():
    assert {
        name
        for name, path in SOURCES.items()
        if WORDS.search(text := path.read_text()) and list(importers(ast.parse(text)))
    } == set(BY_NAME)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("loki/chaos/session.py", "from importlib import import_module\nimport_module('asgard.compose.holding')"),
        ("loki/chaos/kinds.py", "import importlib\nimportlib.import_module('asgard.thor.status')"),
        ("loki/chaos/kinds.py", "NAME = 'asgard.thor'\n__import__(f'asgard.thor.{NAME}')"),
        ("thor/status.py", "import pkgutil\npkgutil.resolve_name('asgard.odin.program:project')"),
    ],
)
def test_a_hidden_import_is_found(name, source):
    assert hidden(name, source)
