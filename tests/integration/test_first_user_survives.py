"""Deleting users must not lock everybody out: what Kafka forgets at a restart, and what a local cluster does about it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from asgard.kafka.admin import check_login, connect
from asgard.kafka.model import ScramCredential
from tests.harness import RealCluster

pytestmark = pytest.mark.kafka


@pytest.mark.long
def test_after_users_were_deleted_a_restarted_broker_knows_the_others(session_home: Path) -> None:
    # A cluster of its own: with a user deleted, one that did forget would lock out every test after this one.
    gone = [f"user-{n}" for n in range(40)]
    with RealCluster(session_home / "first-user", brokers=1) as cluster:
        with connect(cluster.connection) as control:
            users = [ScramCredential(name, "x", iterations=4096) for name in [*gone, "stays"]]
            assert set(control.upsert_users(users).values()) == {None}
            assert set(control.delete_users({name: ["SCRAM-SHA-512"] for name in gone}).values()) == {None}
            until = time.monotonic() + 20
            while len(control.users()) > 2 and time.monotonic() < until:
                time.sleep(0.05)
        cluster.restart(1)
        assert check_login(cluster.connection) is None
        with connect(cluster.connection) as control:
            assert sorted(control.users()) == sorted([cluster.connection.username or "", "stays"])
