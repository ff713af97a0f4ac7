"""Counts of the code as it is: `python tools/counts.py [FOLDER]`. Modules, lines, names that repeat, long parameter lists, casts and `Any`.

A module counts where it has code; lines are those of its file. A function's parameters are all that it names but `self` and `cls`;
its positional ones are those that a caller may pass without a name.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

MANY = 6
SHOWN = 12


def main() -> None:
    """Print the counts of a folder (`asgard` by default)."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "asgard")
    files = [path for path in sorted(root.rglob("*.py")) if path.read_text().strip()]
    trees = {path: ast.parse(path.read_text()) for path in files}
    lines = [len(path.read_text().splitlines()) for path in files]
    print(
        f"modules {len(files)}, median {statistics.median(lines):g} lines, longest {max(lines)}, lines {sum(lines):,}"
    )
    for what, names in (
        ("file", Counter(path.stem for path in files if path.stem != "__init__")),
        (
            "class",
            Counter(node.name for tree in trees.values() for node in tree.body if isinstance(node, ast.ClassDef)),
        ),
    ):
        often = [(name, count) for name, count in names.most_common() if count > 1]
        print(f"{what} names that repeat {len(often)}: {', '.join(f'{n} {c}' for n, c in often[:SHOWN])}")
    functions = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    functions += [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]  # type: ignore[misc]
    commands = {node for path, tree in trees.items() if "cli" in path.parts for node in ast.walk(tree)}
    long = [f for f in functions if f not in commands and len(parameters(f.args)) > MANY]
    positional = [f for f in functions if f not in commands and len(parameters(f.args, named=False)) > MANY]
    print(
        f"functions with more than {MANY} parameters {len(long)}, of them positional {len(positional)} (without commands)"
    )
    print(
        f"casts {sum(calls(tree, 'cast') for tree in trees.values())}, Any {sum(uses(tree, 'Any') for tree in trees.values())}"
    )


def parameters(of: ast.arguments, *, named: bool = True) -> list[str]:
    """The names of a function's parameters."""
    found = [a.arg for a in (*of.posonlyargs, *of.args, *(of.kwonlyargs if named else ()))]
    return [name for name in found if name not in ("self", "cls")]


def calls(tree: ast.AST, name: str) -> int:
    """How often a function of that name is called."""
    return sum(isinstance(node, ast.Call) and named(node.func) == name for node in ast.walk(tree))


def uses(tree: ast.AST, name: str) -> int:
    """How often a name stands in an annotation or an expression."""
    return sum(1 for node in names_of(tree) if node.id == name)


def names_of(tree: ast.AST) -> Iterator[ast.Name]:
    """Every name that is read."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Name))


def named(function: ast.expr) -> str:
    """The name by which a function is called."""
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


if __name__ == "__main__":
    main()
