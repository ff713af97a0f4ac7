"""Secrets stay out of the journal: names that suggest one are refused, and text that contains one is masked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_NAME = re.compile(r"passw(or)?d|passphrase|secret|jaas|private.?key|credential", re.IGNORECASE)
_IN_TEXT = re.compile(
    r"(passw(?:or)?d|passphrase|secret)(\"?\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;\"']+)", re.IGNORECASE
)


def to_json(document: Mapping[str, object]) -> str:
    """The document as JSON text. Raises ValueError for a key that names a secret, TypeError for what JSON can't hold."""
    return json.dumps(_checked(document, ""), ensure_ascii=False, sort_keys=True)


def _checked(value: object, where: str) -> object:
    if isinstance(value, Mapping):
        for key in value:
            if _NAME.search(str(key)):
                raise ValueError(f"{where}{key} names a secret: the journal does not store secrets")
        return {str(key): _checked(inner, f"{where}{key}.") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_checked(inner, where) for inner in value]
    return blot(value) if isinstance(value, str) else value


def blot(text: str) -> str:
    """The text with the value of each `password=…`, `secret: …` replaced by stars."""
    return _IN_TEXT.sub(r"\1\2***", text)
