"""Checks a document against a model and reports every problem with its place, in words.

Invalid parts are cut out and the rest is read again, so that checks across sections can still run on the valid parts
and one run reports all problems.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Generic, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from asgard.core.document import Document, Loc, shown
from asgard.core.errors import Problem

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Checked(Generic[M]):
    """`value` is None if too little is valid to check further; `kept` has the original indexes of each top-level
    list."""

    value: M | None
    problems: list[Problem]
    kept: dict[str, list[int]] = field(default_factory=dict)


def check(document: Document, model: type[M], stand_ins: Mapping[str, Any] | None = None) -> Checked[M]:
    """Read a document into a model; its own problems come first.

    `stand_ins` has values that replace invalid ones of that key, so that one mistake is not reported several times.
    """
    places = {(p.line, p.column) for p in document.problems}
    if not isinstance(document.root, dict):
        allowed = f"is {shown(document.root)}; allowed is a mapping of {', '.join(_fields(model))}"
        return Checked(None, [*document.problems, document.problem((), allowed)])
    cut: dict[Loc, Any] = {}
    problems: list[Problem] = []
    value: M | None = None
    for attempt in range(4):
        try:
            value = model.model_validate(_mended(document.root, _tree(cut)) if cut else document.root)
            break
        except ValidationError as error:
            lists: dict[Loc, list[int]] = {}
            found = [(_original(document.root, e["loc"], cut, lists), e) for e in error.errors(include_url=False)]
            if attempt == 0:
                problems = [_problem(document, model, loc, e) for loc, e in found]
            if not all(loc for loc, _ in found):
                break  # the problem is with the document as a whole: nothing can be cut out
            for loc, e in found:
                cut |= _cure(model, loc, e["type"], attempt, stand_ins or {})
    sound = [p for p in problems if (p.line, p.column) not in places or p.line == 0]
    kept = {
        str(key): [i for i in range(len(items)) if cut.get((key, i)) is not _GONE]
        for key, items in document.root.items()
        if isinstance(items, list)
    }
    return Checked(value, [*document.problems, *sound], kept)


def nearest(name: str, allowed: Iterable[str]) -> str:
    """`; did you mean …?` if something is similar, else nothing."""
    names = list(allowed)
    if len(names) > 500:  # comparing is slow: if there are many, only those with the same beginning and similar length
        names = [n for n in names if n[:2] == name[:2] and abs(len(n) - len(name)) <= 2][:200]
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


_GONE = object()


def _cure(model: type[BaseModel], loc: Loc, kind: str, attempt: int, stand_ins: Mapping[str, Any]) -> dict[Loc, Any]:
    """First with a stand-in or without the field, then without its entry in a list, then without the section."""
    if attempt == 0:
        last = max((i for i, part in enumerate(loc) if isinstance(part, str)), default=0)
        field_loc, key = loc[: last + 1], str(loc[last]) if loc else ""
        if kind == "extra_forbidden":
            meant = get_close_matches(key, _fields(_model_at(model, loc[:-1])), n=1, cutoff=0.6)
            instead = {(*loc[:-1], m): stand_ins[m] for m in meant if m in stand_ins}
            return {field_loc: _GONE, **instead}
        if key in stand_ins:
            return {field_loc: stand_ins[key]}
        if kind != "missing":
            return {field_loc: _GONE}
    return {loc[:2] if attempt <= 1 and len(loc) > 1 else loc[:1]: _GONE}


def _tree(cut: Mapping[Loc, Any]) -> dict[str | int, Any]:
    """The cuts by their path, so that a whole file is walked only once."""
    root: dict[str | int, Any] = {}
    for loc, instead in sorted(cut.items(), key=lambda item: -len(item[0])):
        node = root
        for part in loc[:-1]:
            node = node.setdefault(part, {})
        node[loc[-1]] = _Instead(instead)
    return root


@dataclass(frozen=True)
class _Instead:
    value: Any


def _mended(node: Any, tree: Mapping[str | int, Any]) -> Any:
    def item(part: str | int, value: Any) -> Any:
        inside = tree.get(part)
        if inside is None:
            return value
        return inside.value if isinstance(inside, _Instead) else _mended(value, inside)

    if isinstance(node, dict):
        added = {k: None for k, v in tree.items() if isinstance(v, _Instead) and v.value is not _GONE}
        values = {k: item(k, v) for k, v in {**added, **node}.items()}
        return {k: v for k, v in values.items() if v is not _GONE}
    if isinstance(node, list):
        return [v for v in (item(i, v) for i, v in enumerate(node)) if v is not _GONE]
    return node


def _original(root: Any, loc: tuple[int | str, ...], cut: Mapping[Loc, Any], lists: dict[Loc, list[int]]) -> Loc:
    """A location in the mended document as one in the file; `lists` records which items of each list were kept."""
    if not cut:
        return loc
    found: Loc = ()
    node = root
    for part in loc:
        if isinstance(node, list) and isinstance(part, int):
            if found not in lists:
                lists[found] = [i for i in range(len(node)) if cut.get((*found, i)) is not _GONE]
            part = lists[found][part] if part < len(lists[found]) else part
        found = (*found, part)
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            node = None
    return found


def _problem(document: Document, model: type[BaseModel], loc: Loc, error: Any) -> Problem:
    kind, value, ctx = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        allowed = list(_fields(_model_at(model, loc[:-1])))
        message = f"is not a known key{nearest(str(loc[-1]), allowed)}; allowed are {', '.join(allowed)}"
        return document.problem(loc, message, at_key=True)
    if kind == "missing":
        return document.problem(loc, "is missing; it is required")
    if kind == "value_error":
        return document.problem(loc, str(ctx["error"]))
    if kind == "literal_error":
        choices = str(ctx["expected"]).replace("'", "")
        near = nearest(str(value), choices.replace(" or ", ", ").split(", "))
        return document.problem(loc, f"is {shown(value)}{near}; allowed is {choices}")
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
        return f"a mapping of {', '.join(_fields(_model_at(model, loc)))}"
    if kind == "dict_type":
        return "a mapping"
    return str(ctx.get("expected", kind.replace("_", " ")))


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A model's fields by their keys in a file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model_at(model: type[BaseModel], loc: Loc) -> type[BaseModel]:
    for part in loc:
        if isinstance(part, str) and part in (fields := _fields(model)):
            model = _model_in(fields[part].annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)
