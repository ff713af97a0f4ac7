"""Run benchmarks by name, each against what it is compared with, in one run: `python -m tests.benchmarks [NAME …]`."""

from __future__ import annotations

import argparse

from tests.benchmarks import (
    bench_archive,
    bench_audit,
    bench_check,
    bench_crc32c,
    bench_lag,
    bench_load,
    bench_portal,
    bench_replay,
    bench_scale,
    bench_start,
    bench_status,
    bench_topics,
    bench_up,
    thor_plans,
)

BENCHMARKS = {
    "start": bench_start.main,
    "up": bench_up.main,
    "topics": bench_topics.main,
    "scale": bench_scale.main,
    "status": bench_status.main,
    "crc32c": bench_crc32c.main,
    "thor-plans": thor_plans.compare,
    "check": bench_check.main,
    "load": bench_load.main,
    "replay": bench_replay.main,
    "archive": bench_archive.main,
    "audit": bench_audit.main,
    "lag": bench_lag.main,
    "portal": bench_portal.main,
}


def main() -> None:
    """Run what was named, or everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    for name in parser.parse_args().names or BENCHMARKS:
        print(f"== {name}")
        BENCHMARKS[name]()


if __name__ == "__main__":
    main()
