"""Every way to AWS: credentials that are missing or have run out, throttling and time-outs end in a sentence and exit code 3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError, SSOTokenLoadError

from asgard.core.errors import ExitCode, Unreachable
from asgard.kafka import iam
from asgard.machines.aws import asg, ebs, ec2, ecs, fis
from asgard.machines.aws.nodes import Ec2Nodes
from asgard.odin.engine.backends import Backend
from asgard.thor.archive import thaw
from asgard.thor.archive.s3 import Bucket

REGION = "eu-west-1"
TAGS = {"chaos": ("allowed",)}
WAYS: dict[str, Callable[[], object]] = {
    "instances": lambda: ec2.members(TAGS, REGION),
    "stop an instance": lambda: ec2.stop_instance("i-1", REGION),
    "start an instance": lambda: ec2.start_instance("i-1", REGION),
    "terminate an instance": lambda: ec2.terminate_instance("i-1", REGION),
    "reboot an instance": lambda: ec2.reboot_instance("i-1", REGION),
    "scaling groups": lambda: asg.members(TAGS, REGION),
    "terminate in a group": lambda: asg.kill_instance("i-1", REGION),
    "volumes": lambda: ebs.members(TAGS, REGION),
    "detach a volume": lambda: ebs.detach_volume("vol-1", "i-1", REGION),
    "attach a volume": lambda: ebs.attach_volume("vol-1", "i-1", "/dev/sdf", REGION),
    "where a volume is": lambda: ebs.attachment("vol-1", REGION),
    "tasks": lambda: ecs.members("web", TAGS, REGION),
    "an FIS template": lambda: fis.template("EXT1", REGION),
    "start FIS": lambda: fis.start("EXT1", "token", REGION),
    "stop FIS": lambda: fis.stop("EXP1", REGION),
    "nodes of a stack": lambda: Ec2Nodes("orders", REGION).nodes(),
    "outdated nodes": lambda: Ec2Nodes("orders", REGION).outdated(),
    "replace a node": lambda: Ec2Nodes("orders", REGION).replace(1),
    "stop a node": lambda: Ec2Nodes("orders", REGION).stop(1),
    "a backend": Backend(f"s3://team-state?region={REGION}").check,
    "read an archive": lambda: Bucket("backup", "kafka", None).read("a"),
    "list an archive": lambda: list(Bucket("backup", "kafka", None).list("")),
    "cold files": lambda: thaw.frozen(Bucket("backup", "kafka", None), [""]),
}


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "said AWS"}}, "Operation")


TROUBLES: dict[str, Exception] = {
    "expired": refused("ExpiredToken"),
    "throttled": refused("Throttling"),
    "no connection": ConnectTimeoutError(endpoint_url="https://aws"),
    "no answer": ReadTimeoutError(endpoint_url="https://aws"),
    "login ran out": SSOTokenLoadError(error_msg="expired"),
}

OTHERS = [name for name in TROUBLES if name != "expired"]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.delenv("AWS_PROFILE", raising=False)


EACH = [(way, trouble) for i, way in enumerate(WAYS) for trouble in ("expired", OTHERS[i % len(OTHERS)])]
"""Making a client takes longest: each way meets credentials that ran out, and one of the other troubles."""


@pytest.mark.parametrize(("way", "trouble"), EACH)
def test_what_aws_says_is_a_sentence(account: None, monkeypatch: pytest.MonkeyPatch, way: str, trouble: str) -> None:
    def call(client: BaseClient, operation: str, arguments: dict[str, Any]) -> None:
        raise TROUBLES[trouble]

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    with pytest.raises(Unreachable) as caught:
        WAYS[way]()
    assert caught.value.exit_code == ExitCode.UNREACHABLE and caught.value.hint
    assert "Traceback" not in str(caught.value) and "\n" not in caught.value.what


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    # boto3's common session keeps the credentials that it saw first.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.mark.parametrize("way", [*WAYS, "a login by IAM"])
def test_without_credentials_it_is_said_where_they_are_looked_for(nobody: None, way: str) -> None:
    with pytest.raises(Unreachable, match=r"no AWS credentials") as caught:
        WAYS[way]() if way in WAYS else iam.token(REGION)
    assert caught.value.exit_code == ExitCode.UNREACHABLE and "AWS_PROFILE" in str(caught.value.hint)
