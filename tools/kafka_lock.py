"""Writes the lock file of a Kafka version: `python tools/kafka_lock.py 4.3.1 > asgard/kafka/distribution/lock/kafka-4.3.1.json`.

Further arguments are artifacts of org.apache.kafka in place of the broker's own, as in `4.3.1 connect-mirror connect-runtime`.
Needs the extra `local`. The jars' POMs are walked (about 20 s), then each jar is fetched once for its size and SHA-256.
"""

from __future__ import annotations

import sys

from asgard.kafka.distribution.download import download
from asgard.kafka.distribution.jars import make_lock, resolve

if __name__ == "__main__":
    version, *roots = sys.argv[1:]
    sys.stdout.write(make_lock(version, resolve(version, roots) if roots else resolve(version), download).render())
