"""Kafka's jars as one archive for the nodes: the verified ones of this machine, packed the same way each time."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from asgard.core import paths


def pack(jars: Iterable[Path], directory: Path, version: str) -> tuple[Path, str]:
    """`libs/*.jar` in a tar archive, and its SHA-256. The same jars give the same bytes, so that an upload is a no-op."""
    file = directory / f"kafka-{version}.tgz"
    if not file.is_file():
        packed = io.BytesIO()
        with (
            gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, compresslevel=1) as zipped,
            tarfile.open(fileobj=zipped, mode="w") as archive,
        ):
            for jar in sorted(jars, key=lambda path: path.name):
                entry = tarfile.TarInfo(f"libs/{jar.name}")
                entry.size, entry.mode = jar.stat().st_size, 0o644
                with jar.open("rb") as content:
                    archive.addfile(entry, content)
        paths.private_dir(directory)
        paths.write_atomic(file, packed.getvalue())
    return file, hashlib.sha256(file.read_bytes()).hexdigest()


def packed(version: str) -> tuple[str, str]:
    """The archive of a Kafka version and its SHA-256; its jars are fetched and verified if they are not here yet."""
    from asgard.kafka.distribution.home import ensure_kafka

    jars = Path(ensure_kafka(version).classpath.removesuffix("*")).glob("*.jar")
    file, digest = pack(jars, paths.cache() / "distribution", version)
    return str(file), digest
