"""Reads a recipe from its file: fills in parameters, checks every step, reports all problems at once.

A recipe uses a parameter as `$name`, and `$$` is a plain `$`. A value that is just one parameter becomes the given value
(a number, a list); inside other text it becomes text. Values come from `--set`, else from the parameter's default.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

from asgard.core import yaml
from asgard.core.document import Document, Loc, Map, Seq, scalar, shown, text_of
from asgard.core.errors import InvalidFile, Problem, WrongUsage
from asgard.core.schema.recipe import ACTIONS, SHORT, RecipeFile, StepModel
from asgard.core.schema.validate import check, nearest
from asgard.thor.recipes.model import Parameter, Recipe, RecipeStep

_PARAMETER = re.compile(r"\$\$|\$([A-Za-z_][A-Za-z0-9_]*)")
_NAME = re.compile(r"[a-z_][a-z0-9_]*\Z")
_LITERAL = ("format", "recipe", "about", "parameters")


def read(path: Path, settings: Sequence[str] = (), *, examples: bool = False) -> Recipe:
    """Read a recipe file; `settings` are NAME=VALUE. With `examples`, a parameter that was not given gets its example.

    Raises InvalidFile with every problem, and WrongUsage (can't be read; a missing or unknown parameter).
    """
    document = yaml.read(path)
    parameters = _parameters(document)
    given = dict(_assignment(setting) for setting in settings)
    _refuse_unknown(path, parameters, given)
    missing = [name for name, p in parameters.items() if p.default is None and name not in given]
    if missing and not examples:
        wanted = "; ".join(f"{name}: {parameters[name].about}" for name in missing)
        example = " ".join(f"--set {name}={_as_text(parameters[name].example)}" for name in missing)
        raise WrongUsage(f"the recipe {path.stem} requires {wanted}", f"Add {example}, with your own value.")
    values = {n: given.get(n, p.example if p.default is None else p.default) for n, p in parameters.items()}
    used = _fill_in(document, values, given)
    checked = check(document, RecipeFile)
    problems = [*checked.problems, *_problems_of_parameters(document, parameters, used)]
    steps, wrong = _steps(document, "steps")
    on_failure, also_wrong = _steps(document, "on_failure")
    problems += [*wrong, *also_wrong]
    found = checked.value
    if found is not None and found.recipe != path.stem:
        problems.append(
            document.problem(("recipe",), f"is {found.recipe!r}; allowed is the name of the file, {path.stem}")
        )
    if problems or found is None:
        raise InvalidFile(problems)
    return Recipe(
        found.recipe,
        found.about,
        path,
        path.read_text(encoding="utf-8"),
        found.trigger.schedule,
        found.trigger.event,
        found.trigger.where,
        parameters,
        {name: _plain(value) for name, value in values.items()},
        tuple(found.when),
        found.timeout,
        steps,
        on_failure,
    )


def _parameters(document: Document) -> dict[str, Parameter]:
    """The valid parameters; problems with the others are found when the whole file is checked."""
    section = document.root.get("parameters") if isinstance(document.root, dict) else None
    if not isinstance(section, dict):
        return {}
    return {
        name: Parameter(str(entry.get("about", "")), entry.get("default"), entry.get("example"))
        for name, entry in section.items()
        if isinstance(entry, dict)
    }


def _assignment(setting: str) -> tuple[str, Any]:
    name, equals, text = setting.partition("=")
    if not equals or not name:
        raise WrongUsage(
            f"--set {setting}: is not an assignment", "Write it as --set NAME=VALUE, as in --set broker=3."
        )
    return name.strip(), yaml.read_text(text, f"--set {name}").root if text[:1] in ("[", "{") else scalar(text)


def _refuse_unknown(path: Path, parameters: Mapping[str, Parameter], given: Mapping[str, Any]) -> None:
    for name in given:
        if name not in parameters:
            known = ", ".join(parameters) or "none"
            raise WrongUsage(f"the recipe {path.stem} has no parameter {name!r}{nearest(name, parameters)}", f"Its parameters: {known}.")  # fmt: skip


def _fill_in(document: Document, values: Mapping[str, Any], given: Mapping[str, Any]) -> set[str]:
    """Replace `$name` with values, in the file's own document. Returns which parameters are used."""
    used: set[str] = set()

    def filled(node: Any, loc: Loc) -> Any:
        if isinstance(node, Map):
            new = copy(node)
            for key, value in node.items():
                new[key] = filled(value, (*loc, key))
            return new
        if isinstance(node, Seq):
            items = copy(node)
            items[:] = [filled(item, (*loc, i)) for i, item in enumerate(node)]
            return items
        return text_filled(node, loc) if isinstance(node, str) and "$" in node else node

    def text_filled(text: str, loc: Loc) -> Any:
        names = {match[1] for match in _PARAMETER.finditer(text) if match[1]}
        used.update(names)
        for name in sorted(names - set(values)):
            known = ", ".join(f"${n}" for n in values) or "none"
            document.problems.append(
                document.problem(loc, f"names ${name}; parameters are {known}, and $$ is a plain $")
            )
        if names & set(given):
            document.overrides[loc] = min(names & set(given))
        whole = _PARAMETER.fullmatch(text)
        if whole and whole[1] in values:
            return values[whole[1]]
        return _PARAMETER.sub(lambda m: "$" if m[1] is None else _as_text(values.get(m[1], m[0])), text)

    if isinstance(document.root, Map):
        root = copy(document.root)
        for key, value in document.root.items():
            root[key] = value if key in _LITERAL else filled(value, (key,))
        document.root = root
    return used


def _problems_of_parameters(
    document: Document, parameters: Mapping[str, Parameter], used: set[str]
) -> Iterable[Problem]:
    for name, parameter in parameters.items():
        loc = ("parameters", name)
        if not _NAME.match(name):
            yield document.problem(loc, "is not a name; allowed are small letters, digits and _", at_key=True)
        elif name not in used:
            yield document.problem(loc, f"is not used; a step would use it as ${name}", at_key=True)
        if parameter.default is None and parameter.example is None:
            yield document.problem(loc, "has neither a default nor an example; give one of them", at_key=True)


def _steps(document: Document, section: str) -> tuple[tuple[RecipeStep, ...], list[Problem]]:
    entries = document.root.get(section) if isinstance(document.root, dict) else None
    steps, problems = [], []
    for i, entry in enumerate(entries if isinstance(entries, list) else ()):
        loc: Loc = (section, i)
        action, given = next(iter(entry.items())) if isinstance(entry, dict) and len(entry) == 1 else (entry, None)
        if not isinstance(action, str):
            problems.append(
                document.problem(
                    loc, f"is {_kind(entry)}; allowed is one action, with what it needs: {', '.join(ACTIONS)}"
                )
            )
            continue
        if action not in ACTIONS:
            problems.append(
                document.problem(
                    loc, f"is not an action: {action}{nearest(action, ACTIONS)}; allowed are {', '.join(ACTIONS)}"
                )
            )
            continue
        value, wrong = _step(document, (*loc, action) if given is not None else loc, action, given)
        problems += wrong
        if value is not None:
            steps.append(RecipeStep(i + 1, action, value))
    return tuple(steps), problems


def _step(document: Document, loc: Loc, action: str, given: Any) -> tuple[StepModel | None, list[Problem]]:
    short = given is not None and not isinstance(given, dict)
    if short and action not in SHORT:
        return None, [document.problem(loc, f"is {shown(given)}; {action} takes a mapping, or nothing")]
    content = {SHORT[action]: given} if short else ({} if given is None else given)
    # A document of the step alone, so that its problems are reported with the step's place.
    part = Document(document.file, content, document.at)
    checked = check(part, ACTIONS[action])
    problems = []
    for problem in checked.problems:
        inside = problem.field
        if short and inside.startswith(SHORT[action]):
            inside = inside.removeprefix(SHORT[action]) if isinstance(given, list) else ""
        problems.append(document.problem((*loc, *_loc(inside)), problem.message, at_key="known key" in problem.message))
    return checked.value if not problems else None, problems


def _loc(name: str) -> Loc:
    """A dotted name of a step's field as a location: `that[0]`, `topics.orders`."""
    found: list[str | int] = []
    for part in re.findall(r"[^.\[\]]+|\[\d+\]", name):
        found.append(int(part[1:-1]) if part.startswith("[") else part)
    return tuple(found)


def _kind(entry: Any) -> str:
    return (
        f"a mapping of {len(entry)} keys ({', '.join(map(str, entry))})"
        if isinstance(entry, dict) and entry
        else shown(entry)
    )


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_as_text(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return text_of(value) if isinstance(value, int | float) else str(value)


def _plain(value: Any) -> Any:
    """A value without the positions it was read with."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, dict) else value
