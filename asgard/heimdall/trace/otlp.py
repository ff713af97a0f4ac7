"""Ways as spans, sent to an OpenTelemetry collector over OTLP/HTTP: a span for each hop, in the trace that the records carry.

A hop's span lasts from the hop before (the first one: from when the event was due) to the record's time. Ids are computed from where the
record is, so that sending a way twice gives the same spans. Events without a trace get one that is computed from their stamp.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from asgard.core.errors import Unreachable, WrongUsage
from asgard.heimdall.trace.way import Hop, Way

DEADLINE_S = 10.0


def send(ways: Sequence[Way], endpoint: str, cluster: str) -> int:
    """Send the ways; returns how many spans that were. `endpoint` is the whole URL, as in http://localhost:4318/v1/traces.

    Raises WrongUsage without the extra `otlp`, and Unreachable if the collector does not take them.
    """
    if not endpoint.startswith(("http://", "https://")):
        raise WrongUsage(f"--otlp is {endpoint!r}; allowed is a URL, as in http://localhost:4318/v1/traces")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.trace.export import SpanExportResult
        from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
    except ImportError as error:
        raise WrongUsage(
            f"spans need the extra `otlp`: {error}", "Install it: pip install 'asgard-kafka[otlp]'."
        ) from error
    resource = Resource.create({"service.name": "asgard-heimdall", "messaging.kafka.cluster.id": cluster})
    spans = []
    for way in ways:
        trace_id = int(way.trace or _digest(way.event or _place(way.hops[0]), 32), 16)
        parent = None
        before_ms = way.due_ms
        for hop in way.hops:
            context = SpanContext(trace_id, int(span_id(hop), 16), False, TraceFlags(1))
            start_ms = hop.at_ms if before_ms is None else min(before_ms, hop.at_ms)
            attributes = {
                "messaging.system": "kafka",
                "messaging.destination.name": hop.topic,
                "messaging.destination.partition.id": str(hop.partition),
                "messaging.kafka.offset": hop.offset,
            }
            if hop.trace is not None:
                attributes["asgard.sent_by_span"] = hop.trace.span_id
            spans.append(
                ReadableSpan(
                    f"{hop.topic} publish",
                    context=context,
                    parent=parent,
                    resource=resource,
                    attributes=attributes | ({"asgard.event": way.event} if way.event else {}),
                    kind=SpanKind.PRODUCER,
                    start_time=nanoseconds(start_ms),
                    end_time=nanoseconds(hop.at_ms),
                )
            )
            parent, before_ms = context, hop.at_ms
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=DEADLINE_S)
    try:
        result = exporter.export(spans)
    finally:
        exporter.shutdown()
    if result is not SpanExportResult.SUCCESS:
        raise Unreachable(f"the collector at {endpoint} did not take {len(spans)} spans", "Check --otlp.")
    return len(spans)


def nanoseconds(ms: float) -> int:
    """A record's time in ns as OTLP can hold it: 64 bits without a sign, until the year 2554."""
    return min(max(round(ms * 1_000_000), 0), (1 << 64) - 1)


def span_id(hop: Hop) -> str:
    """The id of a hop's span: 16 hex digits."""
    return _digest(_place(hop), 16)


def _place(hop: Hop) -> str:
    return f"{hop.topic}-{hop.partition}@{hop.offset}"


def _digest(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
