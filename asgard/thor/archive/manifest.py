"""Manifests as bytes: JSON with its own SHA-256, so that every changed or missing byte is found.

A manifest is accepted only if encoding its content again gives the same bytes: a bit flip in a blank is found like one in a number.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import asdict
from typing import Any

from asgard.core.errors import Failed
from asgard.thor.archive.model import (
    FORMAT,
    PAGE_FILES,
    ArchivedTopicFacts,
    File,
    Gap,
    Head,
    Page,
    Shard,
    earliest,
    latest,
)

HEAD = re.compile(r"manifests/([A-Za-z0-9._-]+)/([A-Za-z0-9_-]+)/(\d{5})/head-(\d{10})\.json\Z")


class Damaged(Failed):
    """A file or manifest of an archive that differs from what was written. `name` is its place in the archive."""

    def __init__(self, name: str, why: str, hint: str | None = None) -> None:
        super().__init__(f"{name} {why}", hint)
        self.name = name


def head_name(shard: Shard, seq: int) -> str:
    """Where a shard's manifest is in an archive."""
    return f"manifests/{shard.path}/head-{seq:010d}.json"


def page_name(shard: Shard, seq: int, sha256: str) -> str:
    """Where a page of files is in an archive. Two pages with other content have other names."""
    return f"manifests/{shard.path}/page-{seq:010d}-{sha256[:12]}.json"


def data_name(shard: Shard, start: int, claim: int) -> str:
    """A new name for a container file, another one at each call.

    A manifest may name the file of an attempt that seemed to fail: the next attempt must not overwrite it.
    """
    return f"data/{shard.path}/{start:020d}-{secrets.token_hex(4)}-{claim:010d}.avro"


def claim_of(name: str) -> int:
    """The claim that a container file was written under."""
    found = re.search(r"-(\d{10})\.avro\Z", name)
    return int(found[1]) if found else 0


def parse_head_name(name: str) -> tuple[Shard, int] | None:
    """The shard and sequence number of a head's name; None for any other name."""
    match = HEAD.match(name)
    return (Shard(match[1], match[2], int(match[3])), int(match[4])) if match else None


def encode(kind: str, content: dict[str, Any]) -> bytes:
    """A manifest's bytes."""
    body = _json(content)
    return (
        _json({"format": FORMAT, "kind": kind, "sha256": hashlib.sha256(body).hexdigest(), "content": content}) + b"\n"
    )


def decode(kind: str, name: str, data: bytes) -> dict[str, Any]:
    """The content of a manifest. Raises Damaged."""
    try:
        document = json.loads(data)
        content = document["content"]
        whole = encode(kind, content) == data
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Damaged(name, _why(data)) from None
    if not whole:
        raise Damaged(name, _why(data))
    assert isinstance(content, dict)
    return content


def _why(data: bytes) -> str:
    if not data:
        return "is empty"
    if not data.endswith(b"}\n"):
        return "is cut short"
    return "is damaged: its checksum does not match its content"


def encode_head(head: Head) -> bytes:
    """A head's bytes."""
    return encode("head", asdict(head))


def decode_head(name: str, data: bytes) -> Head:
    """A head from its bytes. Raises Damaged, also if it doesn't match its name."""
    found = decode("head", name, data)
    try:
        head = Head(
            **{
                **found,
                "shard": Shard(**found["shard"]),
                "facts": ArchivedTopicFacts(**found["facts"]),
                "pages": tuple(Page(**p) for p in found["pages"]),
                "files": tuple(File(**f) for f in found["files"]),
                "gaps": tuple(Gap(**g) for g in found["gaps"]),
            }
        )
    except (KeyError, TypeError) as error:
        raise Damaged(
            name, f"has another version: {error}", "Read it with the version of Asgard that wrote it."
        ) from error
    if head_name(head.shard, head.seq) != name:
        raise Damaged(name, f"is the manifest {head.seq} of {head.shard}, under another name")
    return head


def encode_page(shard: Shard, files: tuple[File, ...]) -> bytes:
    """A page's bytes."""
    return encode("page", {"shard": asdict(shard), "files": [asdict(f) for f in files]})


def decode_page(shard: Shard, page: Page, data: bytes) -> tuple[File, ...]:
    """The files of a page. Raises Damaged."""
    if hashlib.sha256(data).hexdigest() != page.sha256:
        raise Damaged(page.name, _why(data) if not data.endswith(b"}\n") else "is not the one the manifest names")
    return tuple(File(**f) for f in decode("page", page.name, data)["files"])


def page_of(shard: Shard, seq: int, files: tuple[File, ...]) -> tuple[Page, bytes]:
    """A page of these files, in order, and its bytes."""
    data = encode_page(shard, files)
    sha256 = hashlib.sha256(data).hexdigest()
    page = Page(
        page_name(shard, seq, sha256),
        sha256,
        files[0].start,
        files[-1].end,
        len(files),
        sum(f.records for f in files),
        sum(f.bytes for f in files),
        earliest(f.first_ms for f in files),
        latest(f.last_ms for f in files),
        max(f.closed_at for f in files),
    )
    return page, data


def is_full(head: Head, most: int = PAGE_FILES) -> bool:
    """Whether its files must go to a page before the next one is added."""
    return len(head.files) >= most


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
