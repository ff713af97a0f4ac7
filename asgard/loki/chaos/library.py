"""Where experiments are: in the given folders, and those that ship with Asgard. An experiment has the name of its file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from asgard.core.errors import WrongUsage
from asgard.core.schema.validate import nearest
from asgard.core.shipped import shipped

_ENDINGS = (".yaml", ".yml", ".json")


def files(folders: Iterable[Path] = ()) -> dict[str, Path]:
    """Experiment files by name: from these folders, then those that ship with Asgard; the first of a name wins."""
    found: dict[str, Path] = {}
    for folder in (*folders, shipped("experiments")):
        if not folder.is_dir():
            raise WrongUsage(f"{folder} is not a folder", "Name a folder of experiments with --experiments DIR.")
        for path in sorted(p for p in folder.iterdir() if p.suffix in _ENDINGS):
            found.setdefault(path.stem, path.absolute())
    return dict(sorted(found.items()))


def find(name: str, folders: Iterable[Path] = ()) -> Path:
    """The file of an experiment: by its name, or a path. Raises WrongUsage."""
    if "/" in name or name.endswith(_ENDINGS):
        return Path(name)
    known = files(folders)
    if name not in known:
        raise WrongUsage(
            f"there is no experiment {name!r}{nearest(name, known)}",
            f"Experiments: {', '.join(known)}. Your own: a file, or --experiments DIR.",
        )
    return known[name]
