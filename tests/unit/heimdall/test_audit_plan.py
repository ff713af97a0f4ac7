"""Audit files: what they say, and what is wrong in them with its place."""

from __future__ import annotations

import pytest

from asgard.core.errors import InvalidFile, WrongUsage
from asgard.heimdall.audit import plan
from asgard.heimdall.audit.plan import Tier


def test_a_file_names_tiers_of_topics(tmp_path):
    path = tmp_path / "orders.yaml"
    path.write_text("tiers:\n  - {name: in, topics: [a, b]}\n  - {name: out, topics: [c]}\nwindow: 1m\nlateness: 30s\n")
    found = plan.read(path)
    assert found == plan.AuditPlan("orders", (Tier("in", ("a", "b")), Tier("out", ("c",))), 60, 30.0)
    assert found.topics == {"a": 0, "b": 0, "c": 1}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("tiers: []\n", "tiers"),
        ("tiers: [{name: a, topics: [t]}, {name: a, topics: [u]}]\n", "as an earlier tier's"),
        ("tiers: [{name: a, topics: [t]}, {name: b, topics: [t]}]\n", "a topic belongs to one tier"),
        ("tiers: [{name: a, topics: [t]}]\nwindow: 7m\n", "divide a day"),
        ("tiers: [{name: a, topic: t}]\n", "is not a known key"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, text, wrong):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(InvalidFile, match=wrong) as raised:
        plan.read(path)
    assert str(raised.value).startswith(f"{path}:")


def test_a_topic_is_one_tier():
    with pytest.raises(WrongUsage, match="twice"):
        plan.of_topics(["a", "b", "a"])
