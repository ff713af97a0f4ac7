"""The monthly cost of a stack on AWS, estimated from list prices. Pure; always shown as an estimate.

Prices are US dollars on demand in us-east-1 as AWS's public price pages listed them in June 2026 (docs/aws.md has the
table); other regions cost up to 20 % more. Traffic between zones and requests are left out: they depend on the load.
"""

from __future__ import annotations

from dataclasses import dataclass

from asgard.odin.spec.aws import GIB, AwsSettings, nodes
from asgard.odin.spec.model import StackSpec
from asgard.odin.targets.aws.network import INTERFACE_ENDPOINTS

HOURS = 730
"""Hours in a month, as AWS counts."""
AS_OF = "2026-06"
EC2_PER_H = {
    "t4g.small": 0.0168, "t4g.medium": 0.0336, "m6g.large": 0.077, "m6i.large": 0.096, "m7g.large": 0.0816, "m7g.xlarge": 0.1632,
    "m7g.2xlarge": 0.3264, "m7g.4xlarge": 0.6528, "r7g.large": 0.1071, "r7g.xlarge": 0.2142, "r7g.2xlarge": 0.4284, "c7g.large": 0.0725,
}  # fmt: skip
MSK_PER_H = {
    "t3.small": 0.0456, "m5.large": 0.21, "m7g.large": 0.204, "m7g.xlarge": 0.408, "m7g.2xlarge": 0.816, "m7g.4xlarge": 1.632,
}  # fmt: skip
GP3_GIB_MONTH, GP3_IOPS_MONTH, GP3_MIBS_MONTH = 0.08, 0.005, 0.04
MSK_GIB_MONTH = 0.10
ENDPOINT_PER_H = 0.01
SECRET_MONTH, KEY_MONTH, ZONE_MONTH, ALARM_MONTH = 0.40, 1.00, 0.50, 0.10
SERVERLESS_PER_H = 0.75


@dataclass(frozen=True)
class Line:
    """A part of the estimate: how many of what, and dollars a month; None if the table has no price for it."""

    what: str
    count: int
    dollars: float | None


def of(spec: StackSpec, given: AwsSettings) -> list[Line]:
    """Of the cluster of a stack."""
    if spec.target == "aws-msk":
        return msk(given, spec.kafka.brokers, len(spec.users))
    return ec2(given, spec.kafka.brokers, spec.kafka.controllers)


def ec2(given: AwsSettings, brokers: int, controllers: int) -> list[Line]:
    """Of a cluster on instances."""
    plan = nodes(brokers, controllers, given.network.zones, dedicated=given.dedicated_controllers)
    apart = [n for n in plan if n.roles == ("controller",)]
    found = [_machines(given.instance_type, len(plan) - len(apart), EC2_PER_H)]
    if apart:
        found.append(_machines(given.controller_type, len(apart), EC2_PER_H))
    found.append(
        Line(
            f"gp3 volume of {given.volume.size_gib} GiB", len(plan) - len(apart), (len(plan) - len(apart)) * _gp3(given)
        )
    )
    return found + _common(given, secrets=len(plan), alarms=2 * len(plan))


def msk(given: AwsSettings, brokers: int, users: int) -> list[Line]:
    """Of an MSK cluster."""
    if given.serverless:
        return [
            Line("MSK Serverless, without partitions and traffic", 1, SERVERLESS_PER_H * HOURS),
            *_common(given, 0, 0),
        ]
    kind = given.instance_type.removeprefix("kafka.")
    storage = Line(
        f"MSK storage of {given.volume.size_gib} GiB", brokers, brokers * given.volume.size_gib * MSK_GIB_MONTH
    )
    return [_machines(kind, brokers, MSK_PER_H), storage, *_common(given, secrets=users, alarms=brokers + 1)]


def total(lines: list[Line]) -> float:
    """Dollars a month of the lines that have a price."""
    return sum(line.dollars for line in lines if line.dollars is not None)


def _machines(kind: str, count: int, prices: dict[str, float]) -> Line:
    price = prices.get(kind)
    return Line(f"instance {kind}", count, None if price is None else count * price * HOURS)


def _gp3(given: AwsSettings) -> float:
    volume = given.volume
    iops = max(0, (volume.iops or 3000) - 3000)
    through = max(0, (volume.throughput_bytes_per_s or 0) / 1024**2 - 125)
    return volume.size_bytes / GIB * GP3_GIB_MONTH + iops * GP3_IOPS_MONTH + through * GP3_MIBS_MONTH


def _common(given: AwsSettings, secrets: int, alarms: int) -> list[Line]:
    own = given.network.vpc_id is None
    endpoints = len(INTERFACE_ENDPOINTS) * given.network.zones if own else 0
    lines = [Line("interface endpoint and zone", endpoints, endpoints * ENDPOINT_PER_H * HOURS)] if endpoints else []
    lines += [Line("KMS key", 1, KEY_MONTH), Line("private DNS zone", 1, ZONE_MONTH)]
    lines += [Line("secret", secrets, secrets * SECRET_MONTH)] if secrets else []
    return lines + ([Line("alarm", alarms, alarms * ALARM_MONTH)] if alarms else [])
