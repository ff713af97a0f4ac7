"""Kafka's messages that kafka-python does not carry: unregistering a broker, changing the voters of the quorum.

The JSON files beside this one are in the format of Kafka's own message definitions, which kafka-python compiles.
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
