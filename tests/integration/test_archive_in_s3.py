"""`asgard thor archive` and a restore through a bucket that has no credentials, refuses, throttles, and then works."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("moto.server", reason="moto's server is needed")

from tests.harness import RealCluster
from tests.harness.archives import Desk, Faults, faulty_proxy, in_order, seen, written

pytestmark = pytest.mark.kafka

RECORDS, BUCKET, REGION = 1500, "kafka", "eu-west-1"


@pytest.fixture
def service() -> Iterator[tuple[str, int]]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server.get_host_and_port()
    server.stop()


def test_what_a_bucket_refuses_is_a_sentence_and_exit_code_3_and_the_next_run_goes_on(
    plain_broker: RealCluster,
    own_home: Path,
    topic_name: str,
    service: tuple[str, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import boto3

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    nobody = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": REGION}
    somebody = {**nobody, "AWS_ACCESS_KEY_ID": "one", "AWS_SECRET_ACCESS_KEY": "two", "AWS_MAX_ATTEMPTS": "2"}
    boto3.client(
        "s3",
        endpoint_url=f"http://{service[0]}:{service[1]}",
        aws_access_key_id="one",
        aws_secret_access_key="two",
        region_name=REGION,
    ).create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    connection = plain_broker.connection
    sent = written(connection, topic_name, RECORDS)
    desk, faults = Desk(plain_broker, own_home, somebody), Faults()
    with faulty_proxy(*service, faults) as url:
        place = f"s3://{BUCKET}/{topic_name}"
        archive = ("archive", "run", topic_name, "--to", place, "--roll-size", "10KiB", "--endpoint-url", url)
        told = Desk(plain_broker, own_home, nobody).run(*archive, code=3)
        assert told["error"]["what"].startswith(f"no AWS credentials for {place}: "), told
        faults.plan = ["403"] * 40
        told = desk.run(*archive, code=3)
        assert f"the bucket {BUCKET} refuses these credentials (AccessDenied" in told["error"]["what"], told
        faults.plan = ["pass"] * 38 + ["503"] * 40
        told = desk.run(*archive, code=3)
        assert "SlowDown" in told["error"]["what"] and "goes on from the manifest" in told["error"]["hint"], told
        faults.plan = ["pass", "503"]
        done = desk.run(*archive)
        assert 0 < done["records"] < RECORDS, "the run that was throttled had archived some"
        whole = desk.run("archive", "verify", place, "--endpoint-url", url)
        assert (whole["records"], whole["damaged"], whole["strays"]) == (RECORDS, [], [])
        faults.plan = ["pass", "half"]
        back = f"{topic_name}.back"
        options = ("--to", back, "--create", "--endpoint-url", url, "--yes")
        assert desk.run("replay", topic_name, "--from-archive", place, *options)["records"] == RECORDS
        assert seen(connection, back) == in_order(sent)
        assert faults.done[-2:] == ["503", "half"] and faults.done.count("503") > 2
