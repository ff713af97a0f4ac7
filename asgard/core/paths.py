"""Where Asgard keeps what it writes. `ASGARD_HOME` moves all of it; the default follows the platform's conventions."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def home() -> Path:
    """The directory of state, journal, data and cache; not created here."""
    chosen = os.environ.get("ASGARD_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("asgard", appauthor=False)


def cache() -> Path:
    """What can be fetched again: Kafka's jars. `ASGARD_CACHE` lets several homes share one."""
    chosen = os.environ.get("ASGARD_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if os.environ.get("ASGARD_HOME"):
        return home() / "cache"
    from platformdirs import user_cache_path

    return user_cache_path("asgard", appauthor=False)


def stack_dir(stack: str) -> Path:
    """State, steps log and nodes of one stack."""
    return home() / "stacks" / stack


def private_dir(path: Path) -> Path:
    """Create a directory that only its owner may enter (0700), with its parents."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_atomic(path: Path, content: str | bytes, mode: int = 0o600) -> None:
    """Replace a file in one step: after a crash it holds the old content or the new one, and it is on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
