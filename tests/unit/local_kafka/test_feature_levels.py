"""Feature levels as Kafka's tool tells them."""

from asgard.machines.local.features import parse


def test_the_tools_lines_are_read_and_its_other_words_passed_over():
    told = """SLF4J: some remark
metadata.version=30 (4.3-IV0)
kraft.version=1
eligible.leader.replicas.version=1
share.version=0
Exception=7
"""
    assert parse(told) == {
        "metadata.version": 30,
        "kraft.version": 1,
        "eligible.leader.replicas.version": 1,
        "share.version": 0,
    }
