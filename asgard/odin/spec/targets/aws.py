"""The targets `aws-ec2` and `aws-msk`: what the section `aws` of a stack file and the rest of it require of each other."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from asgard.core.document import Found
from asgard.core.schema.aws import AwsSection
from asgard.core.schema.stack import StackFile
from asgard.core.schema.validate import nearest
from asgard.odin.spec.aws import AwsSettings, settings_of
from asgard.odin.spec.model import KafkaSpec
from asgard.odin.spec.targets import brokers

REGIONS = (
    *("af-south-1", "ap-east-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2"),
    *("ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ca-central-1", "ca-west-1"),
    *("eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3"),
    *("il-central-1", "me-central-1", "me-south-1", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2"),
)
_AREAS = {region.rpartition("-")[0] for region in REGIONS}
"""A new region of a known area is accepted as it is."""
_INSTANCE = re.compile(r"(kafka\.|express\.)?[a-z][a-z0-9-]*\.[a-z0-9]+")
_GROUP = re.compile(r"sg-[0-9a-f]{8,17}")
LARGEST_VPC, SMALLEST_VPC = 16, 24
"""Prefix lengths: AWS accepts /16 to /28; below /24 three zones have too few addresses."""
MOST_NAME = 24
"""For a stack's name: AWS names are built from it."""


@dataclass(frozen=True)
class AwsRules:
    """Rules of a cluster on AWS. `own`: the problems of one of the two targets alone."""

    own: Callable[[StackFile, AwsSection], Found]
    section = "aws"
    clusters = "clusters on AWS"

    def review(self, file: StackFile) -> Found:
        """Problems of `aws`, and of a cluster that AWS can't give."""
        yield from brokers.review(file)
        if file.aws is None:
            yield ("aws",), "is missing; a cluster on AWS needs at least `aws: {region: eu-central-1}`"
            return
        yield from _names(file, file.aws)
        yield from _network(file.aws)
        if file.security.sasl == "none":
            yield ("security", "sasl"), "is none; on AWS all clients log in: allowed is scram-sha-512"
        for key in ("racks", "log_dirs"):
            if getattr(file.kafka, key) is not None:
                yield (
                    ("kafka", key),
                    "is for local clusters; on AWS a rack is an availability zone, and a broker has one volume",
                )
        yield from self.own(file, file.aws)

    def kafka(self, file: StackFile) -> KafkaSpec:
        """The cluster; an instance chooses its heap by its memory."""
        return brokers.kafka(file, 0)

    def place(self, file: StackFile, folder: Path) -> AwsSettings:
        """The section."""
        assert file.aws is not None
        return settings_of(file.aws)


def on_instances(file: StackFile, given: AwsSection) -> Found:
    """What MSK alone has, and what production needs."""
    count, zones = file.kafka.brokers or 1, _zones(given)
    if given.serverless:
        yield ("aws", "serverless"), "is for `target: aws-msk`"
    if given.volume.max_size is not None:
        yield ("aws", "volume", "max_size"), "is for `target: aws-msk`; gp3 volumes grow by `size`"
    if given.environment == "prod" and zones < 3:
        yield ("aws", "network", "zones"), f"is {zones}; in prod allowed are 3 or more: a zone may fail"
    if given.environment == "prod" and count < 3:
        yield ("kafka", "brokers"), f"is {count}; in prod allowed are 3 or more"


def on_msk(file: StackFile, given: AwsSection) -> Found:
    """What Amazon decides, and what only instances have."""
    count, zones = file.kafka.brokers or 1, _zones(given)
    if count % zones:
        yield ("kafka", "brokers"), f"is {count}; MSK takes a multiple of the zones, {zones}"
    for key in ("controllers", "heap"):
        if getattr(file.kafka, key) is not None:
            yield ("kafka", key), "is decided by Amazon on MSK"
    for key in ("image", "dedicated_controllers"):
        if getattr(given, key):
            yield ("aws", key), "is for `target: aws-ec2`"


def _zones(given: AwsSection) -> int:
    return len(given.network.subnets) or given.network.zones


def _names(file: StackFile, given: AwsSection) -> Found:
    if not re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]", file.stack) or len(file.stack) > MOST_NAME:
        yield (
            ("stack",),
            f"is {file.stack!r}; on AWS allowed are up to {MOST_NAME} small letters, digits and -, as in orders-eu",
        )
    region = given.region
    area, _, number = region.rpartition("-")
    if area not in _AREAS or not number.isdigit():
        yield ("aws", "region"), f"is {region!r}, which is not a region{nearest(region, REGIONS)}"
    for key in ("instance_type", "controller_type"):
        if not _INSTANCE.fullmatch(text := getattr(given, key)):
            yield ("aws", key), f"is {text!r}; allowed is an instance type, as in m7g.large"
    for tag in given.tags:
        if tag.startswith(("aws:", "asgard:")):
            yield ("aws", "tags", tag), "begins with aws: or asgard:, which are not yours to set"


def _network(given: AwsSection) -> Found:
    net = given.network
    if (net.vpc is None) != (not net.subnets):
        yield ("aws", "network"), "names a VPC without `subnets`, or the other way round; an existing VPC needs both"
    try:
        block = ipaddress.IPv4Network(net.cidr)
        if not LARGEST_VPC <= block.prefixlen <= SMALLEST_VPC:
            raise ValueError
    except ValueError:
        yield ("aws", "network", "cidr"), f"is {net.cidr!r}; allowed is a block from /16 to /24, as in 10.90.0.0/16"
    for i, client in enumerate(net.clients):
        if _GROUP.fullmatch(client):
            continue
        try:
            whole = ipaddress.ip_network(client).prefixlen == 0
        except ValueError:
            yield (
                ("aws", "network", "clients", i),
                f"is {client!r}; allowed is a CIDR block, as in 10.1.0.0/16, or a security group, as in sg-0abc1234",
            )
            continue
        if whole:
            yield ("aws", "network", "clients", i), f"is {client!r}, the whole internet; name the networks that connect"
