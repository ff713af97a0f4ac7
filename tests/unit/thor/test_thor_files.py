"""Snapshots, limits and plans as files, and `asgard thor plan` on them."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asgard.cli import main as cli
from asgard.cluster import limits, snapshot_file
from asgard.cluster.limits import BrokerLimit, Limits
from asgard.core.errors import InvalidFile, WrongUsage
from asgard.kafka.model import Partition
from asgard.thor.plan import file as plan_file
from asgard.thor.plan import kinds
from tests.benchmarks.thor_clusters import generate, without
from tests.unit.thor.rules import applied, placement


@pytest.mark.parametrize("name", ["cluster.json", "cluster.json.gz"])
def test_a_snapshot_read_back_is_the_snapshot(name: str, tmp_path: Path) -> None:
    snapshot = without(generate(10, 50), 3)
    snapshot_file.write(snapshot, tmp_path / name)
    assert snapshot_file.read(tmp_path / name) == snapshot
    assert (tmp_path / name).read_bytes()[:2] == (b"\x1f\x8b" if name.endswith(".gz") else b'{"')


def write(path: Path, **changed: object) -> Path:
    """A snapshot of one partition by hand."""
    document: dict[str, object] = {
        "format": "asgard.cluster/v1",
        "taken_at": "2026-11-24T09:00:00Z",
        "cluster_id": "c",
        "controller": 1,
        "brokers": [{"id": 1, "surprise": True, "log_dirs": [{"path": "/d1", "capacity_bytes": None}]}],
        "partitions": [{"topic": "t", "partition": 0, "replicas": [1, 2], "isr": [1], "leader": 1}],
        "later": {},
    }
    path.write_text(json.dumps({k: v for k, v in (document | changed).items() if v is not None}))
    return path


def test_unknown_keys_are_ignored_and_what_is_absent_or_null_is_not_measured(tmp_path: Path) -> None:
    partition = {
        "topic": "t",
        "partition": 0,
        "replicas": [1, 2],
        "isr": [1],
        "leader": 1,
        "elr": None,
        "size_bytes": None,
    }
    snapshot = snapshot_file.read(
        write(tmp_path / "s.json", partitions=[partition], quorum={"leader": 1, "voters": []})
    )
    assert snapshot.partitions == (Partition("t", 0, (1, 2), (1,), 1),)
    assert snapshot.partitions[0].size_bytes is None
    assert [(b.id, b.state) for b in snapshot.brokers] == [(1, "up"), (2, "missing")]


def test_an_old_snapshot_is_read(tmp_path: Path) -> None:
    path = Path(__file__).parent / "cluster-v1.json"
    snapshot = snapshot_file.read(path)
    assert (len(snapshot.brokers), len(snapshot.partitions), snapshot.controller) == (3, 2, 1)
    assert snapshot.partitions[0].bytes_in_per_s == 1000.0


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"format": "asgard.cluster/v9"}, "format: has the format 'asgard.cluster/v9'; allowed is"),
        ({"format": None}, "has no key `format`"),
        ({"controller": "one"}, "controller: expected `int`, got `str`"),
        ({"brokers": [{"id": 1}, {"id": 1}]}, "brokers: names a broker twice"),
        (
            {"partitions": [{"topic": "t", "partition": 0, "replicas": [1, 1], "isr": [], "leader": 1}]},
            "partitions[0].replicas: has a broker twice (t-0)",
        ),
        (
            {"partitions": [{"topic": "t", "partition": 0, "replicas": [1], "isr": [], "leader": 1, "size_bytes": -1}]},
            "partitions[0].size_bytes: is below 0",
        ),
    ],
)
def test_a_broken_snapshot_is_refused_with_its_place(changed: dict[str, object], says: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidFile) as caught:
        snapshot_file.read(write(tmp_path / "s.json", **changed))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"nonsense", gzip.compress(b"{}", mtime=0)[:-9], b'{"format": "asgard.cluster/v1"']
)
def test_what_is_no_snapshot_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_bytes(data)
    with pytest.raises(InvalidFile, match=r"s\.json:1:1"):
        snapshot_file.read(path)
    with pytest.raises(WrongUsage, match="can't be read"):
        snapshot_file.read(tmp_path / "nope.json")


LIMITS = """
limits:
  disk: 75%
  tolerance: 5%
  min_gain: 1%
  throttle: 20MB/s
  bytes_in: 100MB/s
  replicas: 4000
  exclude_topics: [__*]
  exclude_brokers: [9]
  moves_per_broker: 5
  batch: 10GB
  windows: ["22:00-06:00", "sat-sun 00:00-24:00"]
  brokers:
    7: {capacity: 2TB, disk: 90%}
"""


def test_limits_stand_in_thor_yaml_or_in_the_stack_file(tmp_path: Path) -> None:
    path = tmp_path / "asgard.yaml"
    path.write_text("stack: orders\ntarget: local\n" + LIMITS)
    assert limits.read(path) == Limits(
        disk=0.75,
        tolerance=0.05,
        min_gain=0.01,
        throttle_bytes_per_s=20e6,
        bytes_in_per_s=100e6,
        replicas=4000,
        exclude_topics=("__*",),
        exclude_brokers=frozenset({9}),
        moves_per_broker=5,
        batch_bytes=10_000_000_000,
        windows=("22:00-06:00", "sat-sun 00:00-24:00"),
        brokers={7: BrokerLimit(disk=0.9, capacity_bytes=2_000_000_000_000)},
    )
    assert limits.read(path).of(7) == BrokerLimit(0.9, 2_000_000_000_000, 100e6, None, 4000, None)
    path.write_text("stack: orders\n")
    assert limits.read(path) == Limits()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("disk: 80", "2:9: limits.disk: is 80; allowed is a percentage"),
        ("disk: 120%", "2:9: limits.disk: is '120%'; allowed is a percentage above 0, up to 100"),
        ("windows: [late]", "2:13: limits.windows[0]: is 'late'; allowed is a time of day"),
        ("brokers: {seven: {}}", "limits.brokers.seven: is not a broker id"),
        ("thottle: 5MB/s", "2:3: limits.thottle: is not a known key; did you mean throttle?"),
        ("moves_per_broker: 0", "limits.moves_per_broker: is 0; allowed is 1 or more"),
    ],
)
def test_wrong_limits_are_named_with_their_place(line: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "thor.yaml"
    path.write_text(f"limits:\n  {line}\n")
    with pytest.raises(InvalidFile) as caught:
        limits.read(path)
    assert says in str(caught.value)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with snapshots of a cluster: whole, and after broker 7 died."""
    monkeypatch.chdir(tmp_path)
    snapshot_file.write(generate(10, 100), tmp_path / "whole.json.gz")
    snapshot_file.write(without(generate(10, 100), 7), tmp_path / "dead.json.gz")
    return tmp_path


def asgard(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    """Run a command: exit code, stdout, stderr."""
    code = cli.main(list(args))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_plan_is_shown_written_and_explained(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = asgard(capsys, "thor", "plan", "heal", "--snapshot", "dead.json.gz", "--out", "heal.json")
    assert (code, "plan written to heal.json" in err) == (0, True)
    assert "(1.00 of the least possible)" in out
    plan = json.loads((cluster / "heal.json").read_text())
    assert plan["version"] == 1
    moved = plan["partitions"][0]
    assert set(moved) == {"topic", "partition", "replicas"}, "what Kafka's own tool reads"
    assert {7} & set(plan["asgard"]["undo"]["partitions"][0]["replicas"])
    name = f"{moved['topic']}-{moved['partition']}"
    code, out, _ = asgard(capsys, "thor", "explain", "heal.json", name, "--snapshot", "dead.json.gz")
    assert code == 0
    assert "why: broker 7 is dead" in out
    assert "already has a replica of it" in out or "stays" in out
    code, _, err = asgard(capsys, "thor", "explain", "heal.json", "nope-0")
    assert (code, "does not change nope-0" in err) == (2, True)


def test_with_json_the_plan_is_the_document(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = asgard(capsys, "thor", "plan", "drain", "3", "--snapshot", "whole.json.gz", "--json")
    assert code == 0
    assert json.loads(out)["asgard"]["kind"] == "drain"


def test_nothing_to_do_is_said(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = asgard(capsys, "thor", "plan", "heal", "--snapshot", "whole.json.gz")
    assert (code, out.strip()) == (0, "heal: nothing to do")


def test_what_was_not_met_fails_the_command_and_says_what_would_help(
    cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cluster / "thor.yaml").write_text("limits: {replicas: 1}\n")
    code, out, err = asgard(capsys, "thor", "plan", "heal", "--snapshot", "dead.json.gz")
    assert (code, "limits from thor.yaml" in err) == (1, True)
    assert "not met: heal: topic-" in out
    assert "what would help: a higher limit" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nope"], "'nope' is not one of 'heal', 'drain'"),
        (["heal", "3"], "heal is for the whole cluster; it takes no '3'"),
        (["drain"], "drain requires brokers"),
        (["drain", "three"], "'three' is not a broker id"),
        (["fill", "77"], "broker 77 is not in the snapshot"),
        (["set-rf"], "set-rf requires topics"),
        (["undo"], "undo takes one plan"),
        (["undo", "nope.json"], "nope.json: can't be read"),
        (["heal", "--bootstrap-server", "127.0.0.1:1"], "--snapshot replaces the cluster"),
        (["heal", "--window", "10s"], "--snapshot replaces the cluster"),
        (["heal", "--throttle", "0"], "allowed is a rate above 0"),
    ],
)
def test_words_that_do_not_fit_a_plan_are_refused(
    words: list[str], says: str, cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = asgard(capsys, "thor", "plan", *words, "--snapshot", "whole.json.gz")
    assert (code, says in err.replace("\n", " ")) == (2, True), err


def test_every_kind_of_plan_has_a_line_and_an_example_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = asgard(capsys, "thor", "plan", "--help")
    for kind in kinds.PlanKind:
        assert re.search(rf"^    +{kind} ", out, re.M), kind
        assert f"$ asgard thor plan {kind}" in out


@pytest.mark.parametrize("kind", ["drain 3", "balance", "leaders", "rack-repair", "set-rf topic-00001=4"])
def test_the_way_back_of_a_plan_that_was_run_is_the_cluster_as_it_was(kind: str, cluster: Path) -> None:
    whole = snapshot_file.read("whole.json.gz")
    name, *what = kind.split()
    plan = kinds.planned(name, what, whole, Limits())
    plan_file.write(plan, "p.json")
    back = kinds.planned("undo", ["p.json"], applied(whole, plan), Limits())
    assert placement(applied(applied(whole, plan), back)) == placement(whole)


def test_undo_takes_a_plan_back(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asgard(capsys, "thor", "plan", "set-rf", "topic-00001=4", "--snapshot", "whole.json.gz", "--out", "p.json")
    code, out, _ = asgard(capsys, "thor", "plan", "undo", "p.json", "--snapshot", "whole.json.gz")
    assert (code, out.strip()) == (0, "undo set-rf topic-00001=4: nothing to do"), "it was never run"


@pytest.mark.parametrize("wrong", ["topic-00001", "=3", "topic-00001=many"])
def test_a_replication_factor_is_written_as_topic_and_number(
    wrong: str, cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = asgard(capsys, "thor", "plan", "set-rf", wrong, "--snapshot", "whole.json.gz")
    assert (code, "TOPIC=N" in err) == (2, True)


def test_before_and_after_are_drawn_without_a_network(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asgard(capsys, "thor", "plan", "heal", "--snapshot", "dead.json.gz", "--html", "p.html")
    page = (cluster / "p.html").read_text()
    assert page.count("<figure") >= 3 and "7 (dead)" in page
    for words in ("Partitions changed", "To copy", "Disk, largest over mean", "before</li>", "after</li>", "Changes"):
        assert words in page, words
    assert "src=" not in page and "http:" not in page and "https:" not in page and len(page.encode()) < 1_500_000


def test_the_planner_imports_nothing_heavy() -> None:
    code = (
        "import sys; import asgard.thor.plan.planner, asgard.cluster.snapshot_file;"
        "print([m for m in sys.modules if m.split('.')[0] in {'numpy','jinja2','pydantic','kafka','confluent_kafka','sqlalchemy'}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_examples_of_the_page_are_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "thor.md").read_text()
    blocks = {kind: page.split(f"```{kind}\n")[1:] for kind in ("yaml", "json")}
    (tmp_path / "thor.yaml").write_text(blocks["yaml"][0].partition("```")[0])
    assert limits.read(tmp_path / "thor.yaml").brokers[7].replicas == 8000
    plan, snapshot = (block.partition("```")[0] for block in blocks["json"])
    assert json.loads(plan)["asgard"]["format"] == plan_file.FORMAT
    (tmp_path / "s.json").write_text(snapshot)
    assert len(snapshot_file.read(tmp_path / "s.json").brokers) == 3
