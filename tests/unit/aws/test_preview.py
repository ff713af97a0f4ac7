"""What `odin preview` prints of each template with each option, and each security property on every resource of it.

The texts are in tests/data/aws; ASGARD_WRITE_GOLDEN=1 writes them anew. No network is needed and no credentials: the programs run on
the SDK's mocks.
"""

from __future__ import annotations

import base64
import functools
import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from asgard.core.shipped import shipped
from asgard.odin import program as programs
from asgard.odin import targets
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.steps import Result, Step
from asgard.odin.lifecycle import display, roll
from asgard.odin.provider.allocation import allocate
from asgard.odin.spec.model import StackSpec
from asgard.odin.spec.read import load
from asgard.odin.targets.aws import declare as declare_module
from asgard.odin.targets.aws import guardrails
from asgard.odin.targets.aws.declare import declare
from asgard.odin.targets.aws.guardrails import Declared
from asgard.odin.targets.aws.program import settings

GOLDEN = Path(__file__).parents[2] / "data" / "aws"
SUBNETS = {"vpc": "vpc-0a1b2c3d", "subnets": ["subnet-0a", "subnet-0b", "subnet-0c"], "cidr": "10.90.0.0/16"}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "ec2": ("aws-ec2", {}),
    "ec2-options": (
        "aws-ec2",
        {
            "aws": {
                "network": {"clients": ["10.20.0.0/16", "sg-0abc12345"]},
                "volume": {"size": "500GiB", "iops": 6000, "throughput": "250MiB/s"},
                "instance_type": "m6i.large",
                "image": "ami-0123456789abcdef0",
                "alarm_topic": "arn:aws:sns:eu-central-1:123456789012:oncall",
                "archive_after": 90,
            },
            "kafka": {"heap": "4GiB", "config": {"num.io.threads": "16"}},
        },
    ),
    "ec2-dedicated-controllers": ("aws-ec2", {"aws": {"dedicated_controllers": True, "controller_type": "t4g.small"}}),
    "ec2-five-controllers": ("aws-ec2", {"kafka": {"brokers": 6, "controllers": 5}}),
    "ec2-existing-vpc": ("aws-ec2", {"aws": {"network": SUBNETS}}),
    "ec2-dev-for-nobody": (
        "aws-ec2",
        {
            "aws": {"environment": "dev", "network": {"zones": 2, "clients": []}},
            "kafka": {"brokers": 2, "min_insync_replicas": 1},
        },
    ),
    "msk": ("aws-msk", {}),
    "msk-options": ("aws-msk", {"aws": {"instance_type": "m5.large", "network": {"clients": ["sg-0abc12345"]}}}),
    "msk-serverless": ("aws-msk", {"aws": {"serverless": True}}),
    "msk-existing-vpc": ("aws-msk", {"aws": {"network": SUBNETS}}),
}
CHANGES: dict[str, dict[str, Any]] = {
    "instance type": {"aws": {"instance_type": "m7g.xlarge"}},
    "heap": {"kafka": {"heap": "4GiB"}},
    "Kafka version": {"kafka": {"version": "4.3.1"}},
    "volume size": {"aws": {"volume": {"size": "600GiB"}}},
    "another client": {"aws": {"network": {"clients": ["10.20.0.0/16", "10.30.0.0/16"]}}},
    "one broker more": {"kafka": {"brokers": 4}},
}
"""What the preview of a change to the template `aws-ec2` (with Kafka 4.2.0) says."""


def spec_of(template: str, options: dict[str, Any]) -> StackSpec:
    document = yaml.safe_load((shipped("templates") / f"{template}.yaml").read_text())
    _merge(document, options)
    if options.get("kafka", {}).get("brokers") == 2:
        document["topics"][0]["replication"] = 2
    with TemporaryDirectory() as directory:
        file = Path(directory, "asgard.yaml")
        file.write_text(yaml.safe_dump(document))
        return load(file)


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict) and key != "tags":
            _merge(into[key], value)
        else:
            into[key] = value


def resources_of(spec: StackSpec) -> list[Declared]:
    # The archive of a version has another digest.
    program = programs.program(
        spec, programs.declared(spec, {}), None, lambda version: (__file__, version.encode().hex().ljust(64, "0"))
    )
    return declare(program, settings(spec).region)


@functools.cache
def variant(name: str) -> tuple[Declared, ...]:
    return tuple(resources_of(spec_of(*VARIANTS[name])))


def preview_of(before: list[Declared], after: list[Declared], stack: str) -> Result:
    """The steps of an engine that compares what is declared with what was."""
    ref = StackRef("asgard", stack)
    known = {(r.type, r.name): r for r in before}
    steps = []
    for r in sorted(after, key=lambda r: (r.type, r.name)):
        urn, old = ref.child(ref.urn, r.type, r.name), known.pop((r.type, r.name), None)
        if old is None:
            steps.append(Step("create", urn, new=dict(r.inputs)))
            continue
        keys = sorted(k for k in r.inputs.keys() | old.inputs.keys() if r.inputs.get(k) != old.inputs.get(k))
        diff = {path: "update" for key in keys for path in _paths(key, old.inputs.get(key), r.inputs.get(key))}
        steps.append(Step("update" if diff else "same", urn, old=dict(old.inputs), new=dict(r.inputs), diff=diff))
    steps += [Step("delete", ref.child(ref.urn, *key), old=dict(r.inputs)) for key, r in known.items()]
    return Result(steps)


def _paths(key: str, old: Any, new: Any) -> list[str]:
    """Maps by their keys, as Pulumi's detailed diff has it."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return [key]
    return [f'{key}["{k}"]' if not k.isidentifier() else f"{key}.{k}" for k in sorted(old.keys() | new.keys()) if old.get(k) != new.get(k)]  # fmt: skip


def same_as_golden(name: str, text: str) -> None:
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("ASGARD_WRITE_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    assert text + "\n" == file.read_text(), f"{file} is not what the preview says now"


@pytest.mark.parametrize("name", VARIANTS)
def test_the_preview_of_a_new_cluster_is_as_it_was(name: str) -> None:
    found = preview_of([], list(variant(name)), spec_of(*VARIANTS[name]).name)
    same_as_golden(name, display.text(found))


def test_the_preview_of_a_change_says_which_nodes_get_new_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    # One identity for all of them, as a state keeps it.
    hosts = {str(i): f"node-{i}.orders-eu.kafka.internal" for i in (1, 2, 3)}
    kept = allocate({"name": "orders-eu", "hosts": hosts, "controllers": ["1", "2", "3"]}, {})
    monkeypatch.setattr(declare_module, "allocate", lambda wanted, before: allocate(wanted, kept))
    old = spec_of("aws-ec2", {"kafka": {"version": "4.2.0"}})
    before, said = resources_of(old), []
    for what, options in CHANGES.items():
        options = {**options, "kafka": {"version": "4.2.0", **options.get("kafka", {})}}
        result = preview_of(before, resources_of(spec_of("aws-ec2", options)), old.name)
        nodes = targets.of(old.target).outdates(result.steps, old.name)
        assert (nodes == {1, 2, 3}) is (what in ("instance type", "heap", "Kafka version")), (what, nodes)
        assert roll.raises_levels(result.steps) is (what == "Kafka version")
        said.append(f"# {what}\n{display.text(result)}" + (f"\n{roll.sentence(nodes)}" if nodes else ""))
    same_as_golden("changes", "\n\n".join(said))


def everything(value: Any) -> Iterator[str]:
    """Every text in a resource's inputs; user data is opened."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from everything(script(item) if key == "userData" else item)
    elif isinstance(value, list):
        for item in value:
            yield from everything(item)
    elif isinstance(value, str):
        yield value


def script(data: str) -> str:
    config = yaml.safe_load(base64.b64decode(data))
    return gzip.decompress(base64.b64decode(config["write_files"][0]["content"])).decode()


@pytest.mark.parametrize("name", VARIANTS)
def test_each_security_property_holds_for_every_resource(name: str) -> None:
    found = [r for r in variant(name) if r.type.startswith("aws:")]
    assert len(found) > 20
    by_kind: dict[str, list[Declared]] = {}
    for r in found:
        by_kind.setdefault(r.type.rpartition(":")[2], []).append(r)
        texts = list(everything(dict(r.inputs)))
        # Kafka's own listeners say 0.0.0.0:9092: that is no network.
        assert not {"0.0.0.0/0", "::/0"} & set(texts), r
        assert not any("PRIVATE KEY" in text or "admin-password" in text for text in texts), r
        assert "keyName" not in r.inputs and "ingress" not in r.inputs and "egress" not in r.inputs, r
        if "tags" in r.inputs:
            assert {"asgard:stack", "asgard:environment", "team"} <= guardrails.tags_of(r), r
    of = lambda kind: by_kind.get(kind, [])  # noqa: E731
    for volume in of("Volume"):
        assert volume.inputs["encrypted"] is True and volume.inputs["kmsKeyId"] and volume.inputs["type"] == "gp3"
        assert volume.inputs["finalSnapshot"] is True
    for template in of("LaunchTemplate"):
        metadata = template.inputs["metadataOptions"]
        assert (metadata["httpTokens"], metadata["httpPutResponseHopLimit"]) == ("required", 1)
        assert [i["associatePublicIpAddress"] for i in template.inputs["networkInterfaces"]] == ["false"]
        assert all(
            m["ebs"]["encrypted"] == "true" and m["ebs"]["kmsKeyId"] for m in template.inputs["blockDeviceMappings"]
        )
    for subnet in of("Subnet"):
        assert subnet.inputs["mapPublicIpOnLaunch"] is False
    assert not of("InternetGateway") and not of("NatGateway") and not of("Eip") and not of("KeyPair")
    assert len(of("Key")) == 1 and of("Key")[0].inputs["enableKeyRotation"] is True
    for secret in of("Secret"):
        assert secret.inputs["kmsKeyId"]
    for content in of("SecretVersion"):
        assert content.inputs["secretString"] in ("[secret]", None), content
    (bucket,) = of("Bucket")
    (block,), (versions,), (cipher,), (policy,) = (
        of("BucketPublicAccessBlock"), of("BucketVersioning"), of("BucketServerSideEncryptionConfiguration"), of("BucketPolicy"),
    )  # fmt: skip
    assert all(
        block.inputs[k] for k in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    )
    assert versions.inputs["versioningConfiguration"]["status"] == "Enabled" and bucket.name == block.name
    assert cipher.inputs["rules"][0]["applyServerSideEncryptionByDefault"]["sseAlgorithm"] == "aws:kms"
    (denied,) = json.loads(policy.inputs["policy"])["Statement"]
    assert denied["Effect"] == "Deny" and denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    for policy in of("RolePolicy"):
        for statement in json.loads(policy.inputs["policy"])["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert not any("*" in action for action in actions) and statement["Resource"] != "*", statement
    for cluster in of("Cluster"):
        info = cluster.inputs["encryptionInfo"]
        assert info["encryptionAtRestKmsKeyArn"] and info["encryptionInTransit"] == {
            "clientBroker": "TLS",
            "inCluster": True,
        }
        assert cluster.inputs["clientAuthentication"]["unauthenticated"] is False
        assert cluster.inputs["brokerNodeGroupInfo"]["connectivityInfo"] == {"publicAccess": {"type": "DISABLED"}}
    for cluster in of("ServerlessCluster"):
        assert cluster.inputs["clientAuthentication"]["sasl"]["iam"]["enabled"] is True
    assert of("LaunchTemplate") or of("Cluster") or of("ServerlessCluster")
    assert guardrails.review(variant(name), guardrails.Stack("prod", 2, {})) == []
