"""Did a send that ended in an error definitely fail, or is its outcome unknown?

A client that got no answer can't know whether Kafka wrote the record: such a send is indeterminate, and only the last read tells.
librdkafka keeps the difference (`rd_kafka_message_status`) but confluent-kafka does not expose it; so an error counts as certain
only if Kafka refuses the record or the client itself, on whichever attempt: then no earlier attempt was written either.
"""

from __future__ import annotations

REFUSED = {
    10: "MSG_SIZE_TOO_LARGE",
    17: "TOPIC_EXCEPTION",
    18: "RECORD_LIST_TOO_LARGE",
    21: "INVALID_REQUIRED_ACKS",
    29: "TOPIC_AUTHORIZATION_FAILED",
    31: "CLUSTER_AUTHORIZATION_FAILED",
    32: "INVALID_TIMESTAMP",
    43: "UNSUPPORTED_FOR_MESSAGE_FORMAT",
    44: "POLICY_VIOLATION",
    87: "INVALID_RECORD",
    -184: "_QUEUE_FULL",
    -186: "_INVALID_ARG",
}
"""Codes of Kafka's protocol, and of librdkafka (negative), that say that the record was not written."""


def failed_for_sure(code: int) -> bool:
    """Whether `KafkaError.code()` of a delivery report, or of the exception that `produce` raised, says that nothing was written."""
    return code in REFUSED
