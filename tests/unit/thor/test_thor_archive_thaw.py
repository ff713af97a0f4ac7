"""Files in Glacier and Deep Archive: named, asked for once, waited for, then there; at moto's S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.moto_api import state_manager

from asgard.core.errors import Busy, Refused
from asgard.thor.archive import thaw
from asgard.thor.archive.directory import DirectoryStorage
from asgard.thor.archive.s3 import Bucket

CLASSES = {"a": "GLACIER", "b": "DEEP_ARCHIVE", "c": "GLACIER_IR", "d": "STANDARD", "e": "GLACIER"}
PREFIXES = ["data/t/"]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="backup")
        for name, kind in CLASSES.items():
            client.put_object(Bucket="backup", Key=f"kafka/data/t/{name}", Body=b"x" * 100, StorageClass=kind)  # type: ignore[arg-type]
        state_manager.set_transition("s3::keyrestore", {"progression": "manual", "times": 2})
        yield client
        state_manager.unset_transition("s3::keyrestore")


def bucket() -> Bucket:
    return Bucket("backup", "kafka", None)


def test_cold_files_are_named_and_nothing_is_asked_for_without_leave(s3: Any) -> None:
    found = thaw.frozen(bucket(), PREFIXES)
    assert [f.name for f in found.files] == ["data/t/a", "data/t/b", "data/t/e"]
    assert [f.name for f in thaw.frozen(bucket(), PREFIXES, {"data/t/b", "data/t/d"}).files] == ["data/t/b"]
    with pytest.raises(
        Refused, match=r"3 files of s3://backup/kafka \(300 B\) are in cold storage: data/t/a"
    ) as caught:
        thaw.ask(found, allowed=False)
    assert "--thaw" in str(caught.value.hint)
    assert "Restore" not in s3.head_object(Bucket="backup", Key="kafka/data/t/a")
    with pytest.raises(Refused, match="data/t/a is in cold storage"):
        bucket().read("data/t/a")
    assert bucket().read("data/t/c") == b"x" * 100


def test_a_restore_asks_once_waits_and_goes_on_when_the_copies_are_there(s3: Any) -> None:
    with pytest.raises(Busy, match="3 files of s3://backup/kafka are on their way out of cold storage"):
        thaw.ask(thaw.frozen(bucket(), PREFIXES), allowed=True)
    under_way = thaw.frozen(bucket(), PREFIXES)
    assert under_way.asked == {"data/t/a", "data/t/b", "data/t/e"}
    calls: list[str] = []
    s3.meta.events.register("before-call.s3.RestoreObject", lambda **_: calls.append("restore"))
    with pytest.raises(Busy, match="3 of them on their way"):
        thaw.ask(under_way, allowed=True)
    assert calls == []
    for _ in range(5):
        if not (left := thaw.frozen(bucket(), PREFIXES)):
            break
    assert not left
    thaw.ask(left, allowed=False)
    assert bucket().read("data/t/a") == b"x" * 100


def test_a_directory_has_no_cold_files(tmp_path: Path) -> None:
    assert not thaw.frozen(DirectoryStorage(tmp_path), PREFIXES)
