"""The target `external`: a cluster that exists already. The file says how to reach it, and what Kafka itself can change."""

from __future__ import annotations

from pathlib import Path

from asgard.core.document import Found
from asgard.core.schema.stack import StackFile
from asgard.kafka.addresses import wrong_servers
from asgard.odin.resources import configs
from asgard.odin.spec.model import ExternalSpec, KafkaSpec


class ExternalRules:
    """See the module."""

    section = "cluster"
    clusters = "external clusters"

    def review(self, file: StackFile) -> Found:
        """Problems of `cluster`, and keys that need brokers of the stack's own."""
        for key in ("brokers", "controllers", "racks", "heap", "log_dirs", "min_insync_replicas"):
            if getattr(file.kafka, key) is not None:
                yield ("kafka", key), "is for local clusters; allowed on an external one are version and config"
        c = file.cluster
        if c is None:
            yield ("cluster",), "is missing; an external cluster needs `bootstrap_servers` or `context`"
            return
        if (c.bootstrap_servers is None) == (c.context is None):
            yield ("cluster",), "needs either `bootstrap_servers` or `context`"
        elif c.context is not None and c.client_properties is not None:
            yield ("cluster", "client_properties"), "is given by the context; allowed is one of the two"
        if c.bootstrap_servers is not None and (wrong := wrong_servers(c.bootstrap_servers)):
            yield ("cluster", "bootstrap_servers"), wrong

    def kafka(self, file: StackFile) -> KafkaSpec:
        """Its version, if given, and its cluster-wide configs."""
        k = file.kafka
        return KafkaSpec(k.version, 0, 0, 0, 0, {}, configs.canonical_all("broker", k.config), None)

    def place(self, file: StackFile, folder: Path) -> ExternalSpec:
        """How to reach it."""
        assert file.cluster is not None
        c = file.cluster
        properties = None if c.client_properties is None else str(folder / Path(c.client_properties).expanduser())
        return ExternalSpec(c.bootstrap_servers, properties, c.cluster_id, c.context)
