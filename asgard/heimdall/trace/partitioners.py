"""In which partition a key is: as Kafka's Java clients compute it, and as librdkafka does by default. Pure."""

from __future__ import annotations

import zlib

_SEED, _M, _R, _MASK = 0x9747B28C, 0x5BD1E995, 24, 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """`org.apache.kafka.common.utils.Utils.murmur2`, as an unsigned number of 32 bits."""
    h = (_SEED ^ len(data)) & _MASK
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _M & _MASK
        k = (k ^ (k >> _R)) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if rest := data[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    return h ^ (h >> 15)


def java(key: bytes, partitions: int) -> int:
    """The partition that Java clients choose (and librdkafka's murmur2 and murmur2_random)."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def librdkafka(key: bytes, partitions: int) -> int:
    """The partition that librdkafka chooses by default (consistent_random), and its `consistent`: CRC-32 of the key."""
    return zlib.crc32(key) % partitions


def candidates(key: bytes, partitions: int) -> set[int]:
    """Where a key can be. librdkafka sends an empty key anywhere, so then it is every partition."""
    if not key:
        return set(range(partitions))
    return {java(key, partitions), librdkafka(key, partitions)}
