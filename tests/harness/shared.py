"""Clusters that test files share: started by the first file that asks for one, stopped before a file that does not.

A cluster that idles until the end of the run takes the cores that later tests wait for: with 20 idle brokers the same files need
many times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from tests.harness.cluster import RealCluster

# In this order files run, so that those with the same cluster follow one another. Files with a cluster of their own or none are last.
FIXTURES = ("four_brokers", "secured_cluster", "plain_broker", "external_cluster")


class SharedClusters:
    """By the name of their fixture. `used`: the fixtures that each file uses, by its path."""

    def __init__(self, used: dict[str, set[str]]) -> None:
        self.used = used
        self._running: dict[str, RealCluster] = {}

    def get(self, name: str, make: Callable[[], RealCluster]) -> RealCluster:
        """The cluster of this name; `make` builds it if it isn't up."""
        if name not in self._running:
            cluster = make()
            cluster.start()
            self._running[name] = cluster
        return self._running[name]

    def keep(self, names: Iterable[str]) -> None:
        """Stop all others and delete their data."""
        for name in self._running.keys() - set(names):
            self._running.pop(name).close()


def used_by_file(items: Iterable[pytest.Item]) -> dict[str, set[str]]:
    """The fixtures that the tests of a file use, directly or through others, by the file's path."""
    used: dict[str, set[str]] = {}
    for item in items:
        used.setdefault(str(item.path), set()).update(getattr(item, "fixturenames", ()))
    return used


def order(items: list[pytest.Item]) -> None:
    """Sort files with the same clusters together, in place. The quick ones, without Kafka, come last and fill the gaps."""
    used = used_by_file(items)

    def place(item: pytest.Item) -> tuple[bool, list[bool]]:
        return "unit" in item.path.parts, [name not in used[str(item.path)] for name in FIXTURES]

    items.sort(key=place)
