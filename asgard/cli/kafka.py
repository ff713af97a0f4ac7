"""`asgard kafka`: Kafka's programs and nodes on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from asgard.cli.command import command, group
from asgard.core import console
from asgard.core.console import Table

app = group()

Version = Annotated[
    str | None, typer.Option("--version", metavar="VERSION", help="A Kafka version, 4.1.0 or newer; default: 4.3.1.")
]


@command(app, example="asgard kafka fetch\nasgard kafka fetch --version 4.2.0 --verify")
def fetch(
    version: Version = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the hash of every jar, even those that look right.")
    ] = False,
) -> None:
    """Download Kafka into the cache, for CI images and offline machines; repair damaged files."""
    from asgard.kafka.distribution.home import ensure_kafka
    from asgard.kafka.distribution.jars import DEFAULT_VERSION
    from asgard.kafka.distribution.java import find_java

    found = ensure_kafka(version or DEFAULT_VERSION, verify=verify)
    for jar in found.mended:
        console.warn(f"{jar} was damaged in the cache and was downloaded again")
    java = find_java()
    came = f"{found.fetched} jars fetched" if found.fetched else "nothing to fetch"
    console.emit(
        {"kafka": found, "java": java},
        text=f"Kafka {found.version} is ready ({found.source}, {came}); Java {java.version} from {java.source}.",
    )


@command(app, example="asgard kafka versions")
def versions() -> None:
    """Show the Kafka versions in the cache and those with a lock file."""
    from asgard.kafka.distribution.home import known_versions

    found = known_versions()
    rows = [[v.version, "yes" if v.default else "", v.lock, "yes" if v.here else "no"] for v in found]
    console.emit(found, Table(["version", "default", "lock file", "in the cache"], rows))


@command(app, example="asgard kafka nodes")
def nodes() -> None:
    """Show the Kafka nodes that Asgard created on this machine, by stack."""
    from asgard.core import paths
    from asgard.machines.local import list_nodes, status

    facts, rows = [], []
    for stack in sorted((paths.home() / "stacks").glob("*/nodes")):
        for run_dir in list_nodes(stack):
            spec, node = run_dir.spec(), status(run_dir)
            facts.append({"stack": stack.parent.name, "node": node, "port": spec.port, "version": spec.version})
            roles = ", ".join(node.roles)
            rows.append([stack.parent.name, node.id, node.state, node.pid, roles, node.rack, spec.port, spec.version])
    console.emit(facts, Table(["stack", "node", "state", "pid", "roles", "rack", "port", "version"], rows))
