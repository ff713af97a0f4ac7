"""A reassignment that Kafka's own tools, or others, wrote: read, looked at, held to the limits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asgard.cluster.limits import Limits
from asgard.core.errors import InvalidFile
from asgard.kafka.model import LogDir
from asgard.thor.plan import file as plan_file
from asgard.thor.plan import planner
from asgard.thor.plan.given import WantedReplicas
from tests.unit.thor.test_thor_directories import GB, cluster, part, reported
from tests.unit.thor.test_thor_goals import small


def test_the_files_of_other_tools_are_read(tmp_path: Path) -> None:
    file = tmp_path / "reassign.json"
    file.write_text(
        '{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[2,3],"log_dirs":["any","/d2"]}]}'
    )
    assert plan_file.read_any(file) == (WantedReplicas("t", 0, (2, 3), ("", "/d2")),)
    with pytest.raises(InvalidFile, match="thor apply"):
        plan_file.read(file)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"topic": "t", "partition": 0, "replicas": []}, "replicas"),
        ({"topic": "t", "partition": 0, "replicas": [1, 1]}, "more than once"),
        ({"topic": "t", "partition": 0, "replicas": [1, 2], "log_dirs": ["/a"]}, "log_dirs"),
        ({"topic": "t", "partition": "0", "replicas": [1]}, "lacks a topic or a partition"),
        ({"topic": "t", "partition": 0, "replicas": ["1"]}, "broker ids"),
    ],
)
def test_what_is_wrong_is_named(row: dict[str, object], says: str, tmp_path: Path) -> None:
    file = tmp_path / "reassign.json"
    file.write_text(json.dumps({"version": 1, "partitions": [row]}))
    with pytest.raises(InvalidFile, match=says):
        plan_file.read_any(file)
    file.write_text('{"version": 2, "partitions": []}')
    with pytest.raises(InvalidFile, match="version is 2"):
        plan_file.read_any(file)


def test_it_becomes_a_plan_with_a_way_back(tmp_path: Path) -> None:
    snapshot = small((1, 2), (3, 4))
    plan = planner.reassign(snapshot, [WantedReplicas("t", 0, (3, 1)), WantedReplicas("t", 1, (3, 4))], source="r.json")
    ((before, after),) = ((c.before, c.after) for c in plan.changes)
    assert (plan.title, before, after, plan.bytes_moved) == ("reassign r.json", (1, 2), (3, 1), 100)
    plan_file.write(plan, tmp_path / "p.json")
    assert plan_file.read(tmp_path / "p.json") == plan


def test_what_the_limits_forbid_is_not_moved_and_named() -> None:
    snapshot = small((1, 2), (3, 4), capacity=200)
    plan = planner.reassign(
        snapshot,
        [WantedReplicas("t", 0, (3, 4)), WantedReplicas("t", 9, (1,)), WantedReplicas("t", 1, (7, 3))],
        Limits(),
    )
    assert plan.changes == () and plan.failed
    assert {u.subjects[0]: u.why for u in plan.unmet} == {
        "t-0": "broker 3 can't take it: over its disk limit of 80%",
        "t-9": "there is no such partition",
        "t-1": "broker 7 is not in the cluster",
    }


def test_two_that_swap_are_ordered_by_the_batches() -> None:
    plan = planner.reassign(small((1,), (2,), size=300), [WantedReplicas("t", 0, (2,)), WantedReplicas("t", 1, (1,))])
    assert {c.name: c.after for c in plan.changes} == {"t-0": (2,), "t-1": (1,)} and not plan.failed


def test_directories_that_it_names_are_used_and_judged() -> None:
    named = planner.reassign(
        reported(), [WantedReplicas("t", 0, (3,), ("/d2",)), WantedReplicas("t", 1, (3,), ("/d2",))]
    )
    assert named.changes[0].log_dirs == ("/d2",)
    assert [(c.partition, c.target, c.batch) for c in named.dir_changes] == [(1, "/d2", 2)]
    full = planner.reassign(reported(), [WantedReplicas("t", 0, (3,), ("/d1",))])
    assert full.changes == () and "the log directory /d1 of broker 3 has no room" in full.unmet[0].why
    other = planner.reassign(reported(), [WantedReplicas("t", 0, (3,), ("/d9",))])
    assert "has no log directory /d9" in other.unmet[0].why
    dirs = {1: [LogDir("/d1", 500 * GB, GB)], 3: [LogDir(d, 100 * GB, 0) for d in ("/d1", "/d2")]}
    free = planner.reassign(cluster(dirs, part(0, 1, "", GB)), [WantedReplicas("t", 0, (3,))])
    assert free.changes[0].log_dirs == ("/d1",), "the planner names one where the file does not"
