"""A real Kafka for tests: clusters of node processes on loopback, and a producer that remembers what was acknowledged.

    python -m tests.harness --brokers 3 --security scram

starts one to play with and prints how to reach it. In pytest use the fixtures of tests/integration/conftest.py.
"""

from tests.harness.acked import AckedProducer, Record, read_all
from tests.harness.cluster import RealCluster
from tests.harness.leaks import leaked_processes

__all__ = ["AckedProducer", "RealCluster", "Record", "leaked_processes", "read_all"]
