"""Which Pulumi CLI is used: the one on PATH, else the one that `asgard odin engine install` put into the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path

from asgard.core import paths
from asgard.core.errors import Unreachable, WrongUsage

LEAST = "3.200.0"
"""The oldest CLI tested with the Automation API of the SDK's range."""
_ASK_S = 20


@dataclass(frozen=True)
class Installed:
    """A Pulumi CLI. `version` is None if its answer can't be parsed, as with a custom build; it then counts as
    compatible."""

    path: str
    version: str | None
    sdk: str
    least: str
    fits: bool


def find() -> Installed | None:
    """The CLI that would be used."""
    path = where()
    if path is None:
        return None
    version = _version(path)
    return Installed(
        path, version, version_of("pulumi"), LEAST, version is None or _numbers(version) >= _numbers(LEAST)
    )


def where() -> str | None:
    """Its path."""
    return shutil.which("pulumi") or shutil.which("pulumi", path=str(_root() / "bin"))


def search_path() -> str:
    """PATH with the cache's CLI after the user's own entries."""
    return os.pathsep.join([os.environ.get("PATH", ""), str(_root() / "bin")])


def install(version: str | None = None) -> Installed:
    """Fetch the CLI. Raises Unreachable if it can't be downloaded, and WrongUsage for an invalid version."""
    import semver
    from pulumi.automation import PulumiCommand

    try:
        wanted = semver.VersionInfo.parse(version) if version else None
    except ValueError as error:
        raise WrongUsage(
            f"--version is {version!r}; allowed is a full version, as in {version_of('pulumi')}"
        ) from error
    try:
        PulumiCommand.install(root=str(_root()), version=wanted)
    except Exception as error:
        # The installer raises whatever its download and its shell script raise: URLError, HTTPError, RuntimeError,
        # OSError.
        raise Unreachable(
            f"the Pulumi CLI could not be fetched: {error}",
            "Install it from pulumi.com by hand and put it on PATH; then `asgard odin engine status` finds it.",
        ) from error
    found = find()
    if found is None:
        raise Unreachable("the Pulumi CLI was fetched, but can't be found", f"Check {_root()}.")
    return found


def _root() -> Path:
    return paths.cache() / "pulumi"


def _version(path: str) -> str | None:
    try:
        done = subprocess.run([path, "version"], capture_output=True, text=True, timeout=_ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"v?(\d+\.\d+\.\d+)", done.stdout)
    return match[1] if match else None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
