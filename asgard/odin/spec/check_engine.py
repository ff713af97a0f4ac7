"""What the section `engine` of a stack file may say: backends and secrets providers that Asgard passes to Pulumi."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from asgard.core.document import Loc
from asgard.core.schema.stack import StackFile

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEY = re.compile(
    r"awskms://(alias/[A-Za-z0-9/_-]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}|/arn:aws[a-z-]*:kms:[^?]+)"
    r"\?(region=[a-z0-9-]+)(&[a-z]+=[^&]+)*"
)


def review(file: StackFile) -> Iterator[tuple[Loc, str]]:
    """Every problem of the section."""
    given = file.engine
    if given is None:
        return
    if given.backend is not None and (wrong := _wrong_backend(given.backend)):
        yield ("engine", "backend"), wrong
    if given.secrets != "passphrase" and not _KEY.fullmatch(given.secrets):
        yield (
            ("engine", "secrets"),
            f"is {given.secrets!r}; allowed are passphrase and a KMS key, as in awskms://alias/asgard?region=eu-central-1",
        )
    elif given.secrets != "passphrase" and given.backend is None:
        yield (
            ("engine", "secrets"),
            "is for a shared `backend`: a state on this machine is under the stack's passphrase",
        )


def _wrong_backend(text: str) -> str | None:
    parts = urlsplit(text)
    allowed = "allowed are a directory, s3://BUCKET/PREFIX?region=REGION and https://api.pulumi.com/ORGANIZATION"
    match parts.scheme:
        case "":
            return None
        case "file" if not parts.netloc and parts.path.startswith("/"):
            return None
        case "s3" if _BUCKET.fullmatch(parts.netloc):
            return None if parse_qs(parts.query).get("region") else f"is {text!r}, which names no region; {allowed}"
        case "https" if parts.netloc and parts.path.strip("/").count("/") == 0 and not parts.query:
            return None
    return f"is {text!r}; {allowed}"


def backend_url(text: str, folder: Path) -> str:
    """A backend as a URL; a relative directory starts in `folder`."""
    return text if urlsplit(text).scheme else f"file://{(folder / Path(text).expanduser()).absolute()}"
