"""Kafka's admin API behind `kafka.ports.ControlPlane`, on kafka-python's protocol messages.

`connect` gives an `AdminClient`. Whole calls that fail raise the errors of `core.errors` with a sentence; calls that take many
things answer for each of them. Imports kafka-python: import it inside the command that needs it.
"""

from asgard.kafka import protocol_only  # noqa: F401  (before anything that imports kafka)
from asgard.kafka.admin.client import AdminClient, check_login, connect
from asgard.kafka.admin.errors import BrokerDown, KafkaRefused, LoginRefused, NotAuthorised

__all__ = ["AdminClient", "BrokerDown", "KafkaRefused", "LoginRefused", "NotAuthorised", "check_login", "connect"]
