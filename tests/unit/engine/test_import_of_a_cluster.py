"""`odin import` of a cluster that has more than a stack file can declare: the rest stays where it is, now and later."""

from __future__ import annotations

from pathlib import Path

import pytest

from asgard.kafka.model import NewTopic, QuotaEntity
from asgard.odin.lifecycle import adopt, apply
from asgard.odin.lifecycle.options import OdinOptions
from asgard.odin.spec.model import StackSpec
from tests.harness.memory_cluster import NO_LEFTOVERS, MemoryCluster

API = QuotaEntity(user="api")
NEWER = {"a.config.of.a.newer.kafka": "1"}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryCluster:
    made = MemoryCluster()
    made.install(monkeypatch, tmp_path / "home")
    made.create_topics([NewTopic("a", 1, 3, {"retention.ms": "3600000"})])
    return made


def imported(tmp_path: Path) -> StackSpec:
    spec = adopt.write_stack_file("orders", tmp_path / "asgard.yaml", (), None, "broker:9092", None)
    assert adopt.adopt(spec, NO_LEFTOVERS).ok
    return spec


def planned(spec: StackSpec) -> dict[str, int]:
    outcome = apply.preview(spec, OdinOptions(), NO_LEFTOVERS)
    assert outcome.seen is not None and not outcome.seen.drifts
    return {op: number for op, number in outcome.result.counts.items() if op != "same"}


def test_a_cluster_wide_config_beside_one_that_cant_be_declared(tmp_path: Path, cluster: MemoryCluster) -> None:
    cluster.dynamic = {"log.retention.ms": "86400000", "min.insync.replicas": "2"}
    spec = imported(tmp_path)
    assert spec.kafka.dynamic_config == {"log.retention.ms": "86400000"} and planned(spec) == {}


def test_a_config_of_a_topic_that_the_table_does_not_have(tmp_path: Path, cluster: MemoryCluster) -> None:
    cluster.config["a"] |= NEWER
    spec = imported(tmp_path)
    assert spec.topics[0].config == {"retention.ms": "3600000"} and planned(spec) == {}
    cluster.config["a"]["retention.ms"] = "1"
    assert [str(d) for d in apply.drift("orders", spec, NO_LEFTOVERS).drifts] == [
        'topic a: config["retention.ms"] is 1, was 3600000'
    ]
    apply.up(spec, OdinOptions(), lambda planned: None, leftovers=NO_LEFTOVERS)
    assert cluster.config["a"] == {"retention.ms": "3600000", **NEWER}


def test_a_quota_beside_one_that_cant_be_declared(tmp_path: Path, cluster: MemoryCluster) -> None:
    cluster.rates = {API: {"producer_byte_rate": 1000.5, "consumer_byte_rate": 2000.0}}
    spec = imported(tmp_path)
    assert [quota.values for quota in spec.quotas] == [{"consumer_byte_rate": 2000.0}] and planned(spec) == {}
    cluster.rates[API]["request_percentage"] = 50.0
    assert len(apply.drift("orders", spec, NO_LEFTOVERS).drifts) == 1, "this one could be declared"
