"""Contexts: the clusters this user works with, by name.

They live in `contexts.json` under ASGARD_HOME and hold the path of a client properties file, never a credential. A context
keeps the cluster id it saw first: a change through servers that answer with another id is refused.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from asgard.core import paths
from asgard.core.errors import Refused, WrongUsage


@dataclass(frozen=True)
class Context:
    """A cluster by name. `protected`: changes require `--confirm NAME`; `heal` allows healing anyway."""

    name: str
    bootstrap_servers: str
    client_properties: str | None = None
    cluster_id: str | None = None
    stack: str | None = None
    protected: bool = False
    heal: bool = False


@dataclass(frozen=True)
class Contexts:
    """All contexts and the current one."""

    current: str | None
    by_name: dict[str, Context]

    def pick(self, name: str | None) -> Context:
        """The context of that name, else the current one, else the only one."""
        wanted = name or self.current or (next(iter(self.by_name)) if len(self.by_name) == 1 else None)
        known = ", ".join(sorted(self.by_name)) or "none yet"
        if wanted is None:
            raise WrongUsage(
                f"no cluster was named (contexts: {known})",
                "Name one with --context NAME, or with --bootstrap-server HOST:PORT; `asgard odin up` adds a context.",
            )
        if wanted not in self.by_name:
            raise WrongUsage(f"there is no context {wanted!r} (contexts: {known})", "`asgard context add` adds one.")
        return self.by_name[wanted]


def _file() -> Path:
    return paths.home() / "contexts.json"


def load() -> Contexts:
    """Read the contexts; none if the file does not exist."""
    path = _file()
    if not path.exists():
        return Contexts(None, {})
    try:
        document = json.loads(path.read_text())
        return Contexts(document.get("current"), {c["name"]: Context(**c) for c in document["contexts"]})
    except (ValueError, KeyError, TypeError) as error:
        raise WrongUsage(
            f"{path}: is not a contexts file: {error}", "Fix it, or remove it and add the contexts again."
        ) from error


def save(contexts: Contexts) -> None:
    """Write the contexts."""
    document = {
        "format": "asgard.contexts/v1",
        "current": contexts.current,
        "contexts": [asdict(contexts.by_name[name]) for name in sorted(contexts.by_name)],
    }
    paths.private_dir(paths.home())
    paths.write_atomic(_file(), json.dumps(document, indent=2) + "\n")


def put(context: Context, *, use: bool = False) -> None:
    """Add or replace a context; it becomes the current one if it is the first, or with `use`."""
    contexts = load()
    current = context.name if use or contexts.current is None else contexts.current
    save(Contexts(current, {**contexts.by_name, context.name: context}))


def use(name: str) -> None:
    """Make a context the current one."""
    contexts = load()
    contexts.pick(name)
    save(replace(contexts, current=name))


def remove(name: str) -> None:
    """Delete a context; no error if it does not exist."""
    contexts = load()
    rest = {k: v for k, v in contexts.by_name.items() if k != name}
    save(Contexts(None if contexts.current == name else contexts.current, rest))


def refuse_protected_cluster(cluster_id: str, confirm: str | None, *, healing: bool = False) -> None:
    """Refuse to change a cluster that any protected context names, however it was reached, unless one of their names is
    repeated."""
    found = protecting(cluster_id)
    if confirm not in {context.name for context in found}:
        for context in found:
            refuse_protected(context, confirm, healing=healing)


def protecting(cluster_id: str) -> list[Context]:
    """The protected contexts that name this cluster."""
    return [c for c in load().by_name.values() if c.cluster_id == cluster_id and c.protected]


def refuse_protected(context: Context | None, confirm: str | None, *, healing: bool = False) -> None:
    """Refuse to change the cluster of a protected context unless its name is repeated, or it allows this healing."""
    if healing and context is not None and context.heal:
        return
    if context is not None and context.protected and confirm != context.name:
        raise Refused(f"the context {context.name} is protected", f"Add --confirm {context.name} to change it.")


def check_cluster_id(context: Context, answered: str) -> None:
    """Refuse a cluster that is not the one this context saw first; record the id if it has none yet."""
    if context.cluster_id is None:
        put(replace(context, cluster_id=answered))
    elif context.cluster_id != answered:
        raise Refused(
            f"{context.bootstrap_servers} answers as cluster {answered}; the context {context.name} belongs to {context.cluster_id}",
            f"If the cluster was really recreated, add the context again: asgard context add {context.name} …",
        )
