"""Where the Pulumi CLI keeps a stack: by default in a private place on this machine, or in a backend that a team shares.

A shared backend holds the state of record; the state on this machine is then a copy, refreshed before and after each
run, with its secrets under the stack's own passphrase. Pulumi locks a stack in the backend while a run changes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from asgard.core.errors import Unreachable

if TYPE_CHECKING:
    from pulumi import automation

PASSPHRASE = "passphrase"
TOKEN = "PULUMI_ACCESS_TOKEN"


@dataclass(frozen=True)
class Backend:
    """`url`: `file:///DIR`, `s3://BUCKET/PREFIX?region=…` or `https://HOST/ORGANIZATION`; None is the private place.
    `secrets`: `passphrase` or `awskms://KEY?region=…`."""

    url: str | None = None
    secrets: str = PASSPHRASE

    @property
    def login(self) -> str:
        """The URL as Pulumi takes it: in Pulumi, an organization is part of the stack's name."""
        url = self.url or ""
        parts = urlsplit(url)
        return f"https://{parts.netloc}" if parts.scheme == "https" else url

    def stack_name(self, project: str, stack: str) -> str:
        """The stack's name in this backend."""
        parts = urlsplit(self.url or "")
        organization = parts.path.strip("/")
        if parts.scheme != "https" or not organization:
            return stack
        from pulumi import automation

        return automation.fully_qualified_stack_name(organization, project, stack)

    def check(self) -> None:
        """Check that the backend can be reached from here. Raises Unreachable."""
        parts = urlsplit(self.url or "")
        if parts.scheme == "file" and not os.access(parts.path, os.W_OK | os.X_OK):
            raise Unreachable(
                f"the backend {self.url} is not a directory that Asgard can write to",
                "Create it, or mount it: engine.backend of the stack file names it.",
            )
        if parts.scheme == "s3":
            _check_bucket(parts.netloc, parse_qs(parts.query).get("region", [None])[0])
        if parts.scheme == "https" and not (os.environ.get(TOKEN) or _logged_in(self.login)):
            raise Unreachable(
                f"no access token for {self.login} is known", f"Set {TOKEN}, or run `pulumi login {self.login}` once."
            )


PRIVATE = Backend()


def settings_of(deployment: Mapping[str, Any] | None, salt: str | None) -> automation.StackSettings | None:
    """What Pulumi needs to open a stack's secrets: from the existing deployment, or the salt of this machine's copy."""
    from pulumi import automation

    provider = (deployment or {}).get("secrets_providers") or {}
    held = provider.get("state") or {}
    if provider.get("type") == "cloud":
        return automation.StackSettings(secrets_provider=held.get("url"), encrypted_key=held.get("encryptedkey"))
    salt = held.get("salt") or salt
    return automation.StackSettings(encryption_salt=salt) if salt else None


def _check_bucket(bucket: str, region: str | None) -> None:
    from botocore.exceptions import ClientError

    from asgard.machines.aws import client as aws

    with aws.errors(f"looking at the backend s3://{bucket}"):
        try:
            aws.client("s3", region).head_bucket(Bucket=bucket)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in ("404", "NoSuchBucket"):
                raise Unreachable(
                    f"there is no bucket {bucket}, which engine.backend names",
                    "Create it, versioned and encrypted, before the first `up`.",
                ) from error
            if code in ("403", "AccessDenied"):
                raise Unreachable(
                    f"the bucket {bucket}, which engine.backend names, refuses these credentials",
                    "They need s3:ListBucket, GetObject, PutObject and DeleteObject on it.",
                ) from error
            raise


def _logged_in(url: str) -> bool:
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    try:
        known = json.loads((home / "credentials.json").read_text())
    except (OSError, ValueError):
        return False
    return bool((known.get("accessTokens") or {}).get(url))
