"""Rules that every resource of a program must meet before `up` touches anything: `odin check` and each `up` check them. Pure.

A rule is a function from all declared resources to those that violate it; `RULES` are Asgard's own. A team adds its own
in the stack file (`of_team`) or in a package (`odin.lifecycle.guardrails`). A stack file can waive a rule only by name
and with a reason, which is printed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asgard.odin.spec.aws import TeamRules

ANYWHERE = ("0.0.0.0/0", "::/0")
REQUIRED_TAGS = ("asgard:stack", "asgard:environment")


@dataclass(frozen=True)
class Declared:
    """A resource as its program declares it: Pulumi's type token, its name, and its inputs in Pulumi's camelCase names.

    Secrets are shown as "[secret]", values known only after creation as None.
    """

    type: str
    name: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class Breach:
    """A violation of a rule by a resource; `what` says what is wrong and what to do."""

    rule: str
    resource: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.resource}: {self.what}"


@dataclass(frozen=True)
class Stack:
    """What rules may ask about the stack in addition to its resources. Replication factors by topic."""

    environment: str
    min_insync_replicas: int | None
    replication: Mapping[str, int]
    name: str = ""
    region: str = ""


Rule = Callable[[Sequence[Declared], Stack], Iterator[tuple[str, str]]]
"""Yields (resource, what is wrong)."""


def public_access(resources: Sequence[Declared], stack: Stack) -> Iterator[tuple[str, str]]:
    """Nothing is reachable from the internet."""
    for r in resources:
        if r.type in (
            "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
            "aws:ec2/securityGroupRule:SecurityGroupRule",
        ):
            if r.inputs.get("cidrIpv4") in ANYWHERE or r.inputs.get("cidrIpv6") in ANYWHERE:
                yield r.name, "is open to everyone; name the networks that may connect under aws.clients"
        elif r.type == "aws:ec2/securityGroup:SecurityGroup":
            for rule in r.inputs.get("ingress") or ():
                if set(rule.get("cidrBlocks") or ()) & set(ANYWHERE):
                    yield r.name, "is open to everyone; name the networks that may connect under aws.clients"
        elif r.type == "aws:ec2/subnet:Subnet" and r.inputs.get("mapPublicIpOnLaunch"):
            yield r.name, "gives instances a public address"
        elif r.type == "aws:ec2/launchTemplate:LaunchTemplate":
            for interface in r.inputs.get("networkInterfaces") or ():
                if str(interface.get("associatePublicIpAddress", "")).lower() != "false":
                    yield r.name, "does not refuse a public address for its instances"
        elif r.type == "aws:msk/cluster:Cluster":
            group = r.inputs.get("brokerNodeGroupInfo") or {}
            if ((group.get("connectivityInfo") or {}).get("publicAccess") or {}).get("type", "DISABLED") != "DISABLED":
                yield r.name, "has public access"


def encryption_at_rest(resources: Sequence[Declared], stack: Stack) -> Iterator[tuple[str, str]]:
    """Volumes, buckets, secrets and MSK's storage are encrypted with the stack's key."""
    encrypted = {r.name for r in resources if r.type.endswith(":BucketServerSideEncryptionConfiguration")}
    for r in resources:
        if r.type == "aws:ebs/volume:Volume" and not (r.inputs.get("encrypted") and "kmsKeyId" in r.inputs):
            yield r.name, "is not encrypted with the stack's key"
        elif r.type == "aws:ec2/launchTemplate:LaunchTemplate":
            for mapping in r.inputs.get("blockDeviceMappings") or ():
                if str((mapping.get("ebs") or {}).get("encrypted", "")).lower() != "true":
                    yield r.name, f"has an unencrypted disk {mapping.get('deviceName')}"
        elif r.type == "aws:s3/bucket:Bucket" and r.name not in encrypted:
            yield r.name, "has no encryption configuration"
        elif (r.type == "aws:secretsmanager/secret:Secret" and "kmsKeyId" not in r.inputs) or (
            r.type == "aws:msk/cluster:Cluster"
            and "encryptionAtRestKmsKeyArn" not in (r.inputs.get("encryptionInfo") or {})
        ):
            yield r.name, "is not encrypted with the stack's key"


def encryption_in_transit(resources: Sequence[Declared], stack: Stack) -> Iterator[tuple[str, str]]:
    """Clients and brokers speak TLS, and the bucket answers only over TLS."""
    with_policy = {r.name for r in resources if r.type.endswith(":BucketPolicy")}
    for r in resources:
        if r.type == "aws:msk/cluster:Cluster":
            transit = (r.inputs.get("encryptionInfo") or {}).get("encryptionInTransit") or {}
            if transit.get("clientBroker", "TLS") != "TLS" or transit.get("inCluster", True) is not True:
                yield r.name, "allows connections without TLS"
            if (r.inputs.get("clientAuthentication") or {}).get("unauthenticated"):
                yield r.name, "allows clients that don't log in"
        elif r.type == "aws:s3/bucket:Bucket" and r.name not in with_policy:
            yield r.name, "has no policy that requires TLS"


def instance_metadata(resources: Sequence[Declared], stack: Stack) -> Iterator[tuple[str, str]]:
    """Instance metadata needs a session token (IMDSv2)."""
    for r in resources:
        instances = r.type in ("aws:ec2/launchTemplate:LaunchTemplate", "aws:ec2/instance:Instance")
        if instances and (r.inputs.get("metadataOptions") or {}).get("httpTokens") != "required":
            yield r.name, "answers metadata requests without a token; set http_tokens: required"


def public_buckets(resources: Sequence[Declared], stack: Stack) -> Iterator[tuple[str, str]]:
    """Buckets block public access in all four ways."""
    blocked = {
        r.name
        for r in resources
        if r.type.endswith(":BucketPublicAccessBlock")
        and all(
            r.inputs.get(k)
            for k in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        )
    }
    for r in resources:
        if r.type == "aws:s3/bucket:Bucket" and r.name not in blocked:
            yield r.name, "does not block public access"


def least_privilege(resources: Sequence[Declared], stack: Stack) -> Iterator[tuple[str, str]]:
    """No policy of a role allows every action, or everything on every resource."""
    for r in resources:
        if r.type not in ("aws:iam/rolePolicy:RolePolicy", "aws:iam/policy:Policy"):
            continue
        text = r.inputs.get("policy")
        if not isinstance(text, str):
            continue
        for statement in json.loads(text).get("Statement", ()):
            actions = statement.get("Action", ())
            actions = [actions] if isinstance(actions, str) else actions
            if statement.get("Effect") == "Allow" and any(a == "*" or a.endswith(":*") for a in actions):
                yield r.name, f"allows {', '.join(actions)}: name the actions"
            if statement.get("Effect") == "Allow" and statement.get("Resource") == "*":
                yield r.name, f"allows {', '.join(actions)} on every resource"


def durability(resources: Sequence[Declared], stack: Stack) -> Iterator[tuple[str, str]]:
    """min.insync.replicas is 2 or more; in prod every topic has three replicas or more."""
    if stack.min_insync_replicas is not None and stack.min_insync_replicas < 2:
        yield (
            "kafka.min_insync_replicas",
            f"is {stack.min_insync_replicas}; a write that one broker holds is lost with it",
        )
    if stack.environment == "prod":
        for topic, factor in sorted(stack.replication.items()):
            if factor < 3:
                yield topic, f"has {factor} replica{'s' if factor > 1 else ''}; in prod it needs 3"


_TAGGED = (
    "aws:ebs/volume:Volume",
    "aws:ec2/vpc:Vpc",
    "aws:ec2/launchTemplate:LaunchTemplate",
    "aws:ec2/securityGroup:SecurityGroup",
    "aws:kms/key:Key",
    "aws:s3/bucket:Bucket",
    "aws:secretsmanager/secret:Secret",
    "aws:msk/cluster:Cluster",
    "aws:msk/serverlessCluster:ServerlessCluster",
)


def tags(resources: Sequence[Declared], stack: Stack) -> Iterator[tuple[str, str]]:
    """What costs money or holds data says which stack and environment it belongs to."""
    for r in resources:
        if r.type in _TAGGED:
            missing = [t for t in REQUIRED_TAGS if t not in tags_of(r)]
            if missing:
                yield r.name, f"lacks the tag {', '.join(missing)}"


def tags_of(resource: Declared) -> set[str]:
    """The names of a resource's tags; an Auto Scaling group has a list of them."""
    given = resource.inputs.get("tags") or {}
    return set(given) if isinstance(given, Mapping) else {str(tag["key"]) for tag in given}


RULES: dict[str, Rule] = {
    "no-public-access": public_access,
    "encrypted-at-rest": encryption_at_rest,
    "encrypted-in-transit": encryption_in_transit,
    "imdsv2": instance_metadata,
    "no-public-bucket": public_buckets,
    "least-privilege": least_privilege,
    "durable": durability,
    "tagged": tags,
}
"""Name to rule; `rule.__doc__` is what `odin check` prints for it."""


def of_team(team: TeamRules) -> dict[str, Rule]:
    """The rules that a stack file's `aws.guardrails` ask for."""

    def team_tags(resources: Sequence[Declared], stack: Stack) -> Iterator[tuple[str, str]]:
        for r in resources:
            if "tags" in r.inputs and (missing := [tag for tag in team.tags if tag not in tags_of(r)]):
                yield r.name, f"lacks the tag {', '.join(missing)}; set it under aws.tags"

    def team_regions(resources: Sequence[Declared], stack: Stack) -> Iterator[tuple[str, str]]:
        if stack.region not in team.regions:
            yield "aws.region", f"is {stack.region}; allowed are {', '.join(team.regions)}"

    def team_types(resources: Sequence[Declared], stack: Stack) -> Iterator[tuple[str, str]]:
        for r in resources:
            kind = r.inputs.get("instanceType") or (r.inputs.get("brokerNodeGroupInfo") or {}).get("instanceType")
            if kind and not any(fnmatchcase(kind.removeprefix("kafka."), allowed) for allowed in team.instance_types):
                yield r.name, f"is of type {kind}; allowed are {', '.join(team.instance_types)}"

    team_tags.__doc__ = f"Every resource has the tags {', '.join(team.tags)}."
    team_regions.__doc__ = f"The region is one of {', '.join(team.regions)}."
    team_types.__doc__ = f"Instances are of the types {', '.join(team.instance_types)}."
    found: dict[str, Rule] = {}
    if team.tags:
        found["team-tags"] = team_tags
    if team.regions:
        found["team-regions"] = team_regions
    if team.instance_types:
        found["team-instance-types"] = team_types
    return found


def review(
    resources: Iterable[Declared],
    stack: Stack,
    *,
    rules: Mapping[str, Rule] = RULES,
    waived: Mapping[str, str] | None = None,
) -> list[Breach]:
    """Every violation, sorted; rules that `waived` names (with a reason) are left out."""
    declared = list(resources)
    found = [
        Breach(name, resource, what)
        for name, rule in rules.items()
        if name not in (waived or {})
        for resource, what in rule(declared, stack)
    ]
    return sorted(found, key=lambda b: (b.rule, b.resource, b.what))
