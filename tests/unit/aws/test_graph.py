"""The AWS programs on the SDK's mocks: every resource of every option keeps every guardrail, without network or credentials."""

from __future__ import annotations

import base64
import functools
import gzip
import json
from dataclasses import replace
from typing import Any

import pytest
import yaml

from asgard.odin.spec.aws import AwsSettings, NetworkSettings
from asgard.odin.targets.aws import guardrails
from asgard.odin.targets.aws.declare import declare
from asgard.odin.targets.aws.guardrails import Declared

STACK = guardrails.Stack("prod", 2, {"orders.created": 3})
BASE = AwsSettings("eu-central-1", tags={"team": "data"})
VARIANTS = {
    "small": BASE,
    "dedicated": replace(BASE, dedicated_controllers=True),
    "clients": replace(BASE, network=NetworkSettings(clients=("10.1.0.0/16", "sg-0abc"))),
}


@functools.cache
def _variant(name: str) -> tuple[Declared, ...]:
    return tuple(_ec2_program(VARIANTS[name]))


def ec2_program(given: AwsSettings) -> list[Declared]:
    """A variant's resources; the program of each runs once."""
    return list(_variant(next(name for name, variant in VARIANTS.items() if variant == given)))


def _ec2_program(given: AwsSettings, brokers: int = 3, controllers: int = 3) -> list[Declared]:
    import pulumi

    from asgard.odin.targets.aws import ec2

    def program() -> None:
        provider = pulumi.ProviderResource("aws", "aws", {"region": given.region})
        ids = [*range(1, brokers + 1), *range(1001, 1001 + controllers)]
        known = {str(i): f"dir{i}" for i in ids}
        allocation = ec2.Allocation(
            pulumi.Output.from_input("cluster-id"),
            pulumi.Output.from_input(known),
            pulumi.Output.secret("admin-password"),
            pulumi.Output.secret("controller-password"),
            pulumi.Output.secret({str(i): "PEM" for i in ids}),
            pulumi.Output.from_input("CA"),
        )
        cluster = ec2.Cluster(
            "orders", "4.3.1", brokers, controllers, {"log.retention.hours": "24"}, 0, "odin_svc0", __file__, "ab" * 32
        )
        ec2.create(cluster, given, allocation, lambda **more: pulumi.ResourceOptions(provider=provider, **more))

    return declare(program)


def msk_program(given: AwsSettings) -> list[Declared]:
    import pulumi

    from asgard.odin.targets.aws import msk

    def program() -> None:
        provider = pulumi.ProviderResource("aws", "aws", {"region": given.region})
        cluster = msk.Cluster("orders", "3.9.x", 3, {"log.retention.hours": "24"}, {"orders-api": "s3cret-word"})
        msk.create(cluster, given, lambda **more: pulumi.ResourceOptions(provider=provider, **more))

    return declare(program)


def of(found: list[Declared], kind: str) -> list[Declared]:
    return [r for r in found if r.type.endswith(f":{kind}")]


def test_each_node_has_a_group_of_its_own() -> None:
    assert len(of(ec2_program(BASE), "Group")) == 3
    assert len(of(ec2_program(VARIANTS["dedicated"]), "Group")) == 6


def test_nodes_are_dealt_to_zones_and_keep_volume_address_and_name() -> None:
    found = ec2_program(VARIANTS["dedicated"])
    zones = {v.name: v.inputs["availabilityZone"][-1] for v in of(found, "Volume")}
    dealt = zip((1, 2, 3, 1001, 1002, 1003), "abcabc", strict=True)
    assert zones == {f"orders-{i}": zone for i, zone in dealt}
    assert {r.inputs["name"] for r in of(found, "Record")} == {
        f"node-{i}.orders.kafka.internal" for i in (1, 2, 3, 1001, 1002, 1003)
    }
    for group in of(found, "Group"):
        assert (group.inputs["minSize"], group.inputs["maxSize"], group.inputs["desiredCapacity"]) == (1, 1, 1)
        assert group.inputs["instanceMaintenancePolicy"]["minHealthyPercentage"] == 0


def test_user_data_carries_no_secret_and_names_its_own_volume() -> None:
    for template in of(ec2_program(BASE), "LaunchTemplate"):
        config = yaml.safe_load(base64.b64decode(template.inputs["userData"]))
        assert config["runcmd"] == [[config["write_files"][0]["path"]]]
        script = gzip.decompress(base64.b64decode(config["write_files"][0]["content"])).decode()
        assert "admin-password" not in script and "controller-password" not in script
        assert f"VOLUME={template.name}-id" in script
        assert "broker.rack=eu-1-az" in script or "broker.rack=eu-" in script


def test_each_node_reads_only_its_own_secret_and_attaches_only_its_own_volume() -> None:
    found = ec2_program(BASE)
    policies = {r.name: json.loads(r.inputs["policy"]) for r in of(found, "RolePolicy")}
    assert set(policies) == {"orders-1", "orders-2", "orders-3"}
    for name, policy in policies.items():
        by_sid: dict[str, Any] = {s["Sid"]: s for s in policy["Statement"]}
        assert by_sid["ReadOwnSecret"]["Resource"].endswith(f"secret/{name}")
        assert by_sid["AttachOwnParts"]["Resource"][0].endswith(f"volume/vol-{name}")
        assert by_sid["AttachToOwnInstance"]["Condition"]["StringEquals"]["ec2:ResourceTag/asgard:stack"] == "orders"


def test_nobody_reaches_the_cluster_unless_the_stack_names_them() -> None:
    ingress = of(ec2_program(BASE), "SecurityGroupIngressRule")
    assert {r.inputs.get("cidrIpv4") for r in ingress} == {None, "10.90.0.0/16"}
    named = of(ec2_program(VARIANTS["clients"]), "SecurityGroupIngressRule")
    extra = [r for r in named if r.name.startswith("orders-clients-")]
    assert {r.inputs.get("cidrIpv4") or r.inputs.get("referencedSecurityGroupId") for r in extra} == {
        "10.1.0.0/16",
        "sg-0abc",
    }
    assert {r.inputs["fromPort"] for r in extra} == {9092}


def test_msk_secrets_have_the_name_and_key_that_msk_demands() -> None:
    found = msk_program(BASE)
    (secret,) = of(found, "Secret")
    assert secret.inputs["name"] == "AmazonMSK_orders_orders-api" and secret.inputs["kmsKeyId"]
    (version,) = of(found, "SecretVersion")
    assert "s3cret-word" not in json.dumps(version.inputs)
    (cluster,) = of(found, "Cluster")
    assert cluster.inputs["clientAuthentication"] == {"sasl": {"iam": True, "scram": True}, "unauthenticated": False}
    assert cluster.inputs["brokerNodeGroupInfo"]["instanceType"] == "kafka.m7g.large"


BREACHES = [
    ("no-public-access", "SecurityGroupIngressRule", {"cidrIpv4": "0.0.0.0/0"}),
    ("no-public-access", "Subnet", {"mapPublicIpOnLaunch": True}),
    ("encrypted-at-rest", "Volume", {"encrypted": False}),
    ("imdsv2", "LaunchTemplate", {"metadataOptions": {"httpTokens": "optional"}}),
    ("no-public-bucket", "BucketPublicAccessBlock", {"blockPublicPolicy": False}),
    (
        "least-privilege",
        "RolePolicy",
        {"policy": '{"Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "a"}]}'},
    ),
    ("tagged", "Key", {"tags": {}}),
]


@pytest.mark.parametrize(("rule", "kind", "change"), BREACHES, ids=[f"{r}-{k}" for r, k, _ in BREACHES])
def test_each_guardrail_finds_its_breach(rule: str, kind: str, change: dict[str, Any]) -> None:
    found = ec2_program(BASE)
    index = next(i for i, r in enumerate(found) if r.type.endswith(f":{kind}"))
    broken = [*found]
    broken[index] = replace(found[index], inputs={**found[index].inputs, **change})
    assert {b.rule for b in guardrails.review(broken, STACK)} == {rule}
    assert guardrails.review(broken, STACK, waived={rule: "shown in a test"}) == []


def test_durability_is_judged_by_environment() -> None:
    few = guardrails.Stack("prod", 1, {"a": 2})
    assert [b.resource for b in guardrails.review([], few)] == ["a", "kafka.min_insync_replicas"]
    assert guardrails.review([], guardrails.Stack("dev", None, {"a": 1})) == []
