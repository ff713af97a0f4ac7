"""The storage that a location of an archive names."""

from __future__ import annotations

from pathlib import Path

from asgard.core.errors import WrongUsage
from asgard.thor.archive.storage import Storage


def open_storage(url: str, endpoint_url: str | None = None) -> Storage:
    """The storage of `DIR`, `file:///DIR` or `s3://bucket/prefix`. Raises WrongUsage."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "s3":
        bucket, _, prefix = rest.partition("/")
        if not bucket:
            raise WrongUsage(f"{url} has no bucket", "Write it as s3://bucket/prefix.")
        from asgard.thor.archive.s3 import Bucket

        return Bucket(bucket, prefix.strip("/"), endpoint_url)
    if endpoint_url:
        raise WrongUsage("--endpoint-url requires s3://bucket/prefix")
    if separator and scheme != "file":
        raise WrongUsage(f"{url} is not an archive", "Allowed is a directory, or s3://bucket/prefix.")
    from asgard.thor.archive.directory import DirectoryStorage

    return DirectoryStorage(Path(rest if separator else url).expanduser().absolute())
