"""Where recipes are: in the given folders, and those that ship with Asgard. A recipe has the name of its file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from asgard.core.errors import WrongUsage
from asgard.core.schema.validate import nearest
from asgard.core.shipped import shipped


def files(folders: Iterable[Path] = ()) -> dict[str, Path]:
    """Recipe files by name: from these folders, then those that ship with Asgard; the first of a name counts."""
    found: dict[str, Path] = {}
    for folder in (*folders, shipped("recipes")):
        if not folder.is_dir():
            raise WrongUsage(f"{folder} is not a folder", "Name a folder of recipes with --recipes DIR.")
        for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
            found.setdefault(path.stem, path.absolute())
    return dict(sorted(found.items()))


def find(name: str, folders: Iterable[Path] = ()) -> Path:
    """The file of a recipe: by its name, or a path. Raises WrongUsage."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        return Path(name)
    known = files(folders)
    if name not in known:
        raise WrongUsage(
            f"there is no recipe {name!r}{nearest(name, known)}",
            f"Recipes: {', '.join(known)}. Your own: a file, or --recipes DIR.",
        )
    return known[name]
