"""IAM of the nodes: each may attach its own volume and network interface, read its own secret, and read the distribution.

Each node has its own role, so that a compromised node can't read another's keys.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from asgard.odin.targets.aws.protection import DISTRIBUTION
from asgard.odin.targets.aws.scope import Scope

ASSUMED_BY_EC2 = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)


@dataclass(frozen=True)
class NodeArns:
    """The ARNs of what a node uses: the stack's bucket and key, and its own secret, volume and network interface."""

    bucket: str
    key: str
    secret: str
    volume: str
    interface: str


def node_policy(stack: str, node: int, arns: NodeArns) -> dict[str, Any]:
    """The permissions of one node, as a policy document."""
    instances = f"{arns.volume.rpartition(':volume/')[0]}:instance/*"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "ReadDistribution",
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": f"{arns.bucket}/{DISTRIBUTION}*",
            },
            {
                "Sid": "ReadOwnSecret",
                "Effect": "Allow",
                "Action": "secretsmanager:GetSecretValue",
                "Resource": arns.secret,
            },
            {"Sid": "Decrypt", "Effect": "Allow", "Action": "kms:Decrypt", "Resource": arns.key},
            {
                "Sid": "AttachOwnParts",
                "Effect": "Allow",
                "Action": ["ec2:AttachVolume", "ec2:AttachNetworkInterface"],
                "Resource": [arns.volume, arns.interface],
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


def instance_profile(scope: Scope, node: int, policy: pulumi.Output[str]) -> aws.iam.InstanceProfile:
    """The profile of one node: its policy, and SSM for anyone who needs a shell (no SSH key exists)."""
    name = f"{scope.stack}-{node}"
    role = aws.iam.Role(name, assume_role_policy=ASSUMED_BY_EC2, tags=dict(scope.tags), opts=scope.options())
    aws.iam.RolePolicy(name, role=role.id, policy=policy, opts=scope.options())
    aws.iam.RolePolicyAttachment(
        f"{name}-ssm",
        role=role.name,
        policy_arn="arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
        opts=scope.options(),
    )
    return aws.iam.InstanceProfile(name, role=role.name, tags=dict(scope.tags), opts=scope.options())
