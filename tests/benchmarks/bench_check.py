"""Loki's check: time and memory a record, at 1 and 10 million records, each in a process of its own; is it linear?

Every record is acknowledged, given to a consumer, and found by the last read: three rows in the history for each. Four producers
write to twelve partitions by key, so that sequences and offsets interleave as they do in a load.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from asgard.loki.check.check import check
from asgard.loki.check.history import SUFFIX, Bounds, HistoryFiles
from asgard.loki.check.recorder import Recorder
from asgard.loki.check.verdict import CheckOutcome, judge

PRODUCERS, PARTITIONS, TOPIC, RUN = 4, 12, "orders", bytes(16)
_AT_ONCE = 1_000_000


def write(directory: Path, records: int) -> None:
    """A history in which nothing went wrong."""
    rng = np.random.default_rng(1)
    ends = np.zeros(PARTITIONS, np.int64)
    with (
        Recorder(directory / f"load{SUFFIX}", RUN) as load,
        Recorder(directory / f"last-read{SUFFIX}", RUN) as last,
    ):
        sends = [load.producer(n, acks="all", idempotence=True) for n in range(PRODUCERS)]
        polls, reads = load.consumer(0, via="assign"), last.consumer(0, via="last-read")
        for start in range(0, records, _AT_ONCE):
            count = min(_AT_ONCE, records - start)
            producers = rng.integers(0, PRODUCERS, count // 50 + 1).repeat(50)[:count]
            partitions = rng.integers(0, PARTITIONS, count)
            sequences = np.empty(count, np.int64)
            for n in range(PRODUCERS):
                mine = producers == n
                sequences[mine] = sends[n].take(TOPIC, int(mine.sum())) + np.arange(mine.sum())
            for partition in range(PARTITIONS):
                here = np.flatnonzero(partitions == partition)
                offsets = ends[partition] + np.arange(len(here))
                ends[partition] += len(here)
                for n in range(PRODUCERS):
                    mine = producers[here] == n
                    sends[n].acked_many(TOPIC, partition, sequences[here[mine]], offsets[mine])
                for log in (polls, reads):
                    for rows in np.array_split(np.arange(len(here)), max(1, len(here) // 5000)):
                        log.polled_many(TOPIC, partition, offsets[rows], producers[here[rows]], sequences[here[rows]])
        for partition in range(PARTITIONS):
            last.bounds(Bounds(TOPIC, partition, 0, int(ends[partition]), complete=True))


def measure(directory: Path) -> tuple[float, int]:
    """Seconds of CPU and peak bytes above the empty process, of the check of a history, in a new process."""
    program = f"from tests.benchmarks.bench_check import judged; judged({str(directory)!r})"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    seconds, peak = done.stdout.split()
    return float(seconds), int(peak)


def judged(directory: str) -> None:
    """What the new process does."""
    before, start = memory("VmRSS"), time.process_time()
    verdict = judge(check(HistoryFiles(Path(directory))))
    seconds = time.process_time() - start
    assert (verdict.outcome, verdict.findings) == (CheckOutcome.KEPT, ()), verdict
    print(seconds, memory("VmHWM") - before)


def memory(what: str) -> int:
    """Bytes of this process: resident now (VmRSS), or at most so far (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def figures(*sizes: int) -> list[dict[str, float]]:
    """For each number of records: what the check costs."""
    found = []
    for records in sizes:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), records)
            size = sum(path.stat().st_size for path in Path(folder).iterdir())
            seconds, peak = measure(Path(folder))
        found.append(
            {
                "records": records,
                "history_bytes_a_record": round(size / records, 1),
                "cpu_s": round(seconds, 2),
                "cpu_ns_a_record": round(seconds / records * 1e9),
                "peak_mb": round(peak / 1e6),
                "peak_bytes_a_record": round(peak / records, 1),
            }
        )
        print(found[-1], flush=True)
    return found


def main() -> None:
    """Print both sizes and the ratio."""
    small, large = figures(1_000_000, 10_000_000)
    print(f"ten times the records: {large['cpu_s'] / small['cpu_s']:.1f} times the time")


if __name__ == "__main__":
    main()
