"""Amazon MSK: provisioned clusters with SCRAM and IAM logins over TLS only, or serverless ones (IAM only).

MSK's brokers are Amazon's: there is no node to start or stop. Amazon recovers a failed broker; Thor plans and moves as
on any cluster. Topics, users, ACLs and quotas are the same resources as everywhere; credentials for MSK are secrets
named `AmazonMSK_…`, encrypted with the account's own key, as MSK requires.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pulumi
import pulumi_aws as aws

from asgard.odin.spec.aws import GIB, AwsSettings
from asgard.odin.targets.aws import alarms, network, protection
from asgard.odin.targets.aws.network import Network
from asgard.odin.targets.aws.scope import OptionsFactory, Scope, of_stack

SCRAM_PORT, IAM_PORT = 9096, 9098
BETWEEN = (9092, 9094, SCRAM_PORT, IAM_PORT, 2181)
SECRET_PREFIX = "AmazonMSK_"
METRICS = ((11001, "jmx-metrics"), (11002, "node-metrics"))
"""Ports of open monitoring, for Prometheus."""
STORAGE_TARGET_PERCENT = 70


@dataclass(frozen=True)
class Cluster:
    """What the stack requests. `users` are those with a password, by name; `config` is server.properties' content."""

    name: str
    version: str
    brokers: int
    config: Mapping[str, str]
    users: Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True)
class Made:
    """The cluster's addresses, by login."""

    arn: pulumi.Output[str]
    scram_servers: pulumi.Output[str] | None
    iam_servers: pulumi.Output[str]
    bucket: pulumi.Output[str]


def server_properties(cluster: Cluster) -> str:
    """The text of an MSK configuration, sorted, with the safe values that a stack has everywhere."""
    safe = {
        "auto.create.topics.enable": "false",
        "allow.everyone.if.no.acl.found": "false",
        "default.replication.factor": str(min(3, cluster.brokers)),
        "min.insync.replicas": "2",
        "unclean.leader.election.enable": "false",
    }
    return "".join(f"{key}={value}\n" for key, value in sorted((safe | dict(cluster.config)).items()))


def create(cluster: Cluster, given: AwsSettings, options: OptionsFactory) -> Made:
    """Register everything of the cluster."""
    scope = of_stack(cluster.name, given, options)
    net = network.create(scope, given.region, given.network)
    login = ((IAM_PORT, "iam-clients"),) if given.serverless else ((SCRAM_PORT, "clients"), (IAM_PORT, "iam-clients"))
    group = network.broker_group(
        scope,
        net,
        given.network.clients,
        ports=(*login, *(() if given.serverless else METRICS)),
        between=[(port, f"msk-{port}") for port in BETWEEN],
    )
    key = protection.key(scope)
    bucket = protection.bucket(scope, key, given.archive_after_days)
    if given.serverless:
        return _serverless(scope, net, group, bucket)
    made = _provisioned(scope, cluster, given, net, group, key)
    _secrets(scope, cluster.users, made, key)
    _storage_scaling(scope, made, given)
    alarms.for_msk(scope, made.cluster_name, cluster.brokers, given.alarm_topic)
    return Made(made.arn, made.bootstrap_brokers_sasl_scram, made.bootstrap_brokers_sasl_iam, bucket.bucket.bucket)


def _serverless(scope: Scope, net: Network, group: aws.ec2.SecurityGroup, bucket: protection.Bucket) -> Made:
    made = aws.msk.ServerlessCluster(
        scope.stack,
        cluster_name=scope.stack,
        client_authentication={"sasl": {"iam": {"enabled": True}}},
        vpc_configs=[{"subnet_ids": list(net.subnet_ids), "security_group_ids": [group.id]}],
        tags=dict(scope.tags),
        opts=scope.options(protect=True),
    )
    return Made(made.arn, None, made.bootstrap_brokers_sasl_iam, bucket.bucket.bucket)


def _provisioned(
    scope: Scope,
    cluster: Cluster,
    given: AwsSettings,
    net: Network,
    group: aws.ec2.SecurityGroup,
    key: aws.kms.Key,
) -> aws.msk.Cluster:
    configuration = aws.msk.Configuration(
        cluster.name,
        name=cluster.name,
        description=f"Kafka configuration of {cluster.name}",
        kafka_versions=[cluster.version],
        server_properties=server_properties(cluster),
        opts=scope.options(),
    )
    logs = aws.cloudwatch.LogGroup(
        cluster.name,
        name=f"/asgard/{cluster.name}/broker",
        retention_in_days=30,
        tags=dict(scope.tags),
        opts=scope.options(),
    )
    storage: dict[str, Any] = {"volume_size": given.volume.size_gib}
    if given.volume.throughput_bytes_per_s:
        storage["provisioned_throughput"] = {
            "enabled": True,
            "volume_throughput": max(250, -(-given.volume.throughput_bytes_per_s // 1024**2)),
        }
    return aws.msk.Cluster(
        cluster.name,
        cluster_name=cluster.name,
        kafka_version=cluster.version,
        number_of_broker_nodes=cluster.brokers,
        broker_node_group_info={
            "instance_type": instance_type(given.instance_type),
            "client_subnets": list(net.subnet_ids),
            "security_groups": [group.id],
            "storage_info": {"ebs_storage_info": storage},
            "connectivity_info": {"public_access": {"type": "DISABLED"}},
        },
        client_authentication={"sasl": {"iam": True, "scram": True}, "unauthenticated": False},
        configuration_info={"arn": configuration.arn, "revision": configuration.latest_revision},
        encryption_info={
            "encryption_at_rest_kms_key_arn": key.arn,
            "encryption_in_transit": {"client_broker": "TLS", "in_cluster": True},
        },
        enhanced_monitoring="PER_TOPIC_PER_BROKER",
        open_monitoring={
            "prometheus": {"jmx_exporter": {"enabled_in_broker": True}, "node_exporter": {"enabled_in_broker": True}}
        },
        logging_info={"broker_logs": {"cloudwatch_logs": {"enabled": True, "log_group": logs.name}}},
        tags=dict(scope.tags),
        # Storage grows by itself (autoscaling); a later `up` must not ask for the smaller size again.
        opts=scope.options(
            protect=True,
            ignore_changes=["brokerNodeGroupInfo.storageInfo.ebsStorageInfo.volumeSize"],
        ),
    )


def instance_type(text: str) -> str:
    """MSK's name of an instance type: kafka.m7g.large for m7g.large."""
    return text if text.startswith(("kafka.", "express.")) else f"kafka.{text}"


def _secrets(scope: Scope, users: Mapping[str, pulumi.Input[str]], made: aws.msk.Cluster, key: aws.kms.Key) -> None:
    """A secret for each user with a password, associated with the cluster: MSK creates SCRAM credentials from it."""
    arns: list[pulumi.Output[str]] = []
    versions: Sequence[pulumi.Resource] = []
    for user, password in sorted(users.items()):
        name = f"{scope.stack}-{user}"
        secret = aws.secretsmanager.Secret(
            name,
            name=f"{SECRET_PREFIX}{scope.stack}_{user}",
            description=f"Credentials of {user} on {scope.stack}",
            kms_key_id=key.arn,
            recovery_window_in_days=7,
            tags=dict(scope.tags),
            opts=scope.options(),
        )
        text = pulumi.Output.secret(password).apply(partial(_credentials, user))
        version = aws.secretsmanager.SecretVersion(name, secret_id=secret.id, secret_string=text, opts=scope.options())
        versions = [*versions, version]
        aws.secretsmanager.SecretPolicy(
            name, secret_arn=secret.arn, policy=secret.arn.apply(readable_by_msk), opts=scope.options()
        )
        arns.append(secret.arn)
    if arns:
        aws.msk.ScramSecretAssociation(
            scope.stack, cluster_arn=made.arn, secret_arn_lists=arns, opts=scope.options(depends_on=versions)
        )


def _credentials(user: str, password: str) -> str:
    return json.dumps({"username": user, "password": password})


def readable_by_msk(arn: str) -> str:
    """The policy of a secret: MSK may read it."""
    statement = {
        "Sid": "MskReads",
        "Effect": "Allow",
        "Principal": {"Service": "kafka.amazonaws.com"},
        "Action": "secretsmanager:GetSecretValue",
        "Resource": arn,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _storage_scaling(scope: Scope, made: aws.msk.Cluster, given: AwsSettings) -> None:
    """Volumes grow when they are 70 % full, up to `storage_max_bytes` (four times the first size by default); they never shrink."""
    most = -(-(given.storage_max_bytes or 4 * given.volume.size_bytes) // GIB)
    target = aws.appautoscaling.Target(
        scope.stack,
        max_capacity=most,
        min_capacity=1,
        resource_id=made.arn,
        scalable_dimension="kafka:broker-storage:VolumeSize",
        service_namespace="kafka",
        opts=scope.options(),
    )
    aws.appautoscaling.Policy(
        scope.stack,
        name=f"{scope.stack}-broker-storage",
        policy_type="TargetTrackingScaling",
        resource_id=target.resource_id,
        scalable_dimension=target.scalable_dimension,
        service_namespace=target.service_namespace,
        target_tracking_scaling_policy_configuration={
            "predefined_metric_specification": {"predefined_metric_type": "KafkaBrokerStorageUtilization"},
            "target_value": STORAGE_TARGET_PERCENT,
            "disable_scale_in": True,
        },
        opts=scope.options(),
    )
