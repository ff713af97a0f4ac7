"""A stack on AWS as a Pulumi program: the cluster by `ec2` or `msk`, and what is needed to reach it once it is up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asgard.kafka.connection import FIRST_USER
from asgard.odin.resources.kinds import ALLOCATION, READY
from asgard.odin.spec.aws import AwsSettings, host_name, nodes
from asgard.odin.spec.model import StackSpec

if TYPE_CHECKING:
    import pulumi

BOOT_S = 1800
"""How long it may take until every broker serves: a new volume, packages, Kafka itself, one zone after the other."""
IDENTITY_OUTPUTS = (
    *("clusterId", "directoryIds", "adminPassword", "controllerPassword", "certificates"),
    *("caKey", "caCertificate", "clientProperties", "renewFrom", "expires", "certificate"),
)
"""Properties of an allocation that the provider computes; a program declares them as None."""


@dataclass(frozen=True)
class Reached:
    """Kafka's address, for the provider of everything that lives in it. `ready` is what it waits for."""

    servers: pulumi.Output[str]
    properties: pulumi.Output[Mapping[str, str]]
    cluster_id: pulumi.Output[str] | None
    ready: pulumi.Resource | None


def register(
    spec: StackSpec,
    pack: Callable[[str], tuple[str, str]],
    here: pulumi.ProviderResource,
) -> Reached:
    """Register the stack's cluster. `pack` gives the archive of a Kafka version and its SHA-256; `here` is Asgard's
    provider."""
    import pulumi

    assert spec.aws is not None
    provider = pulumi.ProviderResource("aws", "aws", {"region": spec.aws.region})

    def options(**more: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(provider=provider, **more)

    if spec.target == "aws-msk":
        return _msk(spec, spec.aws, here, options)
    return _ec2(spec, spec.aws, pack, here, options)


def _ec2(
    spec: StackSpec,
    given: AwsSettings,
    pack: Callable[[str], tuple[str, str]],
    here: pulumi.ProviderResource,
    options: Callable[..., pulumi.ResourceOptions],
) -> Reached:
    import pulumi

    from asgard.odin.targets.aws import ec2

    kafka = spec.kafka
    assert kafka.version is not None
    plan = nodes(kafka.brokers, kafka.controllers, given.network.zones, dedicated=given.dedicated_controllers)
    identity = pulumi.CustomResource(
        ALLOCATION,
        spec.name,
        {
            "name": spec.name,
            "hosts": {str(n.id): host_name(spec.name, n.id) for n in plan},
            "controllers": [str(n.id) for n in plan if n.is_controller],
            **dict.fromkeys(IDENTITY_OUTPUTS),
        },
        pulumi.ResourceOptions(provider=here),
    )
    allocation = ec2.Allocation(
        *(
            pulumi.get(identity, name)
            for name in (
                *("clusterId", "directoryIds", "adminPassword", "controllerPassword", "certificates"),
                "caCertificate",
            )
        )
    )
    archive, digest = pack(kafka.version)
    config = dict(kafka.static_config)
    if kafka.min_insync_replicas is not None:
        config["min.insync.replicas"] = str(kafka.min_insync_replicas)
    made = ec2.create(
        ec2.Cluster(
            spec.name,
            kafka.version,
            kafka.brokers,
            kafka.controllers,
            config,
            kafka.heap_bytes,
            FIRST_USER,
            archive,
            digest,
        ),
        given,
        allocation,
        options,
    )
    ready = pulumi.CustomResource(
        READY,
        spec.name,
        {
            "clusterId": pulumi.get(identity, "clusterId"),
            "brokerIds": [n.id for n in plan if "broker" in n.roles],
            "bootstrapServers": made.bootstrap_servers,
            "clientProperties": pulumi.get(identity, "clientProperties"),
            "version": kafka.version,
            # Brokers run a new version once their machines are replaced, after the program.
            "raisesLevels": False,
            "patience": BOOT_S,
            "brokers": None,
        },
        pulumi.ResourceOptions(provider=here, depends_on=list(made.groups)),
    )
    pulumi.export("archiveBucket", made.bucket)
    servers = pulumi.Output.all(pulumi.get(ready, "bootstrapServers"), pulumi.get(ready, "brokers")).apply(
        lambda v: v[0]
    )
    return Reached(servers, pulumi.get(identity, "clientProperties"), pulumi.get(ready, "clusterId"), ready)


def _msk(
    spec: StackSpec,
    given: AwsSettings,
    here: pulumi.ProviderResource,
    options: Callable[..., pulumi.ResourceOptions],
) -> Reached:
    import pulumi

    from asgard.odin.targets.aws import msk

    # MSK creates SCRAM credentials from secrets, and accepts none through Kafka's own API.
    names = [] if given.serverless else [user.name for user in spec.users]
    identity = pulumi.CustomResource(
        ALLOCATION,
        spec.name,
        {"name": spec.name, "hosts": {}, "controllers": [], "users": names, "userPasswords": None},
        pulumi.ResourceOptions(provider=here),
    )
    drawn = pulumi.get(identity, "userPasswords")
    users = {name: drawn.apply(lambda words, name=name: words[name]) for name in names}
    config = {**spec.kafka.static_config, **spec.kafka.dynamic_config}
    if spec.kafka.min_insync_replicas is not None:
        config["min.insync.replicas"] = str(spec.kafka.min_insync_replicas)
    made = msk.create(
        msk.Cluster(spec.name, spec.kafka.version or "", spec.kafka.brokers, config, users), given, options
    )
    pulumi.export("archiveBucket", made.bucket)
    pulumi.export("scramServers", made.scram_servers)
    properties = {"security.protocol": "SASL_SSL", "sasl.mechanism": "AWS_MSK_IAM", "asgard.aws.region": given.region}
    return Reached(made.iam_servers, pulumi.Output.from_input(properties), None, None)
