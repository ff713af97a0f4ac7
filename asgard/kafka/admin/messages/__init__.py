"""Kafka's messages that kafka-python lacks: removal of brokers and voters, and groups of the newer types.

The JSON files next to this one use Kafka's own message format, which kafka-python compiles.
"""

import sys

from kafka.protocol.api_message import ApiMessage

_here = sys.modules[__name__]


class UnregisterBrokerRequest(ApiMessage, load_json=_here):  # type: ignore[call-arg, misc]
    """API 64 (KIP-631)."""


class UnregisterBrokerResponse(ApiMessage, load_json=_here):  # type: ignore[call-arg, misc]
    """API 64 (KIP-631)."""


class AddRaftVoterRequest(ApiMessage, load_json=_here):  # type: ignore[call-arg, misc]
    """API 80 (KIP-853)."""


class AddRaftVoterResponse(ApiMessage, load_json=_here):  # type: ignore[call-arg, misc]
    """API 80 (KIP-853)."""


class RemoveRaftVoterRequest(ApiMessage, load_json=_here):  # type: ignore[call-arg, misc]
    """API 81 (KIP-853)."""


class RemoveRaftVoterResponse(ApiMessage, load_json=_here):  # type: ignore[call-arg, misc]
    """API 81 (KIP-853)."""


class ConsumerGroupDescribeRequest(ApiMessage, load_json=_here):  # type: ignore[call-arg, misc]
    """API 69 (KIP-848)."""


class ConsumerGroupDescribeResponse(ApiMessage, load_json=_here):  # type: ignore[call-arg, misc]
    """API 69 (KIP-848)."""


class ShareGroupDescribeRequest(ApiMessage, load_json=_here):  # type: ignore[call-arg, misc]
    """API 77 (KIP-932)."""


class ShareGroupDescribeResponse(ApiMessage, load_json=_here):  # type: ignore[call-arg, misc]
    """API 77 (KIP-932)."""


class StreamsGroupDescribeRequest(ApiMessage, load_json=_here):  # type: ignore[call-arg, misc]
    """API 89 (KIP-1071)."""


class StreamsGroupDescribeResponse(ApiMessage, load_json=_here):  # type: ignore[call-arg, misc]
    """API 89 (KIP-1071)."""


class DescribeShareGroupOffsetsRequest(ApiMessage, load_json=_here):  # type: ignore[call-arg, misc]
    """API 90 (KIP-932)."""


class DescribeShareGroupOffsetsResponse(ApiMessage, load_json=_here):  # type: ignore[call-arg, misc]
    """API 90 (KIP-932)."""
