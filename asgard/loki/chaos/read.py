"""Reads an experiment file (YAML or JSON): checks all of it, and gives every problem its line and column."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgard.core.assign import assign
from asgard.core.document import Document, Loc, dotted
from asgard.core.errors import InvalidFile, Problem
from asgard.loki.chaos import variables
from asgard.loki.chaos.experiment import OWN, Abort, Activity, ActivityProvider, Experiment

if TYPE_CHECKING:
    from asgard.core.schema.experiment import ActivityEntry, ExperimentFile, ProviderEntry

_HYPOTHESIS = "steady-state-hypothesis"


def read(path: Path, assignments: Sequence[str] = ()) -> Experiment:
    """The experiment of a file; `NAME=VALUE` assignments go into its configuration. Raises InvalidFile and WrongUsage."""
    from asgard.core import yaml
    from asgard.core.schema.experiment import ExperimentFile
    from asgard.core.schema.validate import check

    document = yaml.read(path, references=False)
    for assignment in assignments:
        assign(document, f"configuration.{assignment}", free_keys=("configuration",))
    checked = check(document, ExperimentFile)
    problems = list(checked.problems)
    if checked.value is not None and _all_there(document.root, checked.value):
        problems += _Checks(document, checked.value).all(told=[p.field for p in problems])
    if checked.value is None or problems:
        raise InvalidFile(problems)
    return _experiment(document, checked.value)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of experiment files, for editors."""
    from asgard.core.schema.experiment import ExperimentFile

    return ExperimentFile.model_json_schema()


def _listed(file: ExperimentFile) -> Iterator[tuple[Loc, ActivityEntry]]:
    """Every activity with its place."""
    lists: list[tuple[Loc, Sequence[ActivityEntry]]] = [
        ((_HYPOTHESIS, "probes"), file.hypothesis.probes if file.hypothesis else []),
        (("method",), file.method),
        (("rollbacks",), file.rollbacks),
        (("asgard", "abort"), file.asgard.abort),
    ]
    for loc, entries in lists:
        for i, entry in enumerate(entries):
            yield (*loc, i), entry


def _all_there(root: Any, file: ExperimentFile) -> bool:
    """Whether every activity of the document is in the file: if one could not be read, the places of the others have shifted."""
    lists = ((_HYPOTHESIS, "probes"), ("method",), ("rollbacks",), ("asgard", "abort"))
    entries = [_at(root, loc) for loc in lists]
    written = sum(len(found) for found in entries if isinstance(found, list))
    return written == sum(1 for _ in _listed(file))


class _Checks:
    """What a schema can't express."""

    def __init__(self, document: Document, file: ExperimentFile) -> None:
        self.document, self.file = document, file
        self.names = {e.name for _, e in _listed(file) if e.ref is None}

    def all(self, told: Sequence[str]) -> Iterator[Problem]:
        """Every problem, except in activities that are already known to be wrong (`told`: the fields)."""
        for key, entries in (("configuration", self.file.configuration), ("secrets", self.file.secrets)):
            for name, entry in entries.items():
                if wrong := variables.problem(entry):
                    yield self.document.problem((key, name), wrong)
        for loc, entry in _listed(self.file):
            if not any(field.startswith(dotted(loc)) for field in told):
                yield from self.activity(loc, entry)

    def activity(self, loc: Loc, entry: ActivityEntry) -> Iterator[Problem]:
        """Problems of one activity."""
        if entry.ref is not None:
            if entry.ref not in self.names:
                yield self.document.problem((*loc, "ref"), f"is {entry.ref!r}; no activity has that name")
            return
        for key in ("type", "name", "provider"):
            if not getattr(entry, key):
                yield self.document.problem(loc, f"has no {key}; it is required")
        looks = loc[0] in (_HYPOTHESIS, "asgard")
        if looks and "tolerance" not in entry.model_fields_set:
            yield self.document.problem(loc, "has no tolerance; a probe of the steady state needs one")
        if looks and entry.type == "action":
            yield self.document.problem((*loc, "type"), "is action; allowed is probe")
        if entry.provider is not None:
            yield from self.provider((*loc, "provider"), entry.provider)

    def provider(self, loc: Loc, entry: ProviderEntry) -> Iterator[Problem]:
        """Problems of what carries it out."""
        needed = {"python": ("module", "func"), "process": ("path",), "http": ("url",)}[entry.type]
        for key in needed:
            if not getattr(entry, key):
                yield self.document.problem(loc, f"has no {key}; a provider of type {entry.type} needs it")
        if entry.type != "python" or entry.module not in OWN or not entry.func:
            return
        function = own(entry.module, entry.func)
        if function is None:
            from asgard.core.schema.validate import nearest

            known = functions(entry.module)
            message = f"is {entry.func!r}{nearest(entry.func, known)}; {entry.module} has {', '.join(known)}"
            yield self.document.problem((*loc, "func"), message)
            return
        arguments = entry.arguments if entry.arguments is not None else {}
        if not isinstance(arguments, dict):
            yield self.document.problem((*loc, "arguments"), "is not a mapping; allowed are arguments by their names")
            return
        yield from self.arguments((*loc, "arguments"), function, arguments)

    def arguments(self, loc: Loc, function: Callable[..., Any], arguments: dict[str, Any]) -> Iterator[Problem]:
        """Problems of the arguments of one of Loki's functions."""
        parameters = inspect.signature(function).parameters
        for name in arguments:
            if name not in parameters:
                allowed = f"allowed are {', '.join(parameters)}" if parameters else "it takes none"
                yield self.document.problem(
                    (*loc, name), f"is not an argument of {function.__name__}; {allowed}", at_key=True
                )
        for name, parameter in parameters.items():
            if parameter.default is parameter.empty and name not in arguments:
                yield self.document.problem(loc, f"has no {name}; {function.__name__} needs it")


def functions(module: str) -> list[str]:
    """The names of Loki's functions in one of its modules."""
    found: list[str] = import_module(module).__all__
    return list(found)


def own(module: str, name: str) -> Callable[..., Any] | None:
    """One of Loki's functions; None if it has none of that name."""
    return getattr(import_module(module), name) if name in functions(module) else None


def _experiment(document: Document, file: ExperimentFile) -> Experiment:
    raw: dict[Loc, Any] = {loc: _at(document.root, loc) for loc, _ in _listed(file)}
    by_name = {e.name: _activity(e, raw[loc]) for loc, e in _listed(file) if e.ref is None}
    made = {loc: by_name[e.ref] if e.ref is not None else _activity(e, raw[loc]) for loc, e in _listed(file)}

    def under(*loc: str) -> tuple[Activity, ...]:
        return tuple(activity for at, activity in made.items() if at[: len(loc)] == loc)

    return Experiment(
        title=file.title,
        description=file.description,
        file=document.file,
        probes=under(_HYPOTHESIS),
        method=under("method"),
        rollbacks=under("rollbacks"),
        tags=tuple(file.tags),
        hypothesis=file.hypothesis.title if file.hypothesis else None,
        configuration=file.configuration,
        secrets=file.secrets,
        aborts=tuple(Abort(p, e.for_) for p, e in zip(under("asgard"), file.asgard.abort, strict=True)),
        every_s=file.asgard.every,
        document=document.root,
    )


def _at(root: Any, loc: Loc) -> Any:
    """The value there; None if there is none."""
    for part in loc:
        try:
            root = root[part]
        except (KeyError, IndexError, TypeError):
            return None
    return root


def _activity(entry: ActivityEntry, source: dict[str, Any]) -> Activity:
    given = entry.provider
    assert given is not None and entry.type is not None and entry.name is not None
    provider = ActivityProvider(
        given.type, given.module or "", given.func or "", given.arguments, given.path or "", given.url or "",
        given.method.upper(), given.headers, given.timeout, given.verify_tls, given.max_retries, tuple(given.secrets),
    )  # fmt: skip
    pauses = entry.pauses
    return Activity(
        entry.type, entry.name, provider, entry.tolerance, pauses.before, pauses.after, entry.background, source
    )
