"""Which partition of __consumer_offsets a group belongs to, and who leads it next."""

from __future__ import annotations

import pytest

from asgard.kafka.model import Partition
from asgard.thor.coordinator import partition_of, turned


@pytest.mark.parametrize(
    ("group", "hash_of_java"),
    [("", 0), ("a", 97), ("billing", -109829509), ("polygenelubricants", -2147483648), ("ü", 252)],
)
def test_a_group_is_where_javas_hash_says(group: str, hash_of_java: int) -> None:
    wanted = 0 if hash_of_java == -(2**31) else abs(hash_of_java)
    assert partition_of(group, 50) == wanted % 50


def test_another_replica_in_sync_leads() -> None:
    p = Partition("__consumer_offsets", 3, (1, 2, 3), (1, 3), 1)
    assert turned(p) == (3, 2, 1)
