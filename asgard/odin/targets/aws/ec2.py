"""Kafka on EC2: each node is a persistent volume and network interface, and an instance that may be lost at any time.

An Auto Scaling group of one keeps each instance running: if an instance is terminated, by AWS, by Loki or by Thor, the
group starts another in the same zone, and its user data attaches the node's own volume and address. Node id, data, DNS
name and certificates stay. Controllers are combined with the first brokers, or run on separate machines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from asgard.odin.spec.aws import CLIENT_PORT, AwsSettings, NodePlan, host_name, nodes
from asgard.odin.targets.aws import access, alarms, network, protection
from asgard.odin.targets.aws.network import Network
from asgard.odin.targets.aws.protection import DISTRIBUTION, Bucket
from asgard.odin.targets.aws.scope import OptionsFactory, Scope, of_stack
from asgard.odin.targets.aws.user_data import Boot, InitialController, user_data

ROOT_GIB = 20
IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{architecture}"
"""Amazon Linux 2023 by its public SSM parameter: it has Java and the AWS CLI in repositories that S3's endpoint reaches."""


@dataclass(frozen=True)
class Allocation:
    """The parts of the cluster's identity, from the provider's `asgard:aws:Allocation`; passwords and keys are secrets.

    `directory_ids` by controller id; `certificates` by node id: PEM of chain and key; `ca`: PEM of the CA's
    certificate.
    """

    cluster_id: pulumi.Output[str]
    directory_ids: pulumi.Output[Mapping[str, str]]
    admin_password: pulumi.Output[str]
    controller_password: pulumi.Output[str]
    certificates: pulumi.Output[Mapping[str, str]]
    ca: pulumi.Output[str]


@dataclass(frozen=True)
class Cluster:
    """What the stack requests, apart from AWS's side of it."""

    name: str
    version: str
    brokers: int
    controllers: int
    config: Mapping[str, str]
    heap_bytes: int
    admin_user: str
    distribution: str
    distribution_sha256: str
    """Path of the tar archive of Kafka's jars on this machine, and its SHA-256."""


@dataclass(frozen=True)
class Made:
    """The cluster's address once its nodes are up, and the groups that keep them up."""

    bootstrap_servers: str
    groups: Sequence[aws.autoscaling.Group]
    bucket: pulumi.Output[str]


def create(cluster: Cluster, given: AwsSettings, allocation: Allocation, options: OptionsFactory) -> Made:
    """Register everything of the cluster."""
    scope = of_stack(cluster.name, given, options)
    plan = nodes(cluster.brokers, cluster.controllers, given.network.zones, dedicated=given.dedicated_controllers)
    net = network.create(scope, given.region, given.network)
    group = network.broker_group(scope, net, given.network.clients)
    key = protection.key(scope)
    bucket = protection.bucket(scope, key, given.archive_after_days)
    upload = _distribution(scope, cluster, bucket, key)
    zone = aws.route53.Zone(
        cluster.name,
        name=f"{cluster.name}.kafka.internal",
        comment=f"Kafka nodes of {cluster.name}",
        vpcs=[{"vpc_id": net.vpc_id}],
        tags=dict(scope.tags),
        opts=scope.options(),
    )
    shared = _Shared(scope, cluster, given, allocation, net, group, key, bucket, upload, zone, plan)
    groups = [_node(shared, node) for node in plan]
    alarms.for_nodes(scope, [(n.id, g) for n, g in zip(plan, groups, strict=True)], given.alarm_topic)
    brokers = [n for n in plan if "broker" in n.roles]
    servers = ",".join(f"{host_name(cluster.name, n.id)}:{CLIENT_PORT}" for n in brokers)
    return Made(servers, groups, bucket.bucket.bucket)


@dataclass(frozen=True)
class _Shared:
    scope: Scope
    cluster: Cluster
    given: AwsSettings
    allocation: Allocation
    net: Network
    group: aws.ec2.SecurityGroup
    key: aws.kms.Key
    bucket: Bucket
    upload: aws.s3.BucketObjectv2
    zone: aws.route53.Zone
    plan: Sequence[NodePlan]

    def name(self, node: NodePlan) -> str:
        return f"{self.cluster.name}-{node.id}"

    def node_tags(self, node: NodePlan) -> dict[str, str]:
        return {
            **self.scope.tags,
            "Name": self.name(node),
            "asgard:node": str(node.id),
            "asgard:roles": "+".join(node.roles),
        }


def _distribution(scope: Scope, cluster: Cluster, bucket: Bucket, key: aws.kms.Key) -> aws.s3.BucketObjectv2:
    """Kafka's jars, verified here and read by the nodes from the stack's own bucket: no node needs internet access."""
    return aws.s3.BucketObjectv2(
        f"{cluster.name}-kafka-{cluster.version}",
        bucket=bucket.bucket.id,
        key=f"{DISTRIBUTION}kafka-{cluster.version}-{cluster.distribution_sha256[:12]}.tgz",
        source=pulumi.FileAsset(cluster.distribution),
        kms_key_id=key.arn,
        server_side_encryption="aws:kms",
        tags=dict(scope.tags),
        opts=scope.options(depends_on=bucket.ready),
    )


def _node(shared: _Shared, node: NodePlan) -> aws.autoscaling.Group:
    name, options, tags = shared.name(node), shared.scope.options, shared.node_tags(node)
    subnet = shared.net.subnet_ids[node.zone]
    interface = aws.ec2.NetworkInterface(
        name,
        subnet_id=subnet,
        security_groups=[shared.group.id],
        description=f"Kafka {name}",
        tags=tags,
        opts=options(),
    )
    aws.route53.Record(
        name,
        zone_id=shared.zone.zone_id,
        name=host_name(shared.cluster.name, node.id),
        type="A",
        ttl=60,
        records=[interface.private_ip],
        opts=options(),
    )
    volume = _volume(shared, node, tags)
    secret, content = _secret(shared, node, tags)
    policy = pulumi.Output.all(
        bucket=shared.bucket.bucket.arn,
        key=shared.key.arn,
        secret=secret.arn,
        volume=volume.arn,
        interface=interface.arn,
    ).apply(lambda arns: json.dumps(access.node_policy(shared.cluster.name, node.id, access.NodeArns(**arns))))
    profile = access.instance_profile(shared.scope, node.id, policy)
    template = _template(shared, node, tags, profile, _user_data(shared, node, volume, interface, content))
    return aws.autoscaling.Group(
        name,
        name=name,
        min_size=1,
        max_size=1,
        desired_capacity=1,
        vpc_zone_identifiers=[subnet],
        launch_template={"id": template.id, "version": template.latest_version.apply(str)},
        health_check_type="EC2",
        health_check_grace_period=300,
        # The new instance must find the volume detached.
        instance_maintenance_policy={"min_healthy_percentage": 0, "max_healthy_percentage": 100},
        wait_for_capacity_timeout="15m",
        tags=[{"key": k, "value": v, "propagate_at_launch": False} for k, v in sorted(tags.items())],
        opts=options(depends_on=[shared.upload]),
    )


def _volume(shared: _Shared, node: NodePlan, tags: Mapping[str, str]) -> aws.ebs.Volume:
    """The node's data: never deleted with the instance; Pulumi deletes it only after its protection was lifted."""
    given = shared.given.volume
    small = node.roles == ("controller",)
    return aws.ebs.Volume(
        shared.name(node),
        availability_zone=shared.net.zone_names[node.zone],
        type="gp3",
        size=20 if small else given.size_gib,
        iops=None if small else given.iops,
        throughput=None
        if small or given.throughput_bytes_per_s is None
        else max(125, -(-given.throughput_bytes_per_s // 1024**2)),
        encrypted=True,
        kms_key_id=shared.key.arn,
        final_snapshot=True,
        tags={**tags, "asgard:volume": "data"},
        opts=shared.scope.options(protect=True),
    )


def _secret(
    shared: _Shared, node: NodePlan, tags: Mapping[str, str]
) -> tuple[aws.secretsmanager.Secret, aws.secretsmanager.SecretVersion]:
    """The node's secret, and its content: a separate version, which the node's user data names."""
    name, a = shared.name(node), shared.allocation
    secret = aws.secretsmanager.Secret(
        name,
        name_prefix=f"asgard/{shared.cluster.name}/node-{node.id}-",
        description=f"Passwords and certificate of Kafka node {node.id} of {shared.cluster.name}",
        kms_key_id=shared.key.arn,
        recovery_window_in_days=7,
        tags=dict(tags),
        opts=shared.scope.options(),
    )
    held = pulumi.Output.all(
        admin_password=a.admin_password,
        controller_password=a.controller_password,
        keystore=a.certificates.apply(lambda all_of_them: all_of_them[str(node.id)]),
        truststore=a.ca,
    ).apply(lambda values: json.dumps(dict(values)))
    text: pulumi.Output[str] = pulumi.Output.secret(held)
    version = aws.secretsmanager.SecretVersion(
        name, secret_id=secret.id, secret_string=text, opts=shared.scope.options()
    )
    return secret, version


def _user_data(
    shared: _Shared,
    node: NodePlan,
    volume: aws.ebs.Volume,
    interface: aws.ec2.NetworkInterface,
    secret: aws.secretsmanager.SecretVersion,
) -> pulumi.Output[str]:
    # A new certificate means a new version of the secret, so a new launch template: nodes are then replaced one by one.
    cluster = shared.cluster
    known = pulumi.Output.all(
        cluster_id=shared.allocation.cluster_id,
        directories=shared.allocation.directory_ids,
        volume=volume.id,
        interface=interface.id,
        secret=secret.secret_arn,
        secret_version=secret.version_id,
        bucket=shared.bucket.bucket.bucket,
        key=shared.upload.key,
        rack=shared.net.zone_ids[node.zone],
    )

    def render(v: Mapping[str, Any]) -> str:
        voters = tuple(
            InitialController(n.id, host_name(cluster.name, n.id), v["directories"][str(n.id)])
            for n in shared.plan
            if n.is_controller
        )
        return user_data(
            Boot(
                node=node,
                cluster_id=v["cluster_id"],
                version=cluster.version,
                host=host_name(cluster.name, node.id),
                rack=v["rack"],
                region=shared.given.region,
                volume=v["volume"],
                interface=v["interface"],
                secret=v["secret"],
                secret_version=v["secret_version"],
                distribution=f"s3://{v['bucket']}/{v['key']}",
                distribution_sha256=cluster.distribution_sha256,
                voters=voters,
                admin_user=cluster.admin_user,
                # Controllers on separate machines are smaller: half of their memory is their heap.
                heap_bytes=cluster.heap_bytes if "broker" in node.roles else 0,
                replication=min(3, cluster.brokers),
                config=cluster.config,
            )
        )

    return known.apply(render)


def _template(
    shared: _Shared,
    node: NodePlan,
    tags: Mapping[str, str],
    profile: aws.iam.InstanceProfile,
    data: pulumi.Output[str],
) -> aws.ec2.LaunchTemplate:
    given, name = shared.given, shared.name(node)
    kind = given.controller_type if node.roles == ("controller",) else given.instance_type
    image: pulumi.Input[str]
    if given.image is not None:
        image = given.image
    else:
        image = aws.ssm.get_parameter_output(
            name=IMAGE.format(architecture=given.architecture),
            opts=shared.scope.invoke,
        ).value
    return aws.ec2.LaunchTemplate(
        name,
        name=name,
        update_default_version=True,
        image_id=image,
        instance_type=kind,
        ebs_optimized=True,
        iam_instance_profile={"arn": profile.arn},
        metadata_options={
            "http_endpoint": "enabled",
            "http_tokens": "required",
            "http_put_response_hop_limit": 1,
            "instance_metadata_tags": "disabled",
        },
        network_interfaces=[
            {
                "device_index": 0,
                "subnet_id": shared.net.subnet_ids[node.zone],
                "security_groups": [shared.group.id],
                "associate_public_ip_address": "false",
                "delete_on_termination": "true",
            }
        ],
        block_device_mappings=[
            {
                "device_name": "/dev/xvda",
                "ebs": {
                    "volume_size": ROOT_GIB,
                    "volume_type": "gp3",
                    "encrypted": "true",
                    "kms_key_id": shared.key.arn,
                    "delete_on_termination": "true",
                },
            }
        ],
        tag_specifications=[{"resource_type": kind, "tags": dict(tags)} for kind in ("instance", "volume")],
        user_data=data,
        tags=dict(tags),
        # A new Amazon image must not replace brokers at the next `up`: a new version of the stack does.
        opts=shared.scope.options(ignore_changes=[] if given.image is not None else ["imageId"]),
    )
