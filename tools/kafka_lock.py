"""Writes the lock file of a Kafka version: `python tools/kafka_lock.py 4.3.1 > asgard/kafka/distribution/lock/kafka-4.3.1.json`.

Needs the extra `local`. The jars' POMs are walked (about 20 s), then each jar is fetched once for its size and SHA-256.
"""

from __future__ import annotations

import sys

from asgard.kafka.distribution.download import download
from asgard.kafka.distribution.jars import make_lock, resolve

if __name__ == "__main__":
    sys.stdout.write(make_lock(sys.argv[1], resolve(sys.argv[1]), download).render())
