"""Members of the cluster: brokers, the metadata quorum, feature levels; brokers and voters added or removed."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from typing import Any

from kafka.protocol.admin import DescribeClusterRequest, DescribeQuorumRequest, UpdateFeaturesRequest
from kafka.protocol.metadata import ApiVersionsRequest

from asgard.kafka.admin.wire import Wire
from asgard.kafka.model import Broker, ClusterInfo, Quorum, Voter


def id_text(value: uuid.UUID) -> str:
    """An id as Kafka writes it: URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(value.bytes).decode().rstrip("=")


def parse_id(text: str) -> uuid.UUID:
    """The id from Kafka's text form."""
    return uuid.UUID(bytes=base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


class ClusterCalls:
    """The part of the control plane about the cluster itself."""

    _wire: Wire

    def cluster(self) -> ClusterInfo:
        """Brokers, fenced ones included. Any broker answers, even without a metadata quorum."""
        answer = self._wire.ask(
            DescribeClusterRequest(include_cluster_authorized_operations=False, include_fenced_brokers=True)
        )
        self._wire.check(answer.error_code, answer.error_message, "describe the cluster")
        brokers = tuple(
            Broker(b.broker_id, b.rack, b.host, b.port, "fenced" if b.is_fenced else "up")
            for b in sorted(answer.brokers, key=lambda b: b.broker_id)
        )
        return ClusterInfo(answer.cluster_id, brokers)

    def quorum(self) -> Quorum:
        """The metadata quorum, with each voter's lag in records behind its leader."""
        topic = DescribeQuorumRequest.TopicData
        answer = self._wire.ask(
            DescribeQuorumRequest(
                topics=[topic(topic_name="__cluster_metadata", partitions=[topic.PartitionData(partition_index=0)])]
            ),
            code=lambda a: a.error_code or a.topics[0].partitions[0].error_code,
        )
        doing, needs = "describe the metadata quorum", "DESCRIBE on the cluster"
        self._wire.check(answer.error_code, answer.error_message, doing, needs)
        log = answer.topics[0].partitions[0]
        self._wire.check(log.error_code, log.error_message, doing, needs)
        replicas = [*log.current_voters, *log.observers]
        end = max((r.log_end_offset for r in replicas if r.replica_id == log.leader_id), default=log.high_watermark)

        def voter(r: Any) -> Voter:
            return Voter(
                r.replica_id,
                max(end - r.log_end_offset, 0),
                id_text(r.replica_directory_id) if r.replica_directory_id else None,
                r.last_fetch_timestamp if r.last_fetch_timestamp >= 0 else None,
                r.last_caught_up_timestamp if r.last_caught_up_timestamp >= 0 else None,
            )

        voters = tuple(sorted((voter(r) for r in log.current_voters), key=lambda v: v.id))
        return Quorum(log.leader_id, voters, tuple(sorted((voter(r) for r in log.observers), key=lambda v: v.id)))

    def features(self) -> dict[str, int]:
        """Finalized feature levels (`metadata.version`, `eligible.leader.replicas.version`, …)."""
        answer = self._wire.ask(
            ApiVersionsRequest(client_software_name="asgard", client_software_version="1", min_version=3)
        )
        self._wire.check(answer.error_code, None, "ask for the feature levels")
        return {f.name: f.max_version_level for f in answer.finalized_features or []}

    def raise_features(self, levels: Mapping[str, int]) -> dict[str, int]:
        """Raise feature levels to these, lower none; what was raised. `metadata.version` can't be downgraded."""
        there = self.features()
        higher = {name: level for name, level in levels.items() if level > there.get(name, 0)}
        if higher:
            request = UpdateFeaturesRequest
            updates = [
                request.FeatureUpdateKey(feature=name, max_version_level=level) for name, level in higher.items()
            ]
            timeout_ms = int(self._wire.deadline_s * 1000)
            answer = self._wire.ask(request(timeout_ms=timeout_ms, feature_updates=updates, validate_only=False))
            self._wire.check(
                answer.error_code, answer.error_message, "raise the feature levels", "ALTER on the cluster"
            )
        return higher

    def unregister_broker(self, broker: int) -> None:
        """Unregister a broker that is down for good. No error if it is not registered."""
        from asgard.kafka.admin.messages import UnregisterBrokerRequest

        answer = self._wire.ask(UnregisterBrokerRequest(broker_id=broker))
        if answer.error_code != 102:  # BROKER_ID_NOT_REGISTERED
            doing, needs = f"unregister broker {broker}", "ALTER on the cluster"
            self._wire.check(answer.error_code, answer.error_message, doing, needs)

    def add_voter(self, voter: int, directory: str, listeners: dict[str, tuple[str, int]]) -> None:
        """Turn a controller that follows the quorum into a voter (KIP-853). `listeners`: name to host and port."""
        from asgard.kafka.admin.messages import AddRaftVoterRequest

        listener = AddRaftVoterRequest.Listener
        answer = self._wire.ask(
            AddRaftVoterRequest(
                cluster_id=None,
                timeout_ms=int(self._wire.deadline_s * 1000),
                voter_id=voter,
                voter_directory_id=parse_id(directory),
                listeners=[listener(name=name, host=host, port=port) for name, (host, port) in listeners.items()],
            )
        )
        doing, needs = f"make node {voter} a voter", "ALTER on the cluster"
        self._wire.check(answer.error_code, answer.error_message, doing, needs)

    def remove_voter(self, voter: int, directory: str) -> None:
        """Remove a voter from the quorum (KIP-853)."""
        from asgard.kafka.admin.messages import RemoveRaftVoterRequest

        answer = self._wire.ask(
            RemoveRaftVoterRequest(cluster_id=None, voter_id=voter, voter_directory_id=parse_id(directory))
        )
        doing, needs = f"remove voter {voter}", "ALTER on the cluster"
        self._wire.check(answer.error_code, answer.error_message, doing, needs)
