"""What a plan says of changes that nobody can take back."""

import pytest

from asgard.odin.engine.steps import Result, Step
from asgard.odin.lifecycle import display

CLUSTER = "urn:pulumi:orders::asgard::asgard:local:Cluster::orders"


def plan(old: str, new: str) -> Result:
    values = {"name": "orders", "brokers": 3}
    step = Step("update", CLUSTER, {**values, "version": old}, {**values, "version": new}, {"version": "update"})
    return Result(steps=[step])


def test_a_higher_release_is_marked_for_people_and_programs() -> None:
    (told,) = display.one_way(plan("4.2.0", "4.3.1"))
    assert told.startswith("the feature levels of orders (metadata.version and others) rise to those of Kafka 4.3.1")
    assert f"  ! {told}" in display.text(plan("4.2.0", "4.3.1"))
    assert display.document(plan("4.2.0", "4.3.1"))["one_way"] == [told]


@pytest.mark.parametrize(
    "plan", [plan("4.3.0", "4.3.1"), Result(steps=[Step("create", CLUSTER, None, {"version": "4.3.1"})])]
)
def test_a_patch_release_or_a_new_cluster_is_not(plan: Result) -> None:
    assert display.one_way(plan) == []
