"""Directories for incomplete files: one per process, removed together with those of killed processes."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

from asgard.core import paths, process

_OWNER = "owner.json"


def make(parent: Path) -> Path:
    """A new, empty directory of this process below `parent`; removes those of dead processes on this machine."""
    paths.private_dir(parent)
    for other in parent.iterdir():
        if _is_dead(other):
            shutil.rmtree(other, ignore_errors=True)
    mine = process.identity()
    directory = paths.private_dir(parent / f"{mine.host}-{mine.pid}-{mine.started:.0f}")
    paths.write_atomic(directory / _OWNER, json.dumps(asdict(mine)))
    return directory


def _is_dead(directory: Path) -> bool:
    with contextlib.suppress(OSError, ValueError, TypeError):
        return process.is_dead(process.Identity(**json.loads((directory / _OWNER).read_text())))
    return False
