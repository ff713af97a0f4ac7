"""The administrator of a local cluster comes first wherever Kafka goes through its users."""

from __future__ import annotations

from asgard.kafka.connection import FIRST_USER


def test_the_first_user_stands_in_the_first_bucket_of_a_java_hash_map_of_any_likely_size() -> None:
    value = 0
    for character in FIRST_USER:
        value = (31 * value + ord(character)) & 0xFFFFFFFF  # String.hashCode
    spread = value ^ (value >> 16)  # HashMap.hash
    assert spread & 0x7FFF == 0, "first among 24,000 users (32,768 buckets at a load of 0.75)"
