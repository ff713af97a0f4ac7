"""Where Asgard keeps what it writes. `ASGARD_HOME` moves all of it; the default follows the platform's conventions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from asgard.core.errors import WrongUsage


def home() -> Path:
    """The directory of state, journal, data and cache; not created here."""
    chosen = os.environ.get("ASGARD_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("asgard", appauthor=False)


def cache() -> Path:
    """Data that can be fetched again: Kafka's jars. `ASGARD_CACHE` lets several homes share one cache."""
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
    """Create a directory that only its owner may access (0700), with its parents."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_atomic(path: Path, content: str | bytes, mode: int | None = 0o600) -> None:
    """Replace a file atomically: after a crash it holds the old content or the new one, and it is on disk.

    `mode` None: the mode from the user's umask.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    beside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_for_user(path: Path, content: str | bytes) -> None:
    """Write a file that the user named, completely or not at all; its mode follows the umask.

    Raises WrongUsage if its folder does not exist or is not writable.
    """
    try:
        path.parent.stat()
        write_atomic(path, content, mode=None)
    except OSError as error:
        raise WrongUsage(f"{path}: can't be written: {error.strerror}") from error


def write_folder(folder: Path, files: Mapping[str, str | bytes]) -> list[Path]:
    """Write files by name into a folder that the user named, which is made where it is missing; where they are.

    Raises WrongUsage where the folder can't be made or does not take them.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WrongUsage(f"{folder}: can't be written: {error.strerror}") from error
    for name, content in files.items():
        write_for_user(folder / name, content)
    return [folder / name for name in files]
