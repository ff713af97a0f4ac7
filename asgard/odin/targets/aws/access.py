"""IAM of the nodes: each may attach its own volume and network interface, read its own secret, and read the distribution.

Each node has its own role, so that a compromised node can't read another's keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from asgard.odin.targets.aws.network import Options
from asgard.odin.targets.aws.protection import DISTRIBUTION

ASSUMED_BY_EC2 = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)


def node_policy(
    *, stack: str, node: int, bucket: str, key: str, secret: str, volume: str, interface: str
) -> dict[str, Any]:
    """The permissions of one node, as a policy document. `bucket` to `interface` are ARNs."""
    instances = f"{volume.rpartition(':volume/')[0]}:instance/*"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "ReadDistribution",
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": f"{bucket}/{DISTRIBUTION}*",
            },
            {"Sid": "ReadOwnSecret", "Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": secret},
            {"Sid": "Decrypt", "Effect": "Allow", "Action": "kms:Decrypt", "Resource": key},
            {
                "Sid": "AttachOwnParts",
                "Effect": "Allow",
                "Action": ["ec2:AttachVolume", "ec2:AttachNetworkInterface"],
                "Resource": [volume, interface],
            },
            {
                "Sid": "AttachToOwnInstance",
                "Effect": "Allow",
                "Action": ["ec2:AttachVolume", "ec2:AttachNetworkInterface"],
                "Resource": instances,
                "Condition": {
                    "StringEquals": {"ec2:ResourceTag/asgard:stack": stack, "ec2:ResourceTag/asgard:node": str(node)}
                },
            },
        ],
    }


def instance_profile(
    stack: str, node: int, policy: pulumi.Output[str], tags: Mapping[str, str], options: Options
) -> aws.iam.InstanceProfile:
    """The profile of one node: its policy, and SSM for anyone who needs a shell (no SSH key exists)."""
    name = f"{stack}-{node}"
    role = aws.iam.Role(name, assume_role_policy=ASSUMED_BY_EC2, tags=dict(tags), opts=options())
    aws.iam.RolePolicy(name, role=role.id, policy=policy, opts=options())
    aws.iam.RolePolicyAttachment(
        f"{name}-ssm",
        role=role.name,
        policy_arn="arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
        opts=options(),
    )
    return aws.iam.InstanceProfile(name, role=role.name, tags=dict(tags), opts=options())
