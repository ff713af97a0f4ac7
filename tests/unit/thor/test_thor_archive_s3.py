"""Archives in S3, at moto's server, with a proxy in front of it that throttles, hangs, cuts and drops."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("moto.server", reason="moto's server is needed")

from asgard.core.errors import Unreachable
from asgard.thor.archive import ledger, manifest, read, s3, verify
from asgard.thor.archive.container import Container
from asgard.thor.archive.model import Shard, fresh
from asgard.thor.archive.s3 import Bucket
from tests.harness.archives import Faults, faulty_proxy
from tests.harness.moto_server import moto_server
from tests.unit.thor.test_thor_archive_files import FACTS, archived, messages


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[str, int]]:
    with moto_server() as found:
        yield found


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def bucket(service: tuple[str, int], account: None, request: pytest.FixtureRequest) -> str:
    import boto3

    name = f"b-{abs(hash(request.node.name)) % 10**8}"
    url = f"http://{service[0]}:{service[1]}"
    boto3.client("s3", endpoint_url=url).create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    return name


def test_an_archive_in_a_bucket_is_like_one_in_a_directory(service: tuple[str, int], bucket: str) -> None:
    place = Bucket(bucket, "kafka/a", f"http://{service[0]}:{service[1]}")
    head = archived(place)
    assert verify.verify(place).damaged == [] and verify.verify(place).strays == []
    assert [r.offset for r in _records(place)] == list(range(head.end))
    with pytest.raises(ledger.Fenced):
        ledger.write(place, replace(head, writer="other"))
    newer = ledger.claim(place, head, "other", 9.0, FACTS, {})
    assert ledger.read(place, head.shard, ledger.index_of(place, head.shard)) == newer
    assert list(Bucket(bucket, "other", f"http://{service[0]}:{service[1]}").list("")) == []


@pytest.mark.parametrize("kind", ["503", "drop", "hang", "cut", "half"])
def test_faults_on_the_way_are_got_over_and_nothing_is_lost(
    service: tuple[str, int], bucket: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", 5 * 1024 * 1024)
    faults = Faults()
    with faulty_proxy(*service, faults) as url:
        # Only an answer that never comes is waited for in vain; a busy machine takes its time for the others.
        place = Bucket(bucket, "a", url, read_s=3.0 if kind == "hang" else 30.0)
        head = ledger.claim(place, fresh(Shard("t", "id", 0), "c", 0), "me", 1.0, FACTS, {})
        for n in (0, 2):
            faults.plan = ["pass"] * n + [kind]
            container = Container(place.workplace() / "x.avro", head.shard, head.end, "deflate", 1 << 20)
            noise = [os.urandom(900_000) for _ in range(13)] if n == 2 else [b"v" * 50_000]
            sent = messages(len(noise), head.end)
            for message, value in zip(sent, noise, strict=True):
                object.__setattr__(message, "of_value", value)
            container.append(sent)
            file = container.finish(manifest.data_name(head.shard, head.end, head.claim), container.end, 1.0)
            head = ledger.add(place, head, None, (file, container.path), 1.0, {})
        faults.plan = ["pass", kind]
        assert [r.offset for r in _records(place)] == list(range(head.end))
        assert len(faults.done) == 3
        assert verify.verify(place).damaged == []


def test_what_can_not_be_got_over_is_a_sentence_and_the_next_run_goes_on(
    service: tuple[str, int], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "TRIES", 2)
    faults = Faults()
    with faulty_proxy(*service, faults) as url:
        place = Bucket(bucket, "a", url, read_s=1.0)
        head = archived(place, 1)
        for kind, words in [
            ("503", "SlowDown"),
            ("drop", "does not answer"),
            ("hang", "does not answer"),
            ("403", "refuses"),
        ]:
            faults.plan = [kind] * 20
            with pytest.raises(Unreachable, match=words):
                ledger.add(place, head, None, None, 2.0, {})
            faults.plan = []
        assert ledger.read(place, head.shard, ledger.index_of(place, head.shard)) == head
        head = ledger.claim(place, head, "again", 3.0, FACTS, {})
    foreign = Bucket("somebody-elses", "a", f"http://{service[0]}:{service[1]}")
    with pytest.raises(Unreachable, match="there is no bucket somebody-elses"):
        list(foreign.list(""))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(Unreachable, match="no AWS credentials for s3://") as error:
        list(Bucket(bucket, "a", url).list(""))
    assert error.value.exit_code == 3 and "AWS_PROFILE" in str(error.value)


def test_an_upload_that_was_killed_leaves_nothing_behind(service: tuple[str, int], bucket: str) -> None:
    import boto3

    url = f"http://{service[0]}:{service[1]}"
    place = Bucket(bucket, "a", url)
    head = archived(place, 1)
    client = boto3.client("s3", endpoint_url=url)
    begun = f"a/{manifest.data_name(head.shard, head.end, head.claim)}"
    client.create_multipart_upload(Bucket=bucket, Key=begun)
    client.put_object(Bucket=bucket, Key=begun.replace(".avro", "x.avro"), Body=b"")
    ledger.claim(place, head, "next", 2.0, FACTS, {})
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
    assert len(list(place.list("data/"))) == 1


def _records(place: Bucket) -> list[read.Read]:
    plan = read.plan(place, read.TopicWindow())
    read.refuse_damaged(plan, allowed=False)
    return [r for shard, files in plan.files.items() for f in files for b in read.blocks(plan, shard, f) for r in b]
