"""Kafka's own programs on this machine: found or fetched, verified, ready to run.

`KAFKA_HOME` wins; else the jars in the cache; else they are fetched in parallel, each checked against the lock file
before it gets its name. Concurrent fetches don't disturb each other, and a jar that changed on disk is noticed and
fetched again. Sizes are bytes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asgard.core import events, paths
from asgard.core.errors import Failed, WrongUsage
from asgard.core.units import format_size
from asgard.kafka.distribution import jars
from asgard.kafka.distribution.download import download
from asgard.kafka.distribution.jars import Coordinate, Jar, Lock

"""Called with the bytes present and the total, from one thread at a time."""

_THREADS = 8


@dataclass(frozen=True)
class Distribution:
    """A Kafka that can be run. `classpath` is what `java -cp` takes; `fetched` counts the jars fetched just now."""

    version: str
    classpath: str
    source: Literal["KAFKA_HOME", "cache"]
    fetched: int = 0
    mended: tuple[str, ...] = ()


def ensure_kafka(version: str = jars.DEFAULT_VERSION, *, verify: bool = False) -> Distribution:
    """Kafka of that version, fetched if it is not here yet.

    `verify` hashes every jar, instead of trusting those with unchanged size and modification time. Raises `Unreachable`
    if the jars can't be fetched, `Failed` if a repository serves other bytes than the lock names, and `WrongUsage` if
    KAFKA_HOME holds another version.
    """
    jars.check_version(version)
    found = None if verify else find_kafka(version)
    if found is not None:
        return found
    if "KAFKA_HOME" in os.environ:
        return _from_home(version)
    libs = _libs(version)
    with _alone(version):
        lock = jars.shipped(version) or jars.cached(version) or _first_lock(version, libs)
        return _complete(lock, libs, verify)


def find_kafka(version: str = jars.DEFAULT_VERSION) -> Distribution | None:
    """Kafka of that version if it is here and intact; nothing is fetched. Raises `WrongUsage` as `ensure_kafka`."""
    if "KAFKA_HOME" in os.environ:
        return _from_home(version)
    lock = jars.shipped(version) or jars.cached(version)
    libs = _libs(version)
    return Distribution(version, f"{libs}/*", "cache") if lock is not None and _untouched(lock, libs) else None


@dataclass(frozen=True)
class KnownVersion:
    """A version available without dependency resolution; `here`: its jars are in the cache, intact."""

    version: str
    default: bool
    lock: Literal["package", "cache"]
    here: bool


def known_versions() -> list[KnownVersion]:
    """Those whose lock file came with the package or was created on this machine, the oldest first."""
    shipped = jars.shipped_versions()
    made = [path.stem.removeprefix("kafka-") for path in jars.cached_path("").parent.glob("kafka-*.json")]
    found = []
    for version in sorted({*shipped, *made}, key=lambda v: [int(part) for part in v.split(".")]):
        lock = jars.shipped(version) or jars.cached(version)
        here = lock is not None and _untouched(lock, _libs(version))
        where: Literal["package", "cache"] = "package" if version in shipped else "cache"
        found.append(KnownVersion(version, version == jars.DEFAULT_VERSION, where, here))
    return found


def _libs(version: str) -> Path:
    return paths.cache() / "kafka" / version / "libs"


def _from_home(version: str) -> Distribution:
    home = Path(os.environ["KAFKA_HOME"]).expanduser().absolute()
    found = sorted((home / "libs").glob("kafka-clients-*.jar"))
    if not found:
        raise WrongUsage(
            f"KAFKA_HOME is {home}, but there is no Kafka in {home / 'libs'}", "Fix KAFKA_HOME or unset it."
        )
    here = re.sub(r"^kafka-clients-|\.jar$", "", found[-1].name)
    if here != version:
        raise WrongUsage(
            f"KAFKA_HOME ({home}) holds Kafka {here}, but {version} is required",
            f"Unset KAFKA_HOME to let Asgard fetch {version}, or ask for {here} (`kafka.version` in a stack file).",
        )
    return Distribution(version, f"{home / 'libs'}/*", "KAFKA_HOME")


# The cache: <cache>/kafka/<version>/libs/*.jar, and verified.json with size and time of change of each jar as it was
# when its hash was right.


def _stamp_file(libs: Path) -> Path:
    return libs.parent / "verified.json"


def _read_stamp(libs: Path) -> dict[str, list[object]]:
    try:
        stamp = json.loads(_stamp_file(libs).read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _facts(path: Path, jar: Jar) -> list[object]:
    stat = path.stat()
    return [jar.sha256, stat.st_size, stat.st_mtime_ns]


def _untouched(lock: Lock, libs: Path) -> bool:
    """Whether the directory holds the jars of the lock, unchanged since they were hashed, and no other jar."""
    stamp = _read_stamp(libs)
    try:
        if len(list(libs.iterdir())) != len(lock.jars):
            return False
        return all(stamp.get(jar.coordinate.file) == _facts(libs / jar.coordinate.file, jar) for jar in lock.jars)
    except OSError:
        return False


def _complete(lock: Lock, libs: Path, verify: bool) -> Distribution:
    libs.mkdir(parents=True, exist_ok=True)
    wanted = {jar.coordinate.file for jar in lock.jars}
    for stranger in libs.iterdir():
        if stranger.name not in wanted:
            shutil.rmtree(stranger) if stranger.is_dir() else stranger.unlink()
    stamp = {} if verify else _read_stamp(libs)
    missing, damaged = [], []
    for jar in lock.jars:
        path = libs / jar.coordinate.file
        if not path.is_file():
            missing.append(jar)
        elif stamp.get(path.name) != _facts(path, jar) and _sha256(path) != jar.sha256:
            damaged.append(jar)
    _fetch_all(missing + damaged, libs, lock.size_bytes)
    facts = {jar.coordinate.file: _facts(libs / jar.coordinate.file, jar) for jar in lock.jars}
    paths.write_atomic(_stamp_file(libs), json.dumps(facts), mode=0o644)
    return Distribution(
        lock.kafka, f"{libs}/*", "cache", len(missing) + len(damaged), tuple(str(j.coordinate) for j in damaged)
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _alone(version: str) -> Iterator[None]:
    """One fetch of a version at a time on this machine; the lock ends with the process that holds it."""
    directory = paths.private_dir(paths.cache() / "kafka")
    with (directory / f".{version}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for leftover in (directory / version).glob(".partial-*"):  # from a killed fetch
            shutil.rmtree(leftover)
        yield


def _first_lock(version: str, libs: Path) -> Lock:
    """Resolve the version and record its jars, keeping the downloads."""
    libs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=libs.parent, prefix=".partial-") as partial:

        def keep(coordinate: Coordinate) -> bytes:
            content = download(coordinate)
            _place(content, Path(partial), libs / coordinate.file)
            return content

        lock = jars.make_lock(version, jars.resolve(version), keep)
    paths.write_atomic(jars.cached_path(version), lock.render(), mode=0o644)
    return lock


def _place(content: bytes, partial: Path, target: Path) -> None:
    """A jar gets its name only once it is complete."""
    part = partial / target.name
    part.write_bytes(content)
    part.chmod(0o644)
    part.replace(target)


# Fetching


def _fetch_all(wanted: list[Jar], libs: Path, total: int) -> None:
    if not wanted:
        return
    jars.repository()  # reports what is missing before any thread starts
    done = total - sum(jar.size_bytes for jar in wanted)
    with tempfile.TemporaryDirectory(dir=libs.parent, prefix=".partial-") as partial:

        def fetch(jar: Jar) -> int:
            content = download(jar.coordinate)
            actual = hashlib.sha256(content).hexdigest()
            if actual != jar.sha256:
                raise Failed(
                    f"{jar.coordinate} from {jars.repository()} is not the jar in the lock file: its SHA-256 is"
                    f" {actual}, not {jar.sha256}; it was not kept",
                    "Use another repository with ASGARD_MAVEN_REPO, and tell the operator of this one.",
                )
            _place(content, Path(partial), libs / jar.coordinate.file)
            return jar.size_bytes

        # The largest first, so that no thread finishes with a long one.
        with ThreadPoolExecutor(_THREADS) as pool:
            futures = [pool.submit(fetch, jar) for jar in sorted(wanted, key=lambda j: -j.size_bytes)]
            try:
                for future in as_completed(futures):
                    done += future.result()
                    text = f"{format_size(done)} of {format_size(total)}"
                    events.progress("fetching Kafka", text, done=done, total=total, unit="bytes")
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
