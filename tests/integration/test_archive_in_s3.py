"""`asgard thor archive` and a restore through a bucket of moto's server, with a proxy in front of it that breaks what it can."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("moto.server", reason="moto's server is needed")

from asgard.cli.main import main
from asgard.thor.archive import s3
from tests.harness import RealCluster
from tests.harness.archives import Faults, faulty_proxy, in_order, seen, written
from tests.harness.moto_server import moto_server

pytestmark = pytest.mark.kafka

RECORDS, BUCKET, REGION = 300, "kafka", "eu-west-1"
FAULTS = [
    ("503", r"refused the request \(SlowDown: injected\)"),
    ("hang", r"does not answer: Read timeout"),
    ("drop", r"does not answer: Connection was closed"),
    ("cut", r"of \d+ bytes after 3 uploads|refused the request \("),
    ("403", r"the bucket kafka refuses these credentials \(AccessDenied: injected\)"),
]
"""What the proxy does to every request from some moment on, and what is said of it."""


@pytest.fixture
def service() -> Iterator[tuple[str, int]]:
    with moto_server() as found:
        yield found


@pytest.mark.long
def test_what_a_bucket_refuses_is_a_sentence_and_exit_code_3_and_the_next_run_goes_on(
    plain_broker: RealCluster,
    own_home: Path,
    topic_name: str,
    service: tuple[str, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import boto3

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "HOME": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    account = {"aws_access_key_id": "one", "aws_secret_access_key": "two", "region_name": REGION}
    boto3.client("s3", endpoint_url=f"http://{service[0]}:{service[1]}", **account).create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    connection, faults = plain_broker.connection, Faults()
    cluster = ["--bootstrap-server", plain_broker.bootstrap_servers]
    with faulty_proxy(*service, faults) as url:

        def thor(*args: str, code: int = 0) -> Any:
            assert main(["thor", *args, "--endpoint-url", url, "--json"]) == code
            out, err = capsys.readouterr()
            assert "Traceback" not in err
            return json.loads(out) if out else err

        place = f"s3://{BUCKET}/{topic_name}"
        archive = ("archive", "run", topic_name, "--to", place, "--roll-size", "4KiB", *cluster)
        sent = written(connection, topic_name, RECORDS)
        told = thor(*archive, code=3)
        assert told["error"]["what"].startswith(f"no AWS credentials for {place}: "), told
        for name in ("aws_access_key_id", "aws_secret_access_key"):
            monkeypatch.setenv(name.upper(), account[name])
        foreign = place.replace(BUCKET, "somebody-elses")
        told = thor("archive", "run", topic_name, "--to", foreign, *cluster, code=3)
        assert "there is no bucket somebody-elses" in told["error"]["what"], told
        archived = 0
        for n, (fault, words) in enumerate(FAULTS):
            # Only an answer that never comes has a short deadline: a busy machine takes its time for the others.
            monkeypatch.setattr(s3, "READ_S", 2.0 if fault == "hang" else 30.0)
            faults.plan = ["pass"] * 36 + [fault] * 200
            told = thor(*archive, code=3)
            assert re.search(words, told["error"]["what"]), told
            assert faults.done[-1] == fault
            faults.plan = []
            before, archived = archived, thor("archive", "list", place)["topics"][0]["records"]
            assert archived >= before, "what was archived before the fault stays"
            archived += thor(*archive)["records"]
            assert archived == len(sent), "the next run goes on, and archives nothing a second time"
            whole = thor("archive", "verify", place)
            assert (whole["records"], whole["damaged"], whole["strays"]) == (len(sent), [], [])
            if n + 1 < len(FAULTS):
                sent += written(connection, topic_name, RECORDS, seed=2 + n)
        back = f"{topic_name}.back"
        restore = ("replay", topic_name, "--from-archive", place, "--to", back, "--create", *cluster, "--yes")
        faults.plan = ["pass", "half"]
        assert thor(*restore)["records"] == len(sent)
        assert seen(connection, back) == in_order(sent)
        assert faults.done[-1] == "half", "a single fault is got over without a word"
