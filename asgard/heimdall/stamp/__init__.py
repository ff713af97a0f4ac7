"""Stamps for Python programs: the headers that `heimdall audit` uses to count records and `heimdall trace` to follow them.

    from asgard.heimdall.stamp import StampedProducer, forwarded, seen

    producer = StampedProducer(confluent_kafka.Producer(config))      # or StampedKafkaProducer(kafka.KafkaProducer(…))
    producer.produce("orders.raw", value, key=key)                    # adds `asgard` and `traceparent`

    producer.producer.produce("orders.created", new, headers=forwarded(message.headers(), new))   # the next hop
    print(seen(message.headers(), message.value()))                   # what a consumer was given

The layout of the headers for other languages is in docs/record-header.md.
"""

from asgard.heimdall.stamp.headers import Headers, Seen, Stamper, forwarded, seen
from asgard.heimdall.stamp.producers import StampedKafkaProducer, StampedProducer
from asgard.heimdall.stamp.traceparent import TRACEPARENT, TraceParent

__all__ = [
    "TRACEPARENT",
    "Headers",
    "Seen",
    "StampedKafkaProducer",
    "StampedProducer",
    "Stamper",
    "TraceParent",
    "forwarded",
    "seen",
]
