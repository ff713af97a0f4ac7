"""The target `local`: brokers are processes of this machine."""

from __future__ import annotations

from pathlib import Path

from asgard.core.document import Found
from asgard.core.schema.stack import StackFile
from asgard.odin.spec.model import KafkaSpec
from asgard.odin.spec.targets import brokers

DEFAULT_HEAP_BYTES = 256 * 1024 * 1024


class LocalRules:
    """See the module."""

    section = None
    clusters = "local clusters"

    def review(self, file: StackFile) -> Found:
        """Problems of the cluster's size."""
        yield from brokers.review(file)

    def kafka(self, file: StackFile) -> KafkaSpec:
        """The cluster; a small heap, because all brokers share the machine."""
        return brokers.kafka(file, DEFAULT_HEAP_BYTES)

    def place(self, file: StackFile, folder: Path) -> None:
        """None."""
