"""Start a real cluster, print how to reach it as one line of JSON, and keep it until Ctrl-C, SIGTERM or `--for` seconds."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import threading
from pathlib import Path

from asgard.core import paths
from tests.harness.cluster import RealCluster


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.harness", description=__doc__)
    parser.add_argument("--brokers", type=int, default=1)
    parser.add_argument("--controllers", type=int, help="default: min(3, the largest odd number of brokers)")
    parser.add_argument("--racks", type=int, default=0)
    parser.add_argument("--security", choices=("scram", "none"), default="scram")
    parser.add_argument("--config", action="append", default=[], metavar="KEY=VALUE", help="for server.properties")
    parser.add_argument("--version", default="4.3.1")
    parser.add_argument("--heap-mb", type=int, default=256)
    parser.add_argument("--for", dest="seconds", type=float, help="stop by itself after so many seconds")
    options = parser.parse_args()
    paths.cache().mkdir(parents=True, exist_ok=True)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with tempfile.TemporaryDirectory(prefix="asgard-harness-") as directory:
        cluster = RealCluster(
            Path(directory),
            brokers=options.brokers,
            controllers=options.controllers,
            racks=options.racks,
            security=options.security,
            config=dict(pair.split("=", 1) for pair in options.config),
            heap_bytes=options.heap_mb * 1024 * 1024,
            version=options.version,
        )
        with cluster:
            facts = {
                "bootstrap_servers": cluster.bootstrap_servers,
                "client_properties": str(cluster.client_properties),
                "cluster_id": cluster.cluster_id,
                "home": str(cluster.home),
                "nodes": {node: str(cluster.run_dir(node).path) for node in cluster.specs},
            }
            print(json.dumps(facts), flush=True)
            over.wait(options.seconds)
    sys.exit(0)


if __name__ == "__main__":
    main()
