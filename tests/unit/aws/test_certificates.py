"""Certificates of nodes on AWS: kept while they are good, due with a third of their life left, renewed under the same CA."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from asgard.compose import doctor
from asgard.core import paths
from asgard.kafka.ports import ControlPlane
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.state import State, StateStore
from asgard.odin.lifecycle import certificates
from asgard.odin.provider import allocation
from asgard.odin.resources.kinds import ALLOCATION
from asgard.odin.resources.observe import Observed, difference, observe

HOSTS = {str(i): f"node-{i}.orders.kafka.internal" for i in (1, 2, 3)}
WANTED = {"name": "orders", "hosts": HOSTS, "controllers": ["1", "2", "3"], "users": []}


def no_cluster() -> ControlPlane:
    raise AssertionError("the identity of a cluster is asked from nobody")


def seen(outputs: dict[str, object], at: datetime) -> dict[str, object]:
    now = at.isoformat(timespec="seconds")
    return cast(dict[str, object], observe(ALLOCATION, outputs, Observed(no_cluster, now=lambda: now)))


def test_a_certificate_is_due_when_a_third_of_its_life_is_left_and_that_is_a_change() -> None:
    made = allocation.allocate(WANTED, {})
    begin, due, end = datetime.now(UTC), *(datetime.fromisoformat(made[k]) for k in ("renewFrom", "expires"))
    assert timedelta(days=824) < end - begin <= timedelta(days=825)
    assert timedelta(days=274) < end - due < timedelta(days=276)
    assert seen(made, due - timedelta(days=1)) == made
    later = seen(made, due + timedelta(days=1))
    assert later["certificate"] == "due"
    assert difference(ALLOCATION, made, later) == {"certificate": ("valid", "due")}
    assert difference(ALLOCATION, later, WANTED) == {"certificate": ("due", "valid")}
    assert difference(ALLOCATION, made, WANTED) == {}


def test_what_is_due_is_made_anew_under_the_same_ca_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        allocation, "CERTIFICATE_DAYS", 0.001
    )  # certificates are backdated by five minutes: this one is due
    short = allocation.allocate({**WANTED, "hosts": {"1": HOSTS["1"]}, "controllers": ["1"]}, {})
    monkeypatch.undo()
    renewed = allocation.allocate(WANTED, short)
    assert renewed["certificates"]["1"] != short["certificates"]["1"]
    for kept in ("clusterId", "adminPassword", "controllerPassword", "caKey", "caCertificate"):
        assert renewed[kept] == short[kept], kept
    assert renewed["renewFrom"] > short["renewFrom"] and renewed["certificate"] == "valid"
    again = allocation.allocate(WANTED, renewed)
    assert again["certificates"] == renewed["certificates"]


def test_a_stack_without_nodes_of_its_own_has_nothing_to_renew() -> None:
    made = allocation.allocate({"name": "orders", "hosts": {}, "controllers": [], "users": ["a"]}, {})
    assert seen(made, datetime(2099, 1, 1, tzinfo=UTC)) == made


def test_check_and_doctor_say_when_certificates_are_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    outputs = {"hosts": HOSTS, "renewFrom": "2028-06-01T00:00:00+00:00", "expires": "2029-03-02T00:00:00+00:00"}
    for stack, kept in (("orders", outputs), ("msk", {**outputs, "hosts": {}})):
        ref = StackRef("asgard", stack)
        urn = ref.child(ref.urn, ALLOCATION, stack)
        state = State({urn: {"urn": urn, "type": ALLOCATION, "custom": True, "id": stack, "outputs": kept}})
        StateStore(paths.stack_dir(stack)).save(state)
    (held,) = certificates.everywhere()
    assert held == certificates.of_stack("orders") and certificates.of_stack("msk") is None
    said = [held.sentence(f"{day}T00:00:00+00:00") for day in ("2027-01-01", "2028-07-01", "2029-04-01")]
    assert said == [
        "certificates of orders's nodes are good until 2029-03-02",
        "certificates of orders's nodes expire from 2029-03-02: `asgard odin up` renews them, one node at a time",
        "a certificate of orders's nodes expired on 2029-03-02: run `asgard odin up`",
    ]
    monkeypatch.setattr("asgard.odin.resources.local.now", lambda: "2028-07-01T00:00:00+00:00")
    (check,) = doctor.check_certificates()
    assert not check.ok and check.what == said[1]
