"""Masks personal data in records before they are shown. Pure, except for reading the file.

A hash is the start of an HMAC-SHA-256: equal values stay equal, so that records can still be joined, and without the secret
the value can't be brute-forced. Values without fields (text, bytes) are redacted as a whole if fields are to be masked: what can't be
parsed could hold anything.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from asgard.core.errors import InvalidFile
from asgard.heimdall.tail.decode import Decoded

REDACTED = "***"
_HASH_DIGITS = 24
Do = Literal["hash", "redact"]


@dataclass(frozen=True)
class Masks:
    """Field patterns with what to do, in the order of the file (the first match counts)."""

    fields: tuple[tuple[str, Do], ...] = ()
    key: Literal["show", "hash", "redact"] = "show"
    headers: Mapping[str, Do] = field(default_factory=dict)
    secret: bytes = field(default=b"", repr=False)

    def value(self, decoded: Decoded) -> Decoded:
        """The value as it may be shown."""
        if not self.fields or decoded.value is None:
            return decoded
        if not decoded.structured or not isinstance(decoded.value, dict | list):
            return Decoded(decoded.encoding, REDACTED, "it has no fields that masks could look at")
        return Decoded(decoded.encoding, self._inside(decoded.value, ""), decoded.problem)

    def of_key(self, key: bytes | None) -> bytes | None:
        """The key as it may be shown."""
        return key if key is None or self.key == "show" else self._masked(self.key, key).encode()

    def header(self, name: str, value: bytes | None) -> bytes | None:
        """A header's value as it may be shown."""
        do = self.headers.get(name)
        return value if value is None or do is None else self._masked(do, value).encode()

    def _inside(self, value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return dict(self._entries(value, path))
        if isinstance(value, list):
            return [self._inside(inner, path) for inner in value]
        return value

    def _entries(self, value: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
        for name, inner in value.items():
            here = f"{path}.{name}" if path else str(name)
            do = next((do for pattern, do in self.fields if _matches(pattern, here, str(name))), None)
            if do is None:
                yield name, self._inside(inner, here)
            elif inner is None:
                yield name, None
            else:
                text = inner if isinstance(inner, str) else json.dumps(inner, sort_keys=True)
                yield name, self._masked(do, text.encode("utf-8", "surrogatepass"))

    def _masked(self, do: Do, value: bytes) -> str:
        if do == "redact":
            return REDACTED
        return hmac.new(self.secret, value, hashlib.sha256).hexdigest()[:_HASH_DIGITS]


def _matches(pattern: str, path: str, name: str) -> bool:
    """A pattern without a dot is a name at any depth. Case does not matter: `eMail` is personal as well."""
    return fnmatchcase((path if "." in pattern else name).lower(), pattern.lower())


def read(path: Path) -> Masks:
    """The masks of a YAML file (`asgard.masks/v1`). Raises InvalidFile and WrongUsage."""
    from asgard.core import yaml
    from asgard.core.schema.masks import MasksFile
    from asgard.core.schema.validate import check

    checked = check(yaml.read(path), MasksFile)
    if checked.value is None or checked.problems:
        raise InvalidFile(checked.problems)
    file = checked.value
    secret = file.secret.encode() if file.secret else os.urandom(32)
    return Masks(tuple((f.field, f.do) for f in file.fields), file.key, dict(file.headers), secret)
