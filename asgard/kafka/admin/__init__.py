"""Kafka's admin API behind `kafka.ports.ControlPlane`, on kafka-python's protocol messages.

`connect` gives an `AdminClient`. Calls that fail as a whole raise the errors of `core.errors` with a sentence; bulk
calls return a result for each item. Imports kafka-python: import it inside the command that needs it.
"""

from asgard.kafka import protocol_only  # noqa: F401  (before anything that imports kafka)
from asgard.kafka.admin.client import AdminClient, check_login, connect
from asgard.kafka.admin.errors import BrokerDown, KafkaRefused, LoginRefused, NotAuthorised

__all__ = ["AdminClient", "BrokerDown", "KafkaRefused", "LoginRefused", "NotAuthorised", "check_login", "connect"]
