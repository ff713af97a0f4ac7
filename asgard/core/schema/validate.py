"""Checks a document against a model and says every problem with its place, in words.

What is wrong is cut out and the rest is read again, so that checks across sections can still run on what is sound and one
run names all problems.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Generic, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from asgard.core.document import Document, Loc, shown
from asgard.core.errors import Problem

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Checked(Generic[M]):
    """`value` is None where not enough is sound to look further; `kept` has the original indexes of each top-level list."""

    value: M | None
    problems: list[Problem]
    kept: dict[str, list[int]] = field(default_factory=dict)


def check(document: Document, model: type[M]) -> Checked[M]:
    """Read a document into a model; its own problems come first."""
    places = {(p.line, p.column) for p in document.problems}
    if not isinstance(document.root, dict):
        allowed = f"is {shown(document.root)}; allowed is a mapping of {', '.join(model.model_fields)}"
        return Checked(None, [*document.problems, document.problem((), allowed)])
    cut: set[Loc] = set()
    problems: list[Problem] = []
    value: M | None = None
    for attempt in range(4):
        try:
            value = model.model_validate(_without(document.root, (), cut) if cut else document.root)
            break
        except ValidationError as error:
            found = [(_original(document.root, e["loc"], cut), e) for e in error.errors(include_url=False)]
            if attempt == 0:
                problems = [_problem(document, model, loc, e) for loc, e in found]
            cut |= {_to_cut(loc, e["type"], attempt) for loc, e in found}
    sound = [p for p in problems if (p.line, p.column) not in places or p.line == 0]
    kept = {
        str(key): [i for i in range(len(items)) if (key, i) not in cut]
        for key, items in document.root.items()
        if isinstance(items, list)
    }
    return Checked(value, [*document.problems, *sound], kept)


def nearest(name: str, allowed: Iterable[str]) -> str:
    """`; did you mean …?` where something is near, else nothing."""
    near = get_close_matches(name, list(allowed), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _to_cut(loc: Loc, kind: str, attempt: int) -> Loc:
    """First the field, then the entry of a list that it stands in, then the whole section."""
    if attempt == 0 and kind != "missing":
        last = max((i for i, part in enumerate(loc) if isinstance(part, str)), default=0)
        return loc[: last + 1]
    if attempt <= 1 and len(loc) > 1:
        return loc[:2]
    return loc[:1]


def _without(node: Any, at: Loc, cut: set[Loc]) -> Any:
    if not any(path[: len(at)] == at for path in cut):
        return node
    if isinstance(node, dict):
        return {k: _without(v, (*at, k), cut) for k, v in node.items() if (*at, k) not in cut}
    if isinstance(node, list):
        return [_without(v, (*at, i), cut) for i, v in enumerate(node) if (*at, i) not in cut]
    return node


def _original(root: Any, loc: tuple[int | str, ...], cut: set[Loc]) -> Loc:
    """A location in the cut document as one in the whole."""
    found: Loc = ()
    node = root
    for part in loc:
        if isinstance(node, list) and isinstance(part, int):
            left = [i for i in range(len(node)) if (*found, i) not in cut]
            part = left[part] if part < len(left) else part
        found = (*found, part)
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            node = None
    return found


def _problem(document: Document, model: type[BaseModel], loc: Loc, error: Any) -> Problem:
    kind, value, ctx = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        allowed = list(_model_at(model, loc[:-1]).model_fields)
        message = f"is not a known key{nearest(str(loc[-1]), allowed)}; allowed are {', '.join(allowed)}"
        return document.problem(loc, message, at_key=True)
    if kind == "missing":
        return document.problem(loc, "is missing; it is required")
    if kind == "value_error":
        return document.problem(loc, str(ctx["error"]))
    if kind == "literal_error":
        choices = str(ctx["expected"]).replace("'", "")
        return document.problem(loc, f"is {shown(value)}; allowed is {choices}")
    return document.problem(loc, f"is {shown(value)}; allowed is {_allowed(kind, ctx, model, loc)}")


def _allowed(kind: str, ctx: dict[str, Any], model: type[BaseModel], loc: Loc) -> str:
    if kind in ("greater_than_equal", "less_than_equal"):
        return f"{ctx['ge']} or more" if "ge" in ctx else f"{ctx['le']} at most"
    if kind.startswith("int"):
        return "a whole number"
    if kind.startswith("bool"):
        return "true or false"
    if kind == "list_type":
        return "a list"
    if kind.startswith("model"):
        return f"a mapping of {', '.join(_model_at(model, loc).model_fields)}"
    if kind == "dict_type":
        return "a mapping"
    return str(ctx.get("expected", kind.replace("_", " ")))


def _model_at(model: type[BaseModel], loc: Loc) -> type[BaseModel]:
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)
