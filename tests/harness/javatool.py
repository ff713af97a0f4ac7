"""Kafka's own tools from its jars, as a command line: what Asgard is measured against, and clients that Python does not have."""

from __future__ import annotations

from asgard.kafka.distribution.home import ensure_kafka
from asgard.kafka.distribution.java import find_java

CONSUMER_GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
GET_OFFSETS = "org.apache.kafka.tools.GetOffsetShell"
SHARE_CONSUMER = "org.apache.kafka.tools.consumer.ConsoleShareConsumer"


def java_tool(main_class: str, *arguments: str, heap_mb: int = 128) -> list[str]:
    """The command that runs one of Kafka's tools."""
    small = [f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    return [str(find_java().path), *small, "-cp", ensure_kafka().classpath, main_class, *arguments]
