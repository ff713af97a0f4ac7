"""The estimate of a month: worked out by hand for three clusters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asgard.odin.spec.aws import GIB, AwsSettings, NetworkSettings, VolumeSettings
from asgard.odin.targets.aws import cost

BASE = AwsSettings("us-east-1", network=NetworkSettings(vpc_id="vpc-1", subnet_ids=("a", "b", "c")))


def test_three_combined_nodes_in_an_existing_vpc() -> None:
    # 3 x m7g.large at 0.0816 x 730 h, 3 x 100 GiB at 0.08, a key, a zone, 3 secrets at 0.40, 6 alarms at 0.10
    by_hand = 3 * 0.0816 * 730 + 3 * 100 * 0.08 + 1 + 0.5 + 3 * 0.4 + 6 * 0.1
    assert cost.total(cost.ec2(BASE, 3, 3)) == pytest.approx(by_hand)


def test_a_vpc_of_its_own_adds_endpoints_and_fast_volumes_their_surcharge() -> None:
    own = replace(BASE, network=NetworkSettings(), volume=VolumeSettings(GIB * 100, 6000, 250 * 1024**2))
    more = 7 * 3 * 0.01 * 730 + 3 * (3000 * 0.005 + 125 * 0.04)
    assert cost.total(cost.ec2(own, 3, 3)) == pytest.approx(cost.total(cost.ec2(BASE, 3, 3)) + more)


def test_an_instance_type_without_a_price_is_named_and_not_counted_as_zero() -> None:
    lines = cost.ec2(replace(BASE, instance_type="u-24tb1.112xlarge"), 3, 3)
    assert [line.what for line in lines if line.dollars is None] == ["instance u-24tb1.112xlarge"]


def test_msk() -> None:
    by_hand = 3 * 0.204 * 730 + 3 * 100 * 0.10 + 1 + 0.5 + 2 * 0.4 + 4 * 0.1
    assert cost.total(cost.msk(replace(BASE, instance_type="kafka.m7g.large"), 3, 2)) == pytest.approx(by_hand)
