"""What a stack requests from AWS, as plain data: sizes in bytes, CIDR blocks and ids as AWS writes them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from asgard.core.schema.aws import AwsSection

Environment = Literal["dev", "staging", "prod"]

CLIENT_PORT = 9092
CONTROLLER_PORT = 9093
FIRST_CONTROLLER_ID = 1000
"""Controllers on separate machines have ids above this, so that brokers can be added without a clash."""
GIB = 1024**3


@dataclass(frozen=True)
class VolumeSettings:
    """The gp3 data volume of each broker; `throughput_bytes_per_s` None and `iops` None: what gp3 includes (125 MiB/s, 3,000)."""

    size_bytes: int = 100 * GIB
    iops: int | None = None
    throughput_bytes_per_s: int | None = None

    @property
    def size_gib(self) -> int:
        """Whole GiB, rounded up: EBS has no smaller unit."""
        return -(-self.size_bytes // GIB)


@dataclass(frozen=True)
class NetworkSettings:
    """Where the cluster lives: a VPC of its own (`cidr`), or an existing one with a private subnet for each zone.

    `clients` are the CIDR blocks and security groups (sg-…) that may reach the client listener; none by default.
    """

    cidr: str = "10.90.0.0/16"
    zones: int = 3
    vpc_id: str | None = None
    subnet_ids: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()


@dataclass(frozen=True)
class TeamRules:
    """What a team requires in addition to Asgard's own guardrails; an empty list requires nothing. `*` in an instance
    type is any text."""

    tags: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    instance_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class AwsSettings:
    """A stack's `aws:` section. `tags` are put on every resource, with the stack's name and environment.
    `waived`: skipped guardrails, by name, with the reason."""

    region: str
    environment: Environment = "prod"
    network: NetworkSettings = NetworkSettings()
    volume: VolumeSettings = VolumeSettings()
    instance_type: str = "m7g.large"
    controller_type: str = "t4g.medium"
    dedicated_controllers: bool = False
    image: str | None = None
    alarm_topic: str | None = None
    archive_after_days: int = 30
    serverless: bool = False
    storage_max_bytes: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    waived: Mapping[str, str] = field(default_factory=dict)
    team: TeamRules = TeamRules()

    @property
    def architecture(self) -> Literal["arm64", "x86_64"]:
        """Architecture of the instance types: Graviton families have a `g` after their generation, as in m7g and
        t4g."""
        family = self.instance_type.removeprefix("kafka.").partition(".")[0].removeprefix("express")
        letters = family.lstrip("abcdefhijklmnopqrstuvwxyz").lstrip("0123456789")
        return "arm64" if letters.startswith("g") else "x86_64"


@dataclass(frozen=True)
class NodePlan:
    """A node of the cluster: its id, roles, and the zone (by number, from 0) that it lives in."""

    id: int
    roles: tuple[str, ...]
    zone: int

    @property
    def is_controller(self) -> bool:
        """Whether it is a voter in the metadata quorum."""
        return "controller" in self.roles


def nodes(brokers: int, controllers: int, zones: int, *, dedicated: bool) -> tuple[NodePlan, ...]:
    """The nodes of a cluster, assigned to the zones in turn, so that losing one zone loses at most a third (of three)
    of each role."""
    if dedicated:
        own = tuple(NodePlan(FIRST_CONTROLLER_ID + i + 1, ("controller",), i % zones) for i in range(controllers))
        return tuple(NodePlan(i + 1, ("broker",), i % zones) for i in range(brokers)) + own
    return tuple(
        NodePlan(i + 1, ("broker", "controller") if i < controllers else ("broker",), i % zones) for i in range(brokers)
    )


def host_name(stack: str, node: int) -> str:
    """The private name of a node; it stays when the instance is replaced."""
    return f"node-{node}.{stack}.kafka.internal"


def settings_of(section: AwsSection) -> AwsSettings:
    """The section of a stack file as plain data."""
    net, volume = section.network, section.volume
    return AwsSettings(
        region=section.region,
        environment=section.environment,
        network=NetworkSettings(
            net.cidr, len(net.subnets) or net.zones, net.vpc, tuple(net.subnets), tuple(net.clients)
        ),
        volume=VolumeSettings(
            volume.size or VolumeSettings.size_bytes,
            volume.iops,
            None if volume.throughput is None else int(volume.throughput),
        ),
        instance_type=section.instance_type,
        controller_type=section.controller_type,
        dedicated_controllers=section.dedicated_controllers,
        image=section.image,
        alarm_topic=section.alarm_topic,
        archive_after_days=section.archive_after,
        serverless=section.serverless,
        storage_max_bytes=volume.max_size,
        tags=dict(section.tags),
        waived=dict(section.waive),
        team=TeamRules(
            tuple(section.guardrails.tags),
            tuple(section.guardrails.regions),
            tuple(section.guardrails.instance_types),
        ),
    )
