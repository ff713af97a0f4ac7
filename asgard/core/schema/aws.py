"""The section `aws` of a stack file: the parts of a cluster on AWS. The shape only; Odin checks what must fit
together."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from asgard.core.schema.fields import (
    EmptyList,
    EmptyMapping,
    Given,
    Model,
    OptionalByteRate,
    OptionalText,
    Size,
    Text,
    Texts,
)


class AwsNetwork(Model):
    """A VPC of the stack's own, or an existing one with a private subnet in each zone."""

    cidr: Text = Field(default="10.90.0.0/16", description="of the VPC that the stack creates")
    zones: Annotated[int, Field(ge=1, le=6)] = Field(default=3, description="availability zones; a rack of Kafka each")
    vpc: OptionalText = Field(default=None, description="an existing VPC, as in vpc-0abc; then name `subnets`")
    subnets: Annotated[Texts, EmptyList] = Field(
        default_factory=list, description="one private subnet for each zone, as in subnet-0abc"
    )
    clients: Annotated[Texts, EmptyList] = Field(
        default_factory=list,
        description="CIDR blocks and security groups (sg-…) that may reach the brokers; none by default",
    )


class AwsVolume(Model):
    """The data volume of each broker."""

    size: Annotated[Size | None, Given] = Field(default=None, description="100GiB by default")
    iops: Annotated[int | None, Given, Field(ge=3000, le=80_000)] = Field(default=None, description="3,000 by default")
    throughput: OptionalByteRate = Field(default=None, description="125MiB/s by default")
    max_size: Annotated[Size | None, Given] = Field(
        default=None, description="aws-msk: how far storage grows by itself; four times the size by default"
    )


class AwsGuardrails(Model):
    """What a team demands of its stacks beside Asgard's own guardrails."""

    tags: Annotated[Texts, EmptyList] = Field(default_factory=list, description="tags that every resource must have")
    regions: Annotated[Texts, EmptyList] = Field(default_factory=list, description="allowed regions; all by default")
    instance_types: Annotated[Texts, EmptyList] = Field(
        default_factory=list, description="allowed instance types, * is any: m7g.*; all by default"
    )


class AwsSection(Model):
    """A cluster on AWS: `target: aws-ec2` or `target: aws-msk`."""

    region: Text = Field(description="as in eu-central-1")
    environment: Literal["dev", "staging", "prod"] = Field(
        default="prod", description="guardrails are stricter in prod; a tag of every resource"
    )
    network: Annotated[AwsNetwork, EmptyMapping] = Field(default_factory=AwsNetwork)
    volume: Annotated[AwsVolume, EmptyMapping] = Field(default_factory=AwsVolume)
    instance_type: Text = Field(default="m7g.large", description="of brokers")
    controller_type: Text = Field(default="t4g.medium", description="of controllers on instances of their own")
    dedicated_controllers: bool = Field(default=False, description="aws-ec2: controllers on instances of their own")
    serverless: bool = Field(default=False, description="aws-msk: a serverless cluster, which knows IAM logins only")
    image: OptionalText = Field(default=None, description="aws-ec2: an AMI; Amazon Linux 2023 by default")
    alarm_topic: OptionalText = Field(default=None, description="ARN of the SNS topic that alarms go to")
    archive_after: Annotated[int, Field(ge=1, le=3650)] = Field(
        default=30, description="days until archives in the bucket move to cheaper storage"
    )
    tags: Annotated[dict[str, Text], EmptyMapping] = Field(default_factory=dict, description="of every resource")
    guardrails: Annotated[AwsGuardrails, EmptyMapping] = Field(
        default_factory=AwsGuardrails, description="what a team demands beside Asgard's own guardrails"
    )
    waive: Annotated[dict[str, Text], EmptyMapping] = Field(
        default_factory=dict, description="guardrails to leave out, each with a reason that is printed"
    )
