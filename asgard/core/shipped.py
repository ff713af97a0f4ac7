"""The YAML files that ship with Asgard: `templates`, `recipes`, `experiments`. In a wheel inside the package, in a checkout beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from asgard.core.errors import WrongUsage


def shipped(kind: str) -> Path:
    """The folder of shipped YAML files of a kind."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_shipped" / kind, package.parent / kind):
        if folder.is_dir():
            return folder
    raise WrongUsage(f"this installation of Asgard has no {kind}", "Install it again: the wheel contains them.")


@dataclass(frozen=True)
class Library:
    """Files of a kind by their names: in the folders that `--KINDs DIR` names, and those that ship with Asgard."""

    kind: str
    endings: tuple[str, ...] = (".yaml", ".yml")

    def files(self, folders: Iterable[Path] = ()) -> dict[str, Path]:
        """Files by name: from these folders, then those that ship with Asgard; the first of a name wins."""
        found: dict[str, Path] = {}
        for folder in (*folders, shipped(f"{self.kind}s")):
            if not folder.is_dir():
                raise WrongUsage(f"{folder} is not a folder", f"Name a folder of {self.kind}s with --{self.kind}s DIR.")
            for path in sorted(p for p in folder.iterdir() if p.suffix in self.endings):
                found.setdefault(path.stem, path.absolute())
        return dict(sorted(found.items()))

    def find(self, name: str, folders: Iterable[Path] = ()) -> Path:
        """A file by its name, or a path. Raises WrongUsage."""
        if "/" in name or name.endswith(self.endings):
            return Path(name)
        known = self.files(folders)
        if name not in known:
            from asgard.core.schema.validate import nearest

            raise WrongUsage(
                f"there is no {self.kind} {name!r}{nearest(name, known)}",
                f"{self.kind.capitalize()}s: {', '.join(known)}. Your own: a file, or --{self.kind}s DIR.",
            )
        return known[name]


RECIPES = Library("recipe")
EXPERIMENTS = Library("experiment", (".yaml", ".yml", ".json"))
