"""What changed in AWS, in the words of a person on call: "volume orders-2: size is 200 GiB, was 100 GiB". Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

THINGS = {
    "aws:ebs/volume:Volume": "data volume",
    "aws:ec2/launchTemplate:LaunchTemplate": "launch template (instance type, image, user data)",
    "aws:ec2/securityGroup:SecurityGroup": "security group",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "firewall rule (inwards)",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "firewall rule (outwards)",
    "aws:autoscaling/group:Group": "Auto Scaling group",
    "aws:ec2/networkInterface:NetworkInterface": "network interface",
    "aws:route53/record:Record": "DNS name",
    "aws:kms/key:Key": "encryption key",
    "aws:s3/bucket:Bucket": "bucket",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "public access block of the bucket",
    "aws:s3/bucketVersioning:BucketVersioning": "versioning of the bucket",
    "aws:secretsmanager/secret:Secret": "secret",
    "aws:secretsmanager/secretVersion:SecretVersion": "content of a secret",
    "aws:msk/cluster:Cluster": "MSK cluster",
    "aws:msk/configuration:Configuration": "MSK configuration",
    "aws:iam/rolePolicy:RolePolicy": "permissions of a node",
}
"""Type token to what people call it; others by the last part of their token."""
PROPERTIES = {
    "size": "size (GiB)",
    "cidrIpv4": "allowed network",
    "instanceType": "instance type",
    "desiredCapacity": "desired instances",
    "minSize": "minimum instances",
    "maxSize": "maximum instances",
    "deletionWindowInDays": "days until a deletion is final",
    "numberOfBrokerNodes": "brokers",
    "kmsKeyId": "encryption key",
}
_SHORT = 60


def changed(token: str, name: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    """One resource that differs from its record; `new` None: it is gone. Secrets are never among the values."""
    thing = f"{THINGS.get(token, token.rpartition(':')[2])} {name}"
    if new is None:
        return f"{thing} is gone"
    before, after = dict(old or {}), dict(new)
    parts = [
        f"{PROPERTIES.get(key, key)} is {_shown(after.get(key))}, was {_shown(before.get(key))}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
    return f"{thing}: {'; '.join(parts)}" if parts else f"{thing} was changed"


def _shown(value: Any) -> str:
    if value in (None, "", [], {}):
        return "not set"
    text = "[secret]" if value == "[secret]" else str(value)
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"
