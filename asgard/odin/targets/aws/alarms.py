"""CloudWatch alarms: an instance that fails its checks, a CPU that is full, an MSK disk that fills. Sent to `alarm_topic`, if any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from asgard.odin.spec.aws import AwsSettings
from asgard.odin.targets.aws.network import Options


def for_nodes(
    stack: str,
    groups: Sequence[tuple[int, aws.autoscaling.Group]],
    given: AwsSettings,
    tags: Mapping[str, str],
    options: Options,
) -> None:
    """Two alarms per node."""
    for node, group in groups:
        _alarm(
            f"{stack}-{node}-checks", f"Kafka node {node} of {stack} fails its instance checks",
            "AWS/EC2", "StatusCheckFailed", {"AutoScalingGroupName": group.name}, "Maximum", 1, 2, given, tags, options,
        )  # fmt: skip
        _alarm(
            f"{stack}-{node}-cpu", f"Kafka node {node} of {stack}: CPU above 85 % for 15 minutes",
            "AWS/EC2", "CPUUtilization", {"AutoScalingGroupName": group.name}, "Average", 85, 3, given, tags, options,
        )  # fmt: skip


def for_msk(
    stack: str, cluster: pulumi.Input[str], brokers: int, given: AwsSettings, tags: Mapping[str, str], options: Options
) -> None:
    """Disk of each broker, partitions without a leader, and the number of active controllers."""
    for broker in range(1, brokers + 1):
        _alarm(
            f"{stack}-{broker}-disk", f"Broker {broker} of {stack}: disk above 80 %",
            "AWS/Kafka", "KafkaDataLogsDiskUsed", {"Cluster Name": cluster, "Broker ID": str(broker)}, "Maximum", 80, 1,
            given, tags, options,
        )  # fmt: skip
    _alarm(
        f"{stack}-offline", f"{stack} has partitions without a leader",
        "AWS/Kafka", "OfflinePartitionsCount", {"Cluster Name": cluster}, "Maximum", 1, 1, given, tags, options,
    )  # fmt: skip


def _alarm(
    name: str,
    description: str,
    namespace: str,
    metric: str,
    dimensions: Mapping[str, pulumi.Input[str]],
    statistic: str,
    threshold: float,
    periods: int,
    given: AwsSettings,
    tags: Mapping[str, str],
    options: Options,
) -> None:
    aws.cloudwatch.MetricAlarm(
        name,
        name=name,
        alarm_description=description,
        namespace=namespace,
        metric_name=metric,
        dimensions=dict(dimensions),
        statistic=statistic,
        period=300,
        evaluation_periods=periods,
        threshold=threshold,
        comparison_operator="GreaterThanOrEqualToThreshold",
        treat_missing_data="notBreaching",
        alarm_actions=[given.alarm_topic] if given.alarm_topic else [],
        tags=dict(tags),
        opts=options(),
    )
