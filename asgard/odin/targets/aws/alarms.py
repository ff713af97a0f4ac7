"""CloudWatch alarms: an instance that fails its checks, a CPU that is full, an MSK disk that fills. Sent to `alarm_topic`, if any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from asgard.odin.targets.aws.scope import Scope


@dataclass(frozen=True)
class Metric:
    """A metric of CloudWatch, and which statistic of it counts."""

    namespace: str
    name: str
    dimensions: Mapping[str, pulumi.Input[str]]
    statistic: str = "Maximum"


@dataclass(frozen=True)
class Alarm:
    """Raised when the metric was at `threshold` or above for `periods` times five minutes. `name` comes after the stack's."""

    name: str
    description: str
    metric: Metric
    threshold: float
    periods: int = 1


def for_nodes(scope: Scope, groups: Sequence[tuple[int, aws.autoscaling.Group]], alarm_topic: str | None) -> None:
    """Two alarms per node."""
    stack = scope.stack
    for node, group in groups:
        dimensions = {"AutoScalingGroupName": group.name}
        failed = Metric("AWS/EC2", "StatusCheckFailed", dimensions)
        cpu = Metric("AWS/EC2", "CPUUtilization", dimensions, "Average")
        for alarm in (
            Alarm(f"{node}-checks", f"Kafka node {node} of {stack} fails its instance checks", failed, 1, periods=2),
            Alarm(f"{node}-cpu", f"Kafka node {node} of {stack}: CPU above 85 % for 15 minutes", cpu, 85, periods=3),
        ):
            _alarm(scope, alarm, alarm_topic)


def for_msk(scope: Scope, cluster: pulumi.Input[str], brokers: int, alarm_topic: str | None) -> None:
    """Disk of each broker, and partitions without a leader."""
    stack = scope.stack
    for broker in range(1, brokers + 1):
        disk = Metric("AWS/Kafka", "KafkaDataLogsDiskUsed", {"Cluster Name": cluster, "Broker ID": str(broker)})
        _alarm(scope, Alarm(f"{broker}-disk", f"Broker {broker} of {stack}: disk above 80 %", disk, 80), alarm_topic)
    offline = Metric("AWS/Kafka", "OfflinePartitionsCount", {"Cluster Name": cluster})
    _alarm(scope, Alarm("offline", f"{stack} has partitions without a leader", offline, 1), alarm_topic)


def _alarm(scope: Scope, alarm: Alarm, alarm_topic: str | None) -> None:
    name = f"{scope.stack}-{alarm.name}"
    aws.cloudwatch.MetricAlarm(
        name,
        name=name,
        alarm_description=alarm.description,
        namespace=alarm.metric.namespace,
        metric_name=alarm.metric.name,
        dimensions=dict(alarm.metric.dimensions),
        statistic=alarm.metric.statistic,
        period=300,
        evaluation_periods=alarm.periods,
        threshold=alarm.threshold,
        comparison_operator="GreaterThanOrEqualToThreshold",
        treat_missing_data="notBreaching",
        alarm_actions=[alarm_topic] if alarm_topic else [],
        tags=dict(scope.tags),
        opts=scope.options(),
    )
