"""How long a run waits until the brokers tell of the topics it created: as long as more and more of them show."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from asgard.core.errors import Failed
from asgard.kafka.connection import Connection
from asgard.kafka.model import Topic
from asgard.odin.provider import cluster

NAMES = [f"t{number}" for number in range(6)]


class SlowBrokers:
    """Forty seconds pass at each look; with each look one more topic shows, `shown` of them at most."""

    def __init__(self, shown: int) -> None:
        self.now, self._looks, self._shown = 1000.0, 0, shown

    def topics(self, names: Any) -> dict[str, Topic]:
        self.now += 40
        self._looks += 1
        return {n: Topic(n, f"id-{n}", False, ()) for n in NAMES[: min(self._looks, self._shown)] if n in names}

    def close(self) -> None:
        pass


def waited(brokers: SlowBrokers, monkeypatch: pytest.MonkeyPatch) -> list[Topic]:
    monkeypatch.setattr(cluster, "time", SimpleNamespace(monotonic=lambda: brokers.now))

    async def wait() -> list[Topic]:
        kafka = cluster.ClusterClient(Connection("127.0.0.1:1"), connect=lambda _: brokers)  # type: ignore[arg-type,return-value]
        return await asyncio.gather(*(kafka.visible_topic(name) for name in NAMES))

    return asyncio.run(wait())


def test_brokers_that_take_minutes_for_many_topics_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [topic.id for topic in waited(SlowBrokers(shown=6), monkeypatch)] == [f"id-{name}" for name in NAMES]


def test_a_topic_that_never_shows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failed, match="the topic t3 was created, but no broker reported it within 60 s") as said:
        waited(SlowBrokers(shown=3), monkeypatch)
    assert "same command" in str(said.value.hint)
