"""The YAML files that ship with Asgard: `templates`, `recipes`, `experiments`. In a wheel inside the package, in a checkout beside it."""

from __future__ import annotations

from pathlib import Path

from asgard.core.errors import WrongUsage


def shipped(kind: str) -> Path:
    """The folder of shipped YAML files of a kind."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_shipped" / kind, package.parent / kind):
        if folder.is_dir():
            return folder
    raise WrongUsage(f"this installation of Asgard has no {kind}", "Install it again: the wheel contains them.")
