"""How shards are archived without a cluster: storage that fails, other writers, positions that are gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from asgard.core.errors import Unreachable
from asgard.thor.archive import ledger, location, verify
from asgard.thor.archive.model import fresh
from asgard.thor.archive.shards import ArchiveOptions, Shards
from asgard.thor.archive.source import SourceTopics
from asgard.thor.archive.storage import Storage
from tests.unit.thor.test_thor_archive_files import FACTS, SHARD, messages

KEY = (SHARD.topic, SHARD.partition)
TOPICS = SourceTopics("cluster", {KEY: SHARD}, {SHARD.topic: FACTS}, {SHARD.topic: "delete"}, {})


def shards(place: Storage) -> Shards:
    return Shards(place, TOPICS, ArchiveOptions("deflate"), lambda key, offset: [])


def test_a_file_that_a_manifest_names_is_not_overwritten_if_the_answer_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = location.open_storage(str(tmp_path))
    own = shards(place)
    own.claim({KEY: fresh(SHARD, "cluster", 0)})
    own.append(KEY, messages(100))

    def silent(storage: Storage, shard: object) -> list[int]:
        raise Unreachable("the storage does not answer")

    with monkeypatch.context() as failing:
        failing.setattr(ledger, "index_of", silent)
        with pytest.raises(Unreachable):
            own.close(KEY, own.position(KEY))
    assert own.position(KEY) == 0, "it is read again"
    own.append(KEY, messages(150))
    with pytest.raises(ledger.Fenced):
        own.close(KEY, own.position(KEY))
    assert verify.verify(place).damaged == []
    own.claim(own.heads([KEY]))
    assert own.position(KEY) == 100
    assert (verify.verify(place).damaged, verify.verify(place).strays) == ([], [])
