"""CRC-32C of the record header: the library that is used against a table in Python, in one run.

    python tests/benchmarks/bench_crc32c.py

prints nanoseconds and MB/s for each, and their ratio. asgard/kafka/stamp.py quotes it.
"""

from __future__ import annotations

import json
import os
import timeit

from kafka.record._crc32c import crc as table_in_python

from asgard.kafka import stamp


def main() -> None:
    """Measure both."""
    value = os.urandom(1024)
    assert stamp.checksum(value) == table_in_python(value)
    ours = min(timeit.repeat(lambda: stamp.checksum(value), number=100_000, repeat=5)) / 100_000
    table = min(timeit.repeat(lambda: table_in_python(value), number=200, repeat=5)) / 200
    print(
        json.dumps(
            {
                "value_bytes": len(value),
                "google_crc32c_ns": round(ours * 1e9),
                "google_crc32c_mb_per_s": round(len(value) / ours / 1e6),
                "python_table_ns": round(table * 1e9),
                "python_table_mb_per_s": round(len(value) / table / 1e6),
                "times_faster": round(table / ours),
            }
        )
    )


if __name__ == "__main__":
    main()
