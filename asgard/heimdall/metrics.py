"""The cluster's picture as Prometheus metrics. Pure; `text` is what `/metrics` answers.

Names are those of kminion (`kminion_kafka_…`) and kafka_exporter (`kafka_…`) if the meaning is the same, so that existing dashboards keep
working; metrics that neither has begin with `asgard_`. The number of series is bounded: the important ones come first, and what does
not fit is dropped and counted by metric in `asgard_metrics_series_dropped`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from asgard.heimdall.alerts.model import AlertState
from asgard.heimdall.incidents import Happening, Kind
from asgard.heimdall.lag.model import STATUSES, OffsetSample
from asgard.heimdall.owners import Owners
from asgard.heimdall.picture import Picture
from asgard.kafka.model import Partition

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily

Row = tuple[tuple[str, ...], float]


@dataclass(frozen=True)
class Family:
    """A metric with its series: label values and a value."""

    name: str
    help: str
    labels: tuple[str, ...]
    rows: Iterable[Row]
    count: int


LASTING: tuple[Kind, ...] = ("fault", "healing", "drill")


def text(
    picture: Picture, owners: Owners, raised: Sequence[AlertState], happened: Sequence[Happening] = (), *, max_series: int,
    partitions: bool = True,
) -> bytes:  # fmt: skip
    """The exposition. `happened` is what lies in the time since the last scrape, about."""
    from prometheus_client import generate_latest
    from prometheus_client.registry import Collector, CollectorRegistry

    found = bounded(families(picture, owners, raised, happened, partitions), max_series)

    class Once(Collector):
        def collect(self) -> Iterator[GaugeMetricFamily]:
            return iter(found)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Once())
    return generate_latest(registry)


def bounded(given: Iterable[Family], most: int) -> list[GaugeMetricFamily]:
    """The families in their order, with at most `most` series in all; the last one says what was dropped."""
    from prometheus_client.core import GaugeMetricFamily

    left, out, dropped = most, [], []
    for family in given:
        metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
        for labels, value in islice(family.rows, max(left, 0)):
            metric.add_metric(labels, value)
        left -= len(metric.samples)
        if family.count > len(metric.samples):
            dropped.append((family.name, family.count - len(metric.samples)))
        out.append(metric)
    said = GaugeMetricFamily(
        "asgard_metrics_series_dropped",
        "Series that are left out because there would be more than metrics.max_series of heimdall.yaml allows.",
        labels=("metric",),
    )
    for name, count in dropped:
        said.add_metric((name,), float(count))
    return [*out, said]


def families(
    picture: Picture, owners: Owners, raised: Sequence[AlertState], happened: Sequence[Happening], partitions: bool
) -> Iterator[Family]:
    """All of them, the important ones first."""
    yield from _cluster(picture, raised)
    yield _family(
        "asgard_happening", "Faults, healings and drills that are under way, or were within the last minute.", ("kind",),
        [((kind,), float(sum(h.kind == kind for h in happened))) for kind in LASTING],
    )  # fmt: skip
    yield from _groups(picture, owners)
    yield from _topics(picture)
    sample = picture.window[-1] if picture.window else None
    if sample is not None:
        yield from _group_topics(sample, picture)
        if partitions:
            yield from _partitions(picture, sample)
            yield from _group_partitions(sample, picture)


def _family(name: str, words: str, labels: tuple[str, ...], rows: Sequence[Row]) -> Family:
    return Family(name, words, labels, rows, len(rows))


def _cluster(picture: Picture, raised: Sequence[AlertState]) -> Iterator[Family]:
    up = sum(b.broker.state == "up" for b in picture.brokers)
    yield _family("kafka_brokers", "Brokers that are up.", (), [((), float(up))])
    yield _family(
        "kminion_kafka_cluster_info", "The cluster.", ("cluster_id", "controller_id", "broker_count"),
        [((picture.cluster_id, str(picture.snapshot.controller), str(up)), 1.0)],
    )  # fmt: skip
    yield _family("asgard_cluster_under_replicated_partitions", "Partitions with replicas out of sync.", (), [((), float(picture.under_replicated))])  # fmt: skip
    yield _family(
        "asgard_cluster_offline_partitions", "Partitions without a leader.", (), [((), float(picture.offline))]
    )
    yield _family("asgard_cluster_moving_partitions", "Partitions that are being reassigned.", (), [((), float(len(picture.moving)))])  # fmt: skip
    yield _family("asgard_look_timestamp_seconds", "When the cluster was looked at last.", (), [((), picture.at)])
    yield _family("asgard_look_duration_seconds", "How long that took.", (), [((), picture.seconds)])
    yield _family(
        "asgard_broker_up", "1: up, 0: fenced or missing.", ("broker_id",),
        [((str(b.broker.id),), float(b.broker.state == "up")) for b in picture.brokers],
    )  # fmt: skip
    dirs = [(b.broker.id, d) for b in picture.brokers for d in b.broker.log_dirs]
    yield _family(
        "asgard_broker_volume_used_bytes", "Used bytes of a log directory's volume.", ("broker_id", "path"),
        [((str(i), d.path), float(d.used_bytes)) for i, d in dirs if d.used_bytes is not None],
    )  # fmt: skip
    yield _family(
        "asgard_broker_volume_capacity_bytes", "Capacity of a log directory's volume.", ("broker_id", "path"),
        [((str(i), d.path), float(d.capacity_bytes)) for i, d in dirs if d.capacity_bytes is not None],
    )  # fmt: skip
    yield _family(
        "asgard_alert_raised", "Alerts that are raised.", ("rule", "subject", "severity", "owner"),
        [((s.rule, s.subject, s.labels.get("severity", ""), s.labels.get("owner", "")), 1.0) for s in raised],
    )  # fmt: skip


def _groups(picture: Picture, owners: Owners) -> Iterator[Family]:
    groups = list(picture.groups.values())
    named = {g.name: (g.name, owners.of_group(g.name)) for g in groups}
    labels = ("group_id", "owner")
    yield _family("asgard_group_status", f"Its status: {', '.join(f'{n} {s}' for n, s in enumerate(STATUSES))}.", labels, [(named[g.name], float(STATUSES.index(g.status))) for g in groups])  # fmt: skip
    yield _family("asgard_group_time_lag_seconds", "Age of the oldest record that the group has not read.", labels, [(named[g.name], g.time_lag_s) for g in groups if g.time_lag_s is not None])  # fmt: skip
    yield _family("asgard_group_loses_data_in_seconds", "When retention begins to delete records that the group has not read.", labels, [(named[g.name], g.loses_data_in_s) for g in groups if g.loses_data_in_s is not None])  # fmt: skip
    yield _family("asgard_group_expired_unread_records", "Records that retention deleted before the group read them.", labels, [(named[g.name], float(g.expired_unread)) for g in groups])  # fmt: skip
    yield _family("asgard_group_lag_records", "Records that the group has not read, of all its topics.", labels, [(named[g.name], float(g.lag)) for g in groups if g.lag is not None])  # fmt: skip
    yield _family(
        "kminion_kafka_consumer_group_info",
        "A group.",
        ("group_id", "state"),
        [((g.name, g.state), 1.0) for g in groups],
    )


def _topics(picture: Picture) -> Iterator[Family]:
    topics = list(picture.topics.values())
    yield _family(
        "kafka_topic_partitions",
        "Partitions of a topic.",
        ("topic",),
        [((t.name,), float(t.partitions)) for t in topics],
    )
    yield _family("asgard_topic_records_per_second", "Records that arrive, over the last minutes.", ("topic",), [((t.name,), t.rate_per_s) for t in topics if t.rate_per_s is not None])  # fmt: skip
    yield _family("asgard_topic_newest_record_timestamp_seconds", "When the newest record was written.", ("topic",), [((t.name,), t.newest) for t in topics if t.newest is not None])  # fmt: skip
    yield _family("asgard_topic_size_bytes", "Size of a topic, one replica of each partition.", ("topic",), [((t.name,), float(t.size_bytes)) for t in topics if t.size_bytes is not None])  # fmt: skip
    sample = picture.window[-1] if picture.window else None
    if sample is None:
        return
    known = [(name, sample.starts[name], ends) for name, ends in sample.ends.items() if len(ends) and (ends >= 0).all()]
    yield _family("kminion_kafka_topic_high_water_mark_sum", "Sum of the end offsets.", ("topic_name",), [((n,), float(e.sum())) for n, _, e in known])  # fmt: skip
    yield _family("kminion_kafka_topic_low_water_mark_sum", "Sum of the start offsets.", ("topic_name",), [((n,), float(np.maximum(s, 0).sum())) for n, s, _ in known])  # fmt: skip


def _lags(
    sample: OffsetSample,
) -> Iterator[tuple[str, str, np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.int64]]]]:
    """Group, topic, committed offsets and lag by partition; -1 if not known."""
    for group, topics in sample.committed.items():
        for topic, committed in topics.items():
            ends, starts = sample.ends.get(topic), sample.starts.get(topic)
            if ends is None or starts is None:
                continue
            size = min(len(committed), len(ends))
            at = np.maximum(committed[:size], starts[:size])
            lag = np.where((committed[:size] >= 0) & (ends[:size] >= 0), np.maximum(ends[:size] - at, 0), -1)
            yield group, topic, committed[:size], lag


def _group_topics(sample: OffsetSample, picture: Picture) -> Iterator[Family]:
    sums = [
        ((g, t), float(lag[lag >= 0].sum()))
        for g, t, _, lag in _lags(sample)
        if (lag >= 0).any() and g in picture.groups
    ]
    yield _family("kminion_kafka_consumer_group_topic_lag", "Records of a topic that the group has not read.", ("group_id", "topic_name"), sums)  # fmt: skip
    yield _family(
        "kafka_consumergroup_lag_sum",
        "Records of a topic that the group has not read.",
        ("consumergroup", "topic"),
        sums,
    )


def _partitions(picture: Picture, sample: OffsetSample) -> Iterator[Family]:
    parts = picture.snapshot.partitions
    labels = ("topic", "partition")
    replicas: dict[str, tuple[str, Callable[[Partition], float]]] = {
        "kafka_topic_partition_leader": ("The broker that leads it; -1: none.", lambda p: p.leader),
        "kafka_topic_partition_replicas": ("Its replicas.", lambda p: len(p.replicas)),
        "kafka_topic_partition_in_sync_replica": ("Its replicas in sync.", lambda p: len(p.isr)),
        "kafka_topic_partition_under_replicated_partition": ("1: replicas are out of sync.", lambda p: len(p.isr) < len(p.target_replicas)),
    }  # fmt: skip
    for name, (words, value) in replicas.items():
        rows = (((p.topic, str(p.partition)), float(value(p))) for p in parts)
        yield Family(name, words, labels, rows, len(parts))
    for names, words, by_topic in (
        (("kafka_topic_partition_current_offset", "kminion_kafka_topic_partition_high_water_mark"), "Its end offset.", sample.ends),
        (("kafka_topic_partition_oldest_offset", "kminion_kafka_topic_partition_low_water_mark"), "Its start offset.", sample.starts),
    ):  # fmt: skip
        count = sum(int((offsets >= 0).sum()) for offsets in by_topic.values())
        for name, of in zip(names, (labels, ("topic_name", "partition_id")), strict=True):
            rows = (
                ((topic, str(p)), float(offset))
                for topic, offsets in by_topic.items() for p, offset in enumerate(offsets.tolist()) if offset >= 0
            )  # fmt: skip
            yield Family(name, words, of, rows, count)


def _group_partitions(sample: OffsetSample, picture: Picture) -> Iterator[Family]:
    found = [one for one in _lags(sample) if one[0] in picture.groups]
    count = sum(int((lag >= 0).sum()) for *_, lag in found)
    committed = sum(int((offsets >= 0).sum()) for _, _, offsets, _ in found)

    def lags() -> Iterator[Row]:
        return (((g, t, str(p)), float(n)) for g, t, _, lag in found for p, n in enumerate(lag.tolist()) if n >= 0)

    def offsets() -> Iterator[Row]:
        return (((g, t, str(p)), float(n)) for g, t, at, _ in found for p, n in enumerate(at.tolist()) if n >= 0)

    exporter = ("consumergroup", "topic", "partition")
    yield Family(
        "kafka_consumergroup_lag", "Records of a partition that the group has not read.", exporter, lags(), count
    )
    yield Family("kafka_consumergroup_current_offset", "The group's committed offset.", exporter, offsets(), committed)
    yield Family("kminion_kafka_consumer_group_topic_partition_lag", "Records of a partition that the group has not read.", ("group_id", "topic_name", "partition_id"), lags(), count)  # fmt: skip
