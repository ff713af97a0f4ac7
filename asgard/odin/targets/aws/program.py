"""A stack on AWS as a Pulumi program: the cluster by `ec2` or `msk`, and what is needed to reach it once it is up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from asgard.kafka.connection import FIRST_USER
from asgard.odin.resources.kinds import ALLOCATION, READY
from asgard.odin.spec.aws import AwsSettings, host_name, nodes
from asgard.odin.spec.model import StackSpec
from asgard.odin.targets.reached import Pack, Reached

if TYPE_CHECKING:
    import pulumi

BOOT_S = 1800
"""How long it may take until every broker serves: a new volume, packages, Kafka itself, one zone after the other."""
IDENTITY_OUTPUTS = (
    *("clusterId", "directoryIds", "adminPassword", "controllerPassword", "certificates"),
    *("caKey", "caCertificate", "clientProperties", "renewFrom", "expires", "certificate"),
)
"""Properties of an allocation that the provider computes; a program declares them as None."""


def settings(spec: StackSpec) -> AwsSettings:
    """The section `aws` of a stack on AWS."""
    assert isinstance(spec.place, AwsSettings)
    return spec.place


def _providers(given: AwsSettings) -> tuple[pulumi.ProviderResource, Callable[..., pulumi.ResourceOptions]]:
    """Asgard's own provider, and options with AWS's."""
    import pulumi

    here = pulumi.ProviderResource("asgard", "here", {})
    provider = pulumi.ProviderResource("aws", "aws", {"region": given.region})

    def options(**more: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(provider=provider, **more)

    return here, options


def on_instances(spec: StackSpec, pack: Pack) -> Reached:
    """Register a cluster on instances of the stack's own."""
    import pulumi

    from asgard.odin.targets.aws import ec2

    given = settings(spec)
    here, options = _providers(given)
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
    servers = pulumi.Output.all(pulumi.get(ready, "bootstrapServers"), pulumi.get(ready, "brokers")).apply(
        lambda v: v[0]
    )
    properties = pulumi.get(identity, "clientProperties")
    return Reached(
        {"bootstrapServers": servers, "clientProperties": properties, "clusterId": pulumi.get(ready, "clusterId")},
        ready,
        {"archiveBucket": made.bucket, "bootstrapServers": servers, "clientProperties": properties},
    )


def on_msk(spec: StackSpec, pack: Pack) -> Reached:
    """Register an MSK cluster. Amazon has its own archives: `pack` is not used."""
    import pulumi

    from asgard.odin.targets.aws import msk

    given = settings(spec)
    here, options = _providers(given)
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
    properties = {"security.protocol": "SASL_SSL", "sasl.mechanism": "AWS_MSK_IAM", "asgard.aws.region": given.region}
    return Reached(
        {"bootstrapServers": made.iam_servers, "clientProperties": properties},
        outputs={
            "archiveBucket": made.bucket,
            "scramServers": made.scram_servers,
            "bootstrapServers": made.iam_servers,
            "clientProperties": properties,
        },
    )
