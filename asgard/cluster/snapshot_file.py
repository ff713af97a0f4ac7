"""Snapshots on disk: the format `asgard.cluster/v1`, gzipped if the name ends in `.gz`.

Readers ignore unknown keys; absent or null values were not measured. A file of 200,000 partitions is read in about a
second: msgspec fills the data classes of `kafka.model` directly.
"""

from __future__ import annotations

import gc
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from asgard.core.errors import InvalidFile, Problem, WrongUsage
from asgard.core.paths import write_for_user
from asgard.kafka.model import Broker, ClusterSnapshot, Partition

FORMAT = "asgard.cluster/v1"
_WHERE = re.compile(r" - at `\$\.?(.*?)`$")


def read(path: Path | str) -> ClusterSnapshot:
    """Read a snapshot. Raises WrongUsage (can't be read) and InvalidFile (is not a snapshot, or contradicts itself)."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WrongUsage(
            f"{path}: can't be read: {error.strerror}",
            "Name a cluster snapshot, asgard.cluster/v1; docs/thor.md shows the format.",
        ) from error
    if data[:2] == b"\x1f\x8b":
        try:
            data = zlib.decompress(data, wbits=31)
        except zlib.error as error:
            raise InvalidFile([Problem(str(path), 1, 1, "", f"is a broken gzip file: {error}")]) from error
    with without_collector():
        snapshot = _decode(data, str(path))
        return _completed(snapshot, str(path))


def write(snapshot: ClusterSnapshot, path: Path | str) -> None:
    """Write a snapshot atomically; one partition per line, so that two snapshots can be compared as text."""
    import gzip

    import msgspec

    path = Path(path)
    document: dict[str, Any] = {"format": FORMAT} | msgspec.to_builtins(replace(snapshot, partitions=()))
    document.pop("partitions")
    encode = msgspec.json.Encoder().encode
    lines = b",\n".join(encode(p) for p in snapshot.partitions)
    data = encode(document)[:-1] + b',"partitions":[\n' + lines + b"\n]}\n"
    if path.suffix == ".gz":
        data = gzip.compress(data, 6, mtime=0)
    write_for_user(path, data)


@contextmanager
def without_collector() -> Iterator[None]:
    """Turns Python's cycle collector off: with hundreds of thousands of objects that stay, its passes take most of the
    time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _decode(data: bytes, file: str) -> ClusterSnapshot:
    import msgspec

    class Head(msgspec.Struct):
        format: Any = None

    try:
        head = msgspec.json.decode(data, type=Head)
    except msgspec.MsgspecError as error:
        raise _invalid(file, f"is not JSON of a snapshot: {error}") from error
    if head.format != FORMAT:
        hint = f"has the format {head.format!r}" if head.format is not None else "has no key `format`"
        raise _invalid(file, f"{hint}; allowed is {FORMAT!r}", "format")
    try:
        return msgspec.json.decode(data, type=ClusterSnapshot)
    except msgspec.ValidationError:
        pass
    # A null in place of a default is not an error: such files are rare and read the slow way.
    try:
        return msgspec.convert(_without_nulls(msgspec.json.decode(data)), ClusterSnapshot)
    except msgspec.ValidationError as error:
        where = _WHERE.search(str(error))
        message = str(error)[: where.start()] if where else str(error)
        raise _invalid(file, message[0].lower() + message[1:], where[1] if where else "") from error


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(v) for v in value]
    return value


def _invalid(file: str, message: str, field: str = "") -> InvalidFile:
    return InvalidFile([Problem(file, 1, 1, field, message)])


def _completed(snapshot: ClusterSnapshot, file: str) -> ClusterSnapshot:
    """With a `missing` broker for each one that only a replica list names. Raises InvalidFile if it contradicts
    itself."""
    known = {b.id for b in snapshot.brokers}
    if len(known) != len(snapshot.brokers):
        raise _invalid(file, "names a broker twice", "brokers")
    for i, p in enumerate(snapshot.partitions):
        if not p.replicas or len(set(p.replicas)) != len(p.replicas):
            wrong = "has a broker twice" if p.replicas else "is empty"
            raise _invalid(
                file, f"{wrong} ({_name(p)}); allowed is a list of different brokers", f"partitions[{i}].replicas"
            )
        if p.log_dirs and len(p.log_dirs) != len(p.replicas):
            what = f"has {len(p.log_dirs)} directories ({_name(p)}); allowed is one for each replica, or none"
            raise _invalid(file, what, f"partitions[{i}].log_dirs")
        if (p.size_bytes or 0) < 0 or (p.bytes_in_per_s or 0) < 0 or (p.bytes_out_per_s or 0) < 0:
            what = next(f for f in ("size_bytes", "bytes_in_per_s", "bytes_out_per_s") if (getattr(p, f) or 0) < 0)
            raise _invalid(file, f"is below 0 ({_name(p)}); allowed is 0 or more", f"partitions[{i}].{what}")
    if len({(p.topic, p.partition) for p in snapshot.partitions}) != len(snapshot.partitions):
        raise _invalid(file, "names a partition twice", "partitions")
    missing = set(chain.from_iterable([p.replicas for p in snapshot.partitions])) - known
    if not missing:
        return snapshot
    return replace(snapshot, brokers=(*snapshot.brokers, *(Broker(b, state="missing") for b in sorted(missing))))


def _name(partition: Partition) -> str:
    return f"{partition.topic}-{partition.partition}"
