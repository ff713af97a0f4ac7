"""Where a stack's brokers run: one `Target` for each word that a stack file may say under `target`.

A target is looked up by its word, or asked for the machines of a stack; no other code knows what is special about one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from asgard.kafka.ports import NodeControl


class LogDisk(Protocol):
    """The disks of a broker that this machine can read."""

    @property
    def id(self) -> int:
        """The broker."""
        ...

    def partition_dir(self, topic: str, partition: int) -> Path | None:
        """Where it keeps its replica of a partition; None if it has none."""
        ...


class Target(Protocol):
    """One way of running brokers."""

    @property
    def makes_brokers(self) -> bool:
        """Whether Asgard creates the brokers, and so knows their version, number and first user; else they exist
        already."""
        ...

    @property
    def installs_kafka(self) -> bool:
        """Whether Asgard installs a release of Kafka on the brokers; else their owner's versions may have other
        forms, as in 4.1.x."""
        ...

    @property
    def logins_in_kafka(self) -> bool:
        """Whether Kafka itself keeps the credentials of users."""
        ...

    def nodes(self, stack: str) -> NodeControl | None:
        """What starts and stops the brokers of a stack; None if none can be reached from here."""
        ...

    def disks(self, stack: str) -> Sequence[LogDisk]:
        """The brokers of a stack whose log directories this machine can read."""
        ...

    def outdated(self, stack: str) -> Sequence[int]:
        """Nodes whose machine was created from an older description than the stack has now: `replace` gives them the
        new one."""
        ...


class External:
    """A cluster that someone else runs: Asgard reaches its brokers only through Kafka."""

    makes_brokers = False
    installs_kafka = False
    logins_in_kafka = True

    def nodes(self, stack: str) -> NodeControl | None:
        """None."""
        return None

    def disks(self, stack: str) -> Sequence[LogDisk]:
        """None."""
        return ()

    def outdated(self, stack: str) -> Sequence[int]:
        """None."""
        return ()


def of(name: str) -> Target:
    """The target of that word. Raises KeyError for a word that no stack file may say."""
    if name == "local":
        from asgard.machines.local.target import Local

        return Local()
    if name in ("aws-ec2", "aws-msk"):
        from asgard.machines.aws.target import Aws

        return Aws(on_instances=name == "aws-ec2")
    return {"external": External}[name]()


NAMES = ("local", "aws-ec2", "aws-msk", "external")
"""The words, in the order in which a stack is looked for."""


def nodes_of(stack: str | None) -> NodeControl | None:
    """What starts and stops the brokers of a stack, whichever target it has; None if they can't be reached from
    here."""
    found = (target.nodes(stack) for target in _all()) if stack is not None else iter(())
    return next((nodes for nodes in found if nodes is not None), None)


def disks_of(stack: str | None) -> list[LogDisk]:
    """The brokers of a stack whose log directories this machine can read."""
    return [disk for target in _all() for disk in target.disks(stack)] if stack is not None else []


def _all() -> Iterator[Target]:
    return map(of, NAMES)
