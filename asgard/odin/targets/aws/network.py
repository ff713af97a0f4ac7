"""The network of a cluster on AWS: private subnets in several zones, no way in from outside, AWS's own services through endpoints.

Instances have no public address and there is no NAT gateway: what they need (S3, Secrets Manager, SSM, KMS, EC2) is
reached through endpoints inside the VPC. Security groups are closed; only what the stack file names gets a rule.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from asgard.odin.spec.aws import CLIENT_PORT, CONTROLLER_PORT, NetworkSettings
from asgard.odin.targets.aws.scope import Scope

INTERFACE_ENDPOINTS = ("ec2", "ssm", "ssmmessages", "ec2messages", "secretsmanager", "kms", "logs")
"""What instances call, apart from S3 (a gateway endpoint, which is free)."""


@dataclass(frozen=True)
class Network:
    """The VPC, one private subnet a zone, and the id of each zone (use1-az1, the same in every account)."""

    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    zone_names: Sequence[pulumi.Input[str]]
    zone_ids: Sequence[pulumi.Input[str]]
    cidr: pulumi.Input[str]


def create(scope: Scope, region: str, given: NetworkSettings) -> Network:
    """The network that the stack file describes, or the existing one that it names."""
    return _existing(scope, given) if given.vpc_id else _new(scope, region, given)


def _existing(scope: Scope, given: NetworkSettings) -> Network:
    subnets = [aws.ec2.get_subnet_output(id=subnet, opts=scope.invoke) for subnet in given.subnet_ids]
    vpc = aws.ec2.get_vpc_output(id=given.vpc_id, opts=scope.invoke)
    return Network(
        str(given.vpc_id),
        list(given.subnet_ids),
        [s.availability_zone for s in subnets],
        [s.availability_zone_id for s in subnets],
        vpc.cidr_block,
    )


def _new(scope: Scope, region: str, given: NetworkSettings) -> Network:
    zones = aws.get_availability_zones_output(
        state="available",
        filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
        opts=scope.invoke,
    )
    names = [zones.names.apply(lambda found, i=i: found[i]) for i in range(given.zones)]
    ids = [zones.zone_ids.apply(lambda found, i=i: found[i]) for i in range(given.zones)]
    vpc = aws.ec2.Vpc(
        scope.stack,
        cidr_block=given.cidr,
        enable_dns_hostnames=True,
        enable_dns_support=True,
        tags={**scope.tags, "Name": scope.stack},
        opts=scope.options(),
    )
    # The default security group lets its members talk to each other; without rules it allows nothing.
    aws.ec2.DefaultSecurityGroup(
        f"{scope.stack}-default-closed", vpc_id=vpc.id, tags=dict(scope.tags), opts=scope.options()
    )
    table = aws.ec2.RouteTable(
        f"{scope.stack}-private",
        vpc_id=vpc.id,
        tags={**scope.tags, "Name": f"{scope.stack}-private"},
        opts=scope.options(),
    )
    subnets = []
    for index, block in enumerate(subnet_blocks(given.cidr, given.zones)):
        subnet = aws.ec2.Subnet(
            f"{scope.stack}-{index}",
            vpc_id=vpc.id,
            cidr_block=block,
            availability_zone=names[index],
            map_public_ip_on_launch=False,
            tags={**scope.tags, "Name": f"{scope.stack}-private-{index}"},
            opts=scope.options(),
        )
        aws.ec2.RouteTableAssociation(
            f"{scope.stack}-{index}", subnet_id=subnet.id, route_table_id=table.id, opts=scope.options()
        )
        subnets.append(subnet)
    _endpoints(scope, region, vpc, subnets, table)
    return Network(vpc.id, [s.id for s in subnets], names, ids, vpc.cidr_block)


def subnet_blocks(cidr: str, zones: int) -> list[str]:
    """One block for each zone: a quarter of the VPC each, or an eighth if there are more than four zones."""
    whole = ipaddress.ip_network(cidr)
    bits = 2 if zones <= 4 else 3
    return [str(block) for block, _ in zip(whole.subnets(prefixlen_diff=bits), range(zones), strict=False)]


def _endpoints(
    scope: Scope,
    region: str,
    vpc: aws.ec2.Vpc,
    subnets: Sequence[aws.ec2.Subnet],
    table: aws.ec2.RouteTable,
) -> None:
    aws.ec2.VpcEndpoint(
        f"{scope.stack}-s3",
        vpc_id=vpc.id,
        service_name=f"com.amazonaws.{region}.s3",
        vpc_endpoint_type="Gateway",
        route_table_ids=[table.id],
        tags={**scope.tags, "Name": f"{scope.stack}-s3"},
        opts=scope.options(),
    )
    group = aws.ec2.SecurityGroup(
        f"{scope.stack}-endpoints",
        description="HTTPS from the cluster's own subnets to AWS services",
        vpc_id=vpc.id,
        tags={**scope.tags, "Name": f"{scope.stack}-endpoints"},
        opts=scope.options(),
    )
    aws.vpc.SecurityGroupIngressRule(
        f"{scope.stack}-endpoints-https",
        security_group_id=group.id,
        cidr_ipv4=vpc.cidr_block,
        ip_protocol="tcp",
        from_port=443,
        to_port=443,
        description="HTTPS from inside the VPC",
        tags=dict(scope.tags),
        opts=scope.options(),
    )
    for service in INTERFACE_ENDPOINTS:
        aws.ec2.VpcEndpoint(
            f"{scope.stack}-{service}",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{region}.{service}",
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=[s.id for s in subnets],
            security_group_ids=[group.id],
            tags={**scope.tags, "Name": f"{scope.stack}-{service}"},
            opts=scope.options(),
        )


def broker_group(
    scope: Scope,
    network: Network,
    clients: Sequence[str],
    *,
    ports: Sequence[tuple[int, str]] = ((CLIENT_PORT, "clients"),),
    between: Sequence[tuple[int, str]] = ((CLIENT_PORT, "brokers"), (CONTROLLER_PORT, "controllers")),
) -> aws.ec2.SecurityGroup:
    """The security group of the nodes: `between` its members, `ports` for the named clients, outbound HTTPS to AWS."""
    group = aws.ec2.SecurityGroup(
        f"{scope.stack}-nodes",
        description=f"Kafka nodes of {scope.stack}",
        vpc_id=network.vpc_id,
        tags={**scope.tags, "Name": f"{scope.stack}-nodes"},
        opts=scope.options(),
    )

    def rule(kind: Any, name: str, port: int, description: str, **peer: Any) -> None:
        kind(
            f"{scope.stack}-{name}",
            security_group_id=group.id,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description=description,
            tags=dict(scope.tags),
            opts=scope.options(),
            **peer,
        )

    for port, who in between:
        for kind, way in ((aws.vpc.SecurityGroupIngressRule, "in"), (aws.vpc.SecurityGroupEgressRule, "out")):
            rule(kind, f"{who}-{way}", port, f"{who} among themselves", referenced_security_group_id=group.id)
    rule(aws.vpc.SecurityGroupEgressRule, "aws-out", 443, "AWS services in this VPC", cidr_ipv4=network.cidr)
    s3 = aws.ec2.get_managed_prefix_list_output(
        name=pulumi.Output.concat("com.amazonaws.", aws.get_region_output(opts=scope.invoke).region, ".s3"),
        opts=scope.invoke,
    )
    rule(aws.vpc.SecurityGroupEgressRule, "s3-out", 443, "S3 through its gateway endpoint", prefix_list_id=s3.id)
    for client in clients:
        peer = {"referenced_security_group_id": client} if client.startswith("sg-") else {"cidr_ipv4": client}
        for port, who in ports:
            name = f"{who}-{client.replace('/', '_')}-{port}"
            rule(aws.vpc.SecurityGroupIngressRule, name, port, f"{who} from {client}", **peer)
    return group
