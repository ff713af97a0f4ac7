"""An archive in an S3 bucket, or at any endpoint that speaks S3.

Uploads carry checksums that the service verifies, and their size is checked afterwards. botocore retries with growing pauses
if the service throttles, times out or drops the connection. Manifests are created with `If-None-Match: *`, so only one of two
writers succeeds; an endpoint that does not support this condition is refused.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from asgard.core import paths
from asgard.core.errors import AsgardError, Refused, Unreachable
from asgard.thor.archive import workplace
from asgard.thor.archive.storage import Entry, MissingObject

PART_BYTES = 8 * 1024 * 1024
"""S3 requires 5 MiB at least, and 10,000 parts at most: 80 GB a file."""
CONNECT_S, READ_S, TRIES = 5.0, 30.0, 8
_AGAIN = "Run it again: nothing is lost, it continues from the manifest."
_TIMES_TRIED = 3
_CUT = {"EntityTooSmall", "InvalidPart", "BadDigest", "IncompleteBody", "XAmzContentChecksumMismatch", "NoSuchUpload", "InvalidRequest"}  # fmt: skip
"""The service's errors for an upload that arrived incomplete or altered."""
_COLD = ("GLACIER", "DEEP_ARCHIVE")
"""Storage classes whose objects can't be read until they are restored."""
_REFUSED = {"AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "403", "PermanentRedirect", "AuthorizationHeaderMalformed", "InvalidClientTokenId", "AuthFailure", "UnrecognizedClientException"}  # fmt: skip


class Bucket:
    """See `Storage`. `read_s` is how long to wait for an answer before retrying."""

    def __init__(self, bucket: str, prefix: str, endpoint_url: str | None, *, read_s: float | None = None) -> None:
        self._bucket, self._prefix, self._endpoint = bucket, f"{prefix}/" if prefix else "", endpoint_url
        self._read_s = read_s or READ_S
        self._known: Any = None
        self._workplace: Path | None = None
        self._conditional: bool | None = None

    @property
    def url(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    @property
    def _s3(self) -> Any:
        if self._known is None:
            try:
                import boto3
                from botocore.config import Config
            except ImportError as error:
                raise AsgardError("archives in S3 need boto3", "pip install 'asgard-kafka[aws,archive]'") from error
            retries: dict[str, Any] = {"mode": "standard"}
            if "AWS_MAX_ATTEMPTS" not in os.environ:
                retries["max_attempts"] = TRIES
            config = Config(connect_timeout=CONNECT_S, read_timeout=self._read_s, retries=retries)
            with self._told():
                # A separate session: boto3's shared one keeps the first credentials it saw.
                self._known = boto3.session.Session().client("s3", endpoint_url=self._endpoint, config=config)
        return self._known

    def workplace(self) -> Path:
        if self._workplace is None:
            self._workplace = workplace.make(paths.home() / "archive-uploads")
        return self._workplace

    def put(self, name: str, file: Path, sha256: str) -> None:
        size = file.stat().st_size
        for last in (*[False] * (_TIMES_TRIED - 1), True):
            there = self._put_once(name, file, size)
            if there == size:
                file.unlink()
                return
            if last:
                raise Unreachable(f"{self.url}/{name} has {there} of {size} bytes after {_TIMES_TRIED} uploads", _AGAIN)

    def _put_once(self, name: str, file: Path, size: int) -> int:
        """Upload a file. Returns how many bytes are there then."""
        from botocore.exceptions import ClientError

        with self._told(), file.open("rb") as content:
            try:
                if size <= PART_BYTES:
                    self._put_small(name, content.read())
                else:
                    self._put_parts(name, content)
            except ClientError as error:
                if _code(error) not in _CUT:
                    raise
                return 0
            return int(self._s3.head_object(Bucket=self._bucket, Key=self._prefix + name)["ContentLength"])

    def _put_small(self, name: str, content: bytes) -> None:
        self._s3.put_object(
            Bucket=self._bucket, Key=self._prefix + name, Body=content, ChecksumSHA256=_base64_sha256(content)
        )

    def _put_parts(self, name: str, content: Any) -> None:
        where = {"Bucket": self._bucket, "Key": self._prefix + name}
        upload = {
            **where,
            "UploadId": self._s3.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")["UploadId"],
        }
        try:
            parts: list[dict[str, object]] = []
            while part := content.read(PART_BYTES):
                number, checksum = len(parts) + 1, _base64_sha256(part)
                made = self._s3.upload_part(**upload, PartNumber=number, Body=part, ChecksumSHA256=checksum)
                parts.append({"PartNumber": number, "ETag": made["ETag"], "ChecksumSHA256": checksum})
            self._s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            with contextlib.suppress(Exception):
                self._s3.abort_multipart_upload(**upload)
            raise

    def create(self, name: str, content: bytes) -> bool:
        if self._conditional is None:
            self._conditional = self._knows_conditions()
        if not self._conditional:
            raise Refused(
                f"{self._endpoint or 'the endpoint'} ignores If-None-Match and overwrites objects",
                "Two writers could overwrite each other there. Use an endpoint that supports conditional writes, or a directory.",
            )
        return self._create(name, content)

    def _create(self, name: str, content: bytes) -> bool:
        from botocore.exceptions import ClientError

        with self._told():
            try:
                self._s3.put_object(
                    Bucket=self._bucket,
                    Key=self._prefix + name,
                    Body=content,
                    ChecksumSHA256=_base64_sha256(content),
                    IfNoneMatch="*",
                )
            except ClientError as error:
                if _code(error) not in ("PreconditionFailed", "412", "ConditionalRequestConflict", "409"):
                    raise
                # Perhaps our first try, whose answer was lost.
                return self.read(name) == content
        return self.read(name) == content

    def _knows_conditions(self) -> bool:
        """Whether the endpoint refuses to overwrite, tested by creating one name twice."""
        probe = f"probe-{time.time_ns():x}"
        try:
            return self._create(probe, b"1") and not self._create(probe, b"2")
        finally:
            with contextlib.suppress(AsgardError):
                self.delete([probe])

    def read(self, name: str) -> bytes:
        with self._told(name):
            return bytes(self._s3.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read())

    @contextlib.contextmanager
    def local(self, name: str) -> Iterator[Path]:
        copy = self.workplace() / f"copy-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        try:
            for last in (*[False] * (_TIMES_TRIED - 1), True):
                try:
                    with self._told(name), copy.open("wb") as file:
                        body = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"]
                        for chunk in body.iter_chunks(1024 * 1024):
                            file.write(chunk)
                    break
                except Unreachable:
                    if last:
                        raise
            yield copy
        finally:
            copy.unlink(missing_ok=True)

    def list(self, prefix: str) -> Iterator[Entry]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
        with self._told():
            for page in pages:
                for found in page.get("Contents", ()):
                    yield Entry(found["Key"].removeprefix(self._prefix), int(found["Size"]))

    def cold(self, prefix: str) -> Iterator[Entry]:
        """See `thaw.Cold`."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
        with self._told():
            for page in pages:
                for found in page.get("Contents", ()):
                    if found.get("StorageClass") in _COLD:
                        yield Entry(found["Key"].removeprefix(self._prefix), int(found["Size"]))

    def restored(self, name: str) -> bool | None:
        with self._told(name):
            said = self._s3.head_object(Bucket=self._bucket, Key=self._prefix + name).get("Restore")
        return None if said and 'ongoing-request="true"' in said else bool(said)

    def thaw(self, name: str, days: int) -> None:
        from botocore.exceptions import ClientError

        wanted = {"Days": days, "GlacierJobParameters": {"Tier": "Standard"}}
        with self._told(name):
            try:
                self._s3.restore_object(Bucket=self._bucket, Key=self._prefix + name, RestoreRequest=wanted)
            except ClientError as error:
                if _code(error) != "RestoreAlreadyInProgress":
                    raise

    def delete(self, names: Collection[str]) -> None:
        keys = [{"Key": self._prefix + name} for name in names]
        for i in range(0, len(keys), 1000):
            with self._told():
                self._s3.delete_objects(Bucket=self._bucket, Delete={"Objects": keys[i : i + 1000], "Quiet": True})

    def abort_uploads(self, prefix: str) -> int:
        pages = self._s3.get_paginator("list_multipart_uploads").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        given_up = 0
        with self._told():
            for page in pages:
                for upload in page.get("Uploads", ()):
                    self._s3.abort_multipart_upload(Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"])
                    given_up += 1
        return given_up

    @contextlib.contextmanager
    def _told(self, name: str | None = None) -> Iterator[None]:
        """botocore's errors as sentences."""
        from botocore import exceptions

        try:
            yield
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.NoRegionError) as error:
            raise Unreachable(
                f"no AWS credentials for {self.url}: {error}",
                "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run it on a machine whose role has them (and set AWS_REGION).",
            ) from error
        except exceptions.ClientError as error:
            raise self._explained(error, name) from error
        except (exceptions.BotoCoreError, exceptions.HTTPClientError, OSError) as error:
            raise Unreachable(f"{self.url} does not answer: {error}", _AGAIN) from error

    def _explained(self, error: Any, name: str | None) -> AsgardError:
        code, text = _code(error), error.response.get("Error", {}).get("Message", "") or str(error)
        if code in ("NoSuchKey", "404") and name is not None:
            return MissingObject(f"{self.url}/{name} is missing")
        if code == "InvalidObjectState":
            return Refused(
                f"{self.url}/{name} is in cold storage",
                "`asgard thor replay --from-archive … --thaw` asks S3 for a copy.",
            )
        if code == "NoSuchBucket":
            return Unreachable(f"there is no bucket {self._bucket}", "Create it, or check its name and the endpoint.")
        if code in _REFUSED:
            return Unreachable(
                f"the bucket {self._bucket} refuses these credentials ({code}: {text})",
                "Is the bucket yours? They need s3:ListBucket, GetObject, PutObject, DeleteObject and AbortMultipartUpload on it.",
            )
        return Unreachable(f"{self.url} refused the request ({code}: {text})", _AGAIN)


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _base64_sha256(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()
