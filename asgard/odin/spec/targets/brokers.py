"""The section `kafka` of a stack that creates its own brokers, whichever target they run on."""

from __future__ import annotations

from asgard.core.document import Found
from asgard.core.schema.stack import StackFile
from asgard.odin.resources import configs
from asgard.odin.spec.model import KafkaSpec

LEAST_HEAP_BYTES = 128 * 1024 * 1024


def default_controllers(brokers: int) -> int:
    """The largest odd number up to 3 that the brokers allow."""
    return 3 if brokers >= 3 else 1


def review(file: StackFile) -> Found:
    """Problems of the cluster's size."""
    k = file.kafka
    brokers = k.brokers or 1
    if k.controllers is not None and (k.controllers % 2 == 0 or k.controllers > brokers):
        yield ("kafka", "controllers"), f"is {k.controllers}; allowed is an odd number up to that of brokers, {brokers}"
    if k.racks is not None and k.racks > brokers:
        yield ("kafka", "racks"), f"is {k.racks}; allowed are at most as many as brokers, {brokers}"
    if k.heap is not None and k.heap < LEAST_HEAP_BYTES:
        yield ("kafka", "heap"), f"is {k.heap} bytes; allowed are 128MiB or more"
    if k.min_insync_replicas is not None and k.min_insync_replicas > brokers:
        yield (
            ("kafka", "min_insync_replicas"),
            f"is {k.min_insync_replicas}; allowed are at most as many as brokers, {brokers}",
        )


def kafka(file: StackFile, heap_bytes: int) -> KafkaSpec:
    """The cluster of a file without problems. `heap_bytes` is what a node gets by default; 0: chosen on its machine."""
    k = file.kafka
    version, brokers = k.version or configs.DEFAULT_VERSION, k.brokers or 1
    static, dynamic = configs.split(configs.canonical_all("broker", k.config), version)
    return KafkaSpec(
        version=version,
        brokers=brokers,
        controllers=k.controllers or default_controllers(brokers),
        racks=k.racks or 0,
        heap_bytes=k.heap or heap_bytes,
        static_config=static,
        dynamic_config=dynamic,
        min_insync_replicas=k.min_insync_replicas,
        log_dirs=k.log_dirs or 1,
    )
