"""The jars of one Kafka version, by name, size and SHA-256: the content of a lock file, and how one is created.

The lock of the default version ships in the package. For other versions jgo walks the POMs once, and the result is
locked in the cache, so that the same bytes run from then on.
"""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from asgard.core import paths
from asgard.core.errors import Failed, Unreachable, WrongUsage

DEFAULT_VERSION = "4.3.1"
OLDEST_VERSION = (4, 1)
_FORMAT = "asgard.kafka-lock/v1"
_ROOTS = ("kafka_2.13", "kafka-tools")


@dataclass(frozen=True)
class Coordinate:
    """A jar's name in a Maven repository."""

    group: str
    artifact: str
    version: str

    @classmethod
    def parse(cls, text: str) -> Coordinate:
        """Of `group:artifact:version`."""
        group, artifact, version = text.split(":")
        return cls(group, artifact, version)

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file(self) -> str:
        """The jar's file name."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def url_path(self) -> str:
        """Its path below a repository's address."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file}"


@dataclass(frozen=True)
class Jar:
    """A jar whose content is known."""

    coordinate: Coordinate
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Lock:
    """All jars of a Kafka version."""

    kafka: str
    jars: tuple[Jar, ...]

    @property
    def size_bytes(self) -> int:
        """Of all jars together."""
        return sum(jar.size_bytes for jar in self.jars)

    def render(self) -> str:
        """The lock file: JSON, one jar a line."""
        lines = ",\n".join(
            "    " + json.dumps({"jar": str(j.coordinate), "size": j.size_bytes, "sha256": j.sha256})
            for j in sorted(self.jars, key=lambda j: str(j.coordinate))
        )
        head = f'{{\n  "format": {json.dumps(_FORMAT)},\n  "kafka": {json.dumps(self.kafka)},\n'
        return f'{head}  "jars": [\n{lines}\n  ]\n}}\n'

    @classmethod
    def parse(cls, text: str, where: str) -> Lock:
        """Read a lock file. Raises `Failed` if it isn't one."""
        try:
            document = json.loads(text)
            if document["format"] != _FORMAT:
                raise ValueError(f"its format is {document['format']!r}")
            jars = tuple(Jar(Coordinate.parse(j["jar"]), int(j["size"]), str(j["sha256"])) for j in document["jars"])
            return cls(str(document["kafka"]), jars)
        except (ValueError, KeyError, TypeError) as error:
            raise Failed(
                f"{where} is not a lock file of Kafka's jars: {error}", "Remove it; Asgard creates it again."
            ) from error


def shipped(version: str) -> Lock | None:
    """The lock shipped with this package, if it has one for that version."""
    path = Path(__file__).parent / "lock" / f"kafka-{version}.json"
    return Lock.parse(path.read_text(), str(path)) if path.is_file() else None


def shipped_versions() -> list[str]:
    """The versions whose lock is in the package."""
    return sorted(p.stem.removeprefix("kafka-") for p in (Path(__file__).parent / "lock").glob("kafka-*.json"))


def cached(version: str) -> Lock | None:
    """The lock created on this machine at the first use of that version."""
    path = cached_path(version)
    return Lock.parse(path.read_text(), str(path)) if path.is_file() else None


def cached_path(version: str) -> Path:
    """Where the lock of a version without a shipped one is kept."""
    return paths.cache() / "kafka" / "locks" / f"kafka-{version}.json"


def repository() -> str:
    """The Maven repository's address: `ASGARD_MAVEN_REPO`, else the default of jgo."""
    chosen = os.environ.get("ASGARD_MAVEN_REPO")
    if chosen:
        return chosen.rstrip("/")
    try:
        from jgo.constants import MAVEN_CENTRAL_URL
    except ImportError as error:
        raise Unreachable(
            "Kafka's jars are not in the cache, and the package that finds them is not installed",
            "pip install 'asgard-kafka[local]', or set KAFKA_HOME to an unpacked Kafka, or ASGARD_MAVEN_REPO to a mirror.",
        ) from error
    return str(MAVEN_CENTRAL_URL).rstrip("/")


def check_version(version: str) -> None:
    """Refuse anything but a Kafka version that local clusters can run."""
    parts = version.split(".")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        raise WrongUsage(f"{version!r} is not a Kafka version", f"A version looks like {DEFAULT_VERSION}.")
    if (int(parts[0]), int(parts[1])) < OLDEST_VERSION:
        raise WrongUsage(f"Kafka {version} is too old for a local cluster", "Kafka 4.1 and newer run here.")


def resolve(version: str, roots: Iterable[str] = _ROOTS) -> list[Coordinate]:
    """Walk the POMs of a Kafka version (about 20 s) and name its jars. Needs jgo; raises `Unreachable`.

    `roots` are artifacts of the group org.apache.kafka.
    """
    try:
        import requests
        from jgo.maven import MavenContext, PythonResolver
    except ImportError as error:
        raise Unreachable(
            f"there is no lock file for Kafka {version}, and jgo, which can create one, is not installed",
            f"pip install 'asgard-kafka[local]', or use Kafka {DEFAULT_VERSION}, whose lock file is in the package.",
        ) from error
    # A separate POM cache: jgo does not write its files atomically, and a torn one would stay for ever.
    parent = paths.private_dir(paths.cache() / "kafka" / version)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".partial-") as poms, _system_certificates():
        context = MavenContext(
            resolver=PythonResolver(), repo_cache=Path(poms), remote_repos={"default": repository()}, timeout=60
        )
        dependencies = [context.create_dependency(f"org.apache.kafka:{name}:{version}") for name in roots]
        try:
            inputs, transitive = context.resolver.resolve(dependencies)
        except (requests.RequestException, RuntimeError) as error:
            raise Unreachable(
                f"can't resolve the jars of Kafka {version} from {repository()}: {str(error).splitlines()[0][:200]}",
                f"Is {version} a released version of Kafka, and is the repository reachable (ASGARD_MAVEN_REPO)?",
            ) from error
    found = {Coordinate(d.groupId, d.artifactId, d.version) for d in inputs + transitive if d.type == "jar"}
    logging = [c.version for c in found if c.artifact == "log4j-core"]
    # Kafka logs to slf4j and leaves the backend to its distribution. Added by hand: as a third root its
    # dependencyManagement would change the versions of Kafka's own dependencies.
    found |= {Coordinate("org.apache.logging.log4j", "log4j-slf4j-impl", v) for v in logging}
    return sorted(found, key=str)


def make_lock(version: str, coordinates: Iterable[Coordinate], fetch: Callable[[Coordinate], bytes]) -> Lock:
    """Fetch every jar once and note its size and SHA-256."""

    def note(coordinate: Coordinate) -> Jar:
        content = fetch(coordinate)
        return Jar(coordinate, len(content), hashlib.sha256(content).hexdigest())

    with ThreadPoolExecutor(8) as pool:
        return Lock(version, tuple(pool.map(note, coordinates)))


@contextmanager
def _system_certificates() -> Iterator[None]:
    """Let requests (which jgo uses) trust what this machine trusts, unless configured otherwise."""
    system = ssl.get_default_verify_paths().cafile
    if "REQUESTS_CA_BUNDLE" in os.environ or "CURL_CA_BUNDLE" in os.environ or system is None:
        yield
        return
    os.environ["REQUESTS_CA_BUNDLE"] = system
    try:
        yield
    finally:
        del os.environ["REQUESTS_CA_BUNDLE"]
