"""The network of a cluster on AWS: private subnets in several zones, no way in from outside, AWS's own services through endpoints.

Instances have no public address and there is no NAT gateway: what they need (S3, Secrets Manager, SSM, KMS, EC2) is
reached through endpoints inside the VPC. Security groups are closed; only what the stack file names gets a rule.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from asgard.odin.spec.aws import CLIENT_PORT, CONTROLLER_PORT, NetworkSettings

INTERFACE_ENDPOINTS = ("ec2", "ssm", "ssmmessages", "ec2messages", "secretsmanager", "kms", "logs")
"""What instances call, apart from S3 (a gateway endpoint, which is free)."""
Options = Callable[..., pulumi.ResourceOptions]


@dataclass(frozen=True)
class Network:
    """The VPC, one private subnet a zone, and the id of each zone (use1-az1, the same in every account)."""

    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    zone_names: Sequence[pulumi.Input[str]]
    zone_ids: Sequence[pulumi.Input[str]]
    cidr: pulumi.Input[str]


def create(stack: str, region: str, given: NetworkSettings, tags: Mapping[str, str], options: Options) -> Network:
    """The network that the stack file describes, or the existing one that it names."""
    return _existing(given, options) if given.vpc_id else _new(stack, region, given, tags, options)


def _existing(given: NetworkSettings, options: Options) -> Network:
    subnets = [aws.ec2.get_subnet_output(id=subnet, opts=_invoke(options)) for subnet in given.subnet_ids]
    vpc = aws.ec2.get_vpc_output(id=given.vpc_id, opts=_invoke(options))
    return Network(
        str(given.vpc_id),
        list(given.subnet_ids),
        [s.availability_zone for s in subnets],
        [s.availability_zone_id for s in subnets],
        vpc.cidr_block,
    )


def _new(stack: str, region: str, given: NetworkSettings, tags: Mapping[str, str], options: Options) -> Network:
    zones = aws.get_availability_zones_output(
        state="available",
        filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
        opts=_invoke(options),
    )
    names = [zones.names.apply(lambda found, i=i: found[i]) for i in range(given.zones)]
    ids = [zones.zone_ids.apply(lambda found, i=i: found[i]) for i in range(given.zones)]
    vpc = aws.ec2.Vpc(
        stack,
        cidr_block=given.cidr,
        enable_dns_hostnames=True,
        enable_dns_support=True,
        tags={**tags, "Name": stack},
        opts=options(),
    )
    # The default security group lets its members talk to each other; without rules it allows nothing.
    aws.ec2.DefaultSecurityGroup(f"{stack}-default-closed", vpc_id=vpc.id, tags=dict(tags), opts=options())
    table = aws.ec2.RouteTable(
        f"{stack}-private", vpc_id=vpc.id, tags={**tags, "Name": f"{stack}-private"}, opts=options()
    )
    subnets = []
    for index, block in enumerate(subnet_blocks(given.cidr, given.zones)):
        subnet = aws.ec2.Subnet(
            f"{stack}-{index}",
            vpc_id=vpc.id,
            cidr_block=block,
            availability_zone=names[index],
            map_public_ip_on_launch=False,
            tags={**tags, "Name": f"{stack}-private-{index}"},
            opts=options(),
        )
        aws.ec2.RouteTableAssociation(f"{stack}-{index}", subnet_id=subnet.id, route_table_id=table.id, opts=options())
        subnets.append(subnet)
    _endpoints(stack, region, vpc, subnets, table, tags, options)
    return Network(vpc.id, [s.id for s in subnets], names, ids, vpc.cidr_block)


def subnet_blocks(cidr: str, zones: int) -> list[str]:
    """One block for each zone: a quarter of the VPC each, or an eighth if there are more than four zones."""
    whole = ipaddress.ip_network(cidr)
    bits = 2 if zones <= 4 else 3
    return [str(block) for block, _ in zip(whole.subnets(prefixlen_diff=bits), range(zones), strict=False)]


def _endpoints(
    stack: str,
    region: str,
    vpc: aws.ec2.Vpc,
    subnets: Sequence[aws.ec2.Subnet],
    table: aws.ec2.RouteTable,
    tags: Mapping[str, str],
    options: Options,
) -> None:
    aws.ec2.VpcEndpoint(
        f"{stack}-s3",
        vpc_id=vpc.id,
        service_name=f"com.amazonaws.{region}.s3",
        vpc_endpoint_type="Gateway",
        route_table_ids=[table.id],
        tags={**tags, "Name": f"{stack}-s3"},
        opts=options(),
    )
    group = aws.ec2.SecurityGroup(
        f"{stack}-endpoints",
        description="HTTPS from the cluster's own subnets to AWS services",
        vpc_id=vpc.id,
        tags={**tags, "Name": f"{stack}-endpoints"},
        opts=options(),
    )
    aws.vpc.SecurityGroupIngressRule(
        f"{stack}-endpoints-https",
        security_group_id=group.id,
        cidr_ipv4=vpc.cidr_block,
        ip_protocol="tcp",
        from_port=443,
        to_port=443,
        description="HTTPS from inside the VPC",
        tags=dict(tags),
        opts=options(),
    )
    for service in INTERFACE_ENDPOINTS:
        aws.ec2.VpcEndpoint(
            f"{stack}-{service}",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{region}.{service}",
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=[s.id for s in subnets],
            security_group_ids=[group.id],
            tags={**tags, "Name": f"{stack}-{service}"},
            opts=options(),
        )


def broker_group(
    stack: str,
    network: Network,
    clients: Sequence[str],
    tags: Mapping[str, str],
    options: Options,
    *,
    ports: Sequence[tuple[int, str]] = ((CLIENT_PORT, "clients"),),
    between: Sequence[tuple[int, str]] = ((CLIENT_PORT, "brokers"), (CONTROLLER_PORT, "controllers")),
) -> aws.ec2.SecurityGroup:
    """The security group of the nodes: `between` its members, `ports` for the named clients, outbound HTTPS to AWS."""
    group = aws.ec2.SecurityGroup(
        f"{stack}-nodes",
        description=f"Kafka nodes of {stack}",
        vpc_id=network.vpc_id,
        tags={**tags, "Name": f"{stack}-nodes"},
        opts=options(),
    )

    def rule(kind: Any, name: str, port: int, description: str, **peer: Any) -> None:
        kind(
            f"{stack}-{name}",
            security_group_id=group.id,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description=description,
            tags=dict(tags),
            opts=options(),
            **peer,
        )

    for port, who in between:
        for kind, way in ((aws.vpc.SecurityGroupIngressRule, "in"), (aws.vpc.SecurityGroupEgressRule, "out")):
            rule(kind, f"{who}-{way}", port, f"{who} among themselves", referenced_security_group_id=group.id)
    rule(aws.vpc.SecurityGroupEgressRule, "aws-out", 443, "AWS services in this VPC", cidr_ipv4=network.cidr)
    s3 = aws.ec2.get_managed_prefix_list_output(
        name=pulumi.Output.concat("com.amazonaws.", aws.get_region_output(opts=_invoke(options)).region, ".s3"),
        opts=_invoke(options),
    )
    rule(aws.vpc.SecurityGroupEgressRule, "s3-out", 443, "S3 through its gateway endpoint", prefix_list_id=s3.id)
    for client in clients:
        peer = {"referenced_security_group_id": client} if client.startswith("sg-") else {"cidr_ipv4": client}
        for port, who in ports:
            name = f"{who}-{client.replace('/', '_')}-{port}"
            rule(aws.vpc.SecurityGroupIngressRule, name, port, f"{who} from {client}", **peer)
    return group


def _invoke(options: Options) -> pulumi.InvokeOptions:
    return pulumi.InvokeOptions(provider=options().provider)
