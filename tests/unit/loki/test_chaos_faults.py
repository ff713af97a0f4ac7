"""Faults put in and taken out: the undo log before the effect, events, limits, and what is left alone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from asgard.compose import settle
from asgard.core.errors import Failed, Refused, Unreachable, WrongUsage
from asgard.journal import events, operations
from asgard.journal.store.database import open_journal
from asgard.kafka.model import Offsets
from asgard.kafka.ports import ControlPlane
from asgard.loki.chaos import (
    BlastRadius,
    ChaosSite,
    breaking,
    inject,
    open_faults,
    probes,
    put_all_back,
    put_back,
    session,
)
from asgard.loki.chaos.kind import Reach
from tests.unit.loki import chaos_site
from tests.unit.loki.chaos_site import machines


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ChaosSite]:
    with chaos_site.site(tmp_path) as made:
        yield made


def told(site: ChaosSite) -> list[tuple[str, str]]:
    return [(e.kind, e.subject) for e in events.read(site.journal, events.EventFilter(kind="loki.fault.*"))]


@pytest.mark.parametrize(
    ("action", "deed", "back"),
    [
        ("kill_broker", "kill 2", "start 2"),
        ("stop_broker", "stop 2", "start 2"),
        ("pause_broker", "pause 2", "resume 2"),
    ],
)
def test_a_broker_is_taken_away_and_brought_back(action: str, deed: str, back: str, site: ChaosSite) -> None:
    fault = inject(site, action, broker=2)
    assert (fault.subject, fault.brokers) == ("broker 2", (2,))
    put_back(site, fault)
    assert machines(site).done == [deed, back]
    assert told(site) == [("loki.fault.injected", "broker 2"), ("loki.fault.ended", "broker 2")]
    assert not operations.unfinished(site.journal)


def test_the_way_back_is_on_disk_before_anything_is_broken(site: ChaosSite) -> None:
    seen = []

    def look(node: int) -> None:
        seen.extend(u.operation.undo["nodes"] for u in operations.unfinished(site.journal))

    machines(site).kill = look  # type: ignore[method-assign]
    inject(site, "kill_broker", broker=3)
    assert seen == [[3]]


def test_put_back_twice_is_put_back_once(site: ChaosSite) -> None:
    fault = inject(site, "kill_broker", broker=2)
    put_back(site, fault)
    assert put_back(site, fault) == "it was already put back"
    assert machines(site).done == ["kill 2", "start 2"]


def test_a_broker_that_was_healed_meanwhile_is_left_alone(site: ChaosSite) -> None:
    fault = inject(site, "kill_broker", broker=2)
    machines(site).start(2)
    assert put_back(site, fault) == "broker 2 runs already"
    assert machines(site).done == ["kill 2", "start 2"]


def test_a_broker_that_is_still_on_its_way_down_is_restarted(site: ChaosSite) -> None:
    machines(site).stop = lambda node: None  # type: ignore[method-assign]  # it has heard, and goes on for a while
    fault = inject(site, "stop_broker", broker=2)
    assert put_back(site, fault) == "broker 2 runs again"
    assert machines(site).done == ["restart 2"]


def test_a_broker_that_nothing_was_done_to_is_left_alone(site: ChaosSite) -> None:
    machines(site).kill = lambda node: None  # type: ignore[method-assign]
    fault = inject(site, "kill_broker", broker=2)
    assert put_back(site, fault) == "broker 2 runs already"
    assert machines(site).done == []


def test_a_broker_that_is_no_more_is_no_obstacle(site: ChaosSite) -> None:
    fault = inject(site, "kill_broker", broker=2)
    del machines(site).states[2]
    assert put_back(site, fault) == "broker 2 is gone already"


def test_a_fault_that_fails_is_put_back_at_once(site: ChaosSite) -> None:
    machines(site).refuses["stop"] = Failed("it does not stop")
    with pytest.raises(Failed, match="does not stop"):
        inject(site, "stop_broker", broker=2)
    assert not operations.unfinished(site.journal)
    assert told(site)[-1] == ("loki.fault.ended", "broker 2")


def test_what_can_t_be_put_back_stays_in_the_undo_log_and_does_not_keep_the_others(tmp_path: Path) -> None:
    with chaos_site.site(tmp_path, BlastRadius(brokers=2, quorum=False)) as site:
        inject(site, "pause_broker", broker=3)
        inject(site, "kill_broker", broker=2)
        machines(site).refuses["start"] = Failed("no memory left")
        with pytest.raises(Failed, match="no memory left"):
            put_all_back(site)
        assert machines(site).states == {1: "running", 2: "stopped", 3: "running"}
        assert [f.subject for f in open_faults(site)] == ["broker 2"]


def test_a_restart_is_over_when_it_returns(site: ChaosSite) -> None:
    inject(site, "restart_broker", broker=2)
    assert machines(site).done == ["restart 2"]
    assert not open_faults(site)


def test_the_controller_and_a_whole_rack(site: ChaosSite) -> None:
    assert inject(site, "kill_controller").brokers == (1,)
    put_all_back(site)
    fault = inject(site, "lose_rack", rack="r3", how="pause")
    assert (fault.subject, fault.brokers, str(fault)) == ("rack r3", (3,), "rack r3 paused (broker 3)")
    put_all_back(site)
    assert machines(site).done == ["kill 1", "start 1", "pause 3", "resume 3"]


def test_the_same_seed_picks_the_same_brokers(tmp_path: Path) -> None:
    picked = []
    for turn in ("a", "b"):
        (tmp_path / turn).mkdir()
        with chaos_site.site(tmp_path / turn) as site:
            for _ in range(6):
                fault = inject(site, "kill_broker")
                picked.append(fault.brokers)
                put_back(site, fault)
    assert picked[:6] == picked[6:]
    assert len(set(picked)) > 1


@pytest.mark.parametrize(
    ("action", "arguments", "said"),
    [
        ("kill_brokers", {}, "did you mean kill_broker"),
        ("kill_broker", {"node": 2}, "unexpected keyword argument 'node'"),
        ("kill_broker", {"broker": 9}, "there is no broker 9"),
        ("lose_rack", {"how": "burn"}, "how is 'burn'"),
        ("lose_rack", {"rack": "r9"}, "no node is running in rack r9"),
        ("squeeze_quota", {}, "no user or client id was named"),
        ("squeeze_quota", {"user": "x"}, "no rate"),
        ("chase_leader", {"times": 0}, "times is 0"),
        ("kill_process", {"pid_file": "/nowhere", "command": "x"}, "has no pid"),
    ],
)
def test_wrong_arguments_are_said(action: str, arguments: dict[str, object], said: str, site: ChaosSite) -> None:
    with pytest.raises(WrongUsage, match=said):
        inject(site, action, **arguments)
    assert machines(site).done == []


def test_beyond_the_limits_nothing_is_done(site: ChaosSite) -> None:
    inject(site, "kill_broker", broker=2)
    with pytest.raises(Refused, match="broker 2, 3 would be down at once"):
        inject(site, "kill_broker", broker=3)
    assert machines(site).done == ["kill 2"]
    assert [f.subject for f in open_faults(site)] == ["broker 2"]


def test_brokers_that_are_not_asgard_s_are_not_touched(site: ChaosSite) -> None:
    with pytest.raises(Refused, match="Asgard can't stop the brokers of"):
        inject(chaos_site.without_machines(site), "kill_broker")


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A process that is no broker, with its pid file."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)  # ledger"])
    pid_file = tmp_path / "ledger.pid"
    pid_file.write_text(f"{process.pid}\n")
    yield process, pid_file
    process.kill()
    process.wait()


def test_a_process_is_paused_and_goes_on(tmp_path: Path, sleeper: tuple[subprocess.Popen[bytes], Path]) -> None:
    import psutil

    process, pid_file = sleeper
    with chaos_site.site(tmp_path, BlastRadius(processes=1)) as site:
        fault = inject(site, "kill_process", pid_file=str(pid_file), command="ledger", how="pause")
        os.waitpid(process.pid, os.WUNTRACED)
        assert psutil.Process(process.pid).status() == psutil.STATUS_STOPPED
        assert put_back(site, fault) == f"process {process.pid} runs again"
        os.waitpid(process.pid, os.WCONTINUED)
        assert psutil.Process(process.pid).status() != psutil.STATUS_STOPPED


def test_a_process_is_killed_where_the_limit_allows_one(
    tmp_path: Path, sleeper: tuple[subprocess.Popen[bytes], Path]
) -> None:
    process, pid_file = sleeper
    with chaos_site.site(tmp_path) as site:
        with pytest.raises(Refused, match="at most 0 are allowed"):
            inject(site, "kill_process", pid_file=str(pid_file), command="ledger")
        with pytest.raises(Refused, match="is not 'other'"):
            inject(site, "kill_process", pid_file=str(pid_file), command="other")
        allowed = BlastRadius(processes=1)
    (tmp_path / "again").mkdir()
    with chaos_site.site(tmp_path / "again", allowed) as site:
        inject(site, "kill_process", pid_file=str(pid_file), command="ledger")
        assert process.wait() == -signal.SIGKILL
        assert not open_faults(site)


def test_the_process_of_another_user_is_left_alone(
    tmp_path: Path, sleeper: tuple[subprocess.Popen[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, pid_file = sleeper
    monkeypatch.setattr(os, "kill", denied)
    with chaos_site.site(tmp_path, BlastRadius(processes=1)) as site:
        with pytest.raises(Refused, match=f"process {process.pid} belongs to another user"):
            inject(site, "kill_process", pid_file=str(pid_file), command="ledger", how="pause")
        assert not open_faults(site)


def test_a_process_that_can_t_be_resumed_does_not_hold_up_the_others(
    tmp_path: Path, sleeper: tuple[subprocess.Popen[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, pid_file = sleeper
    with chaos_site.site(tmp_path, BlastRadius(processes=1)) as site:
        inject(site, "kill_broker", broker=2)
        inject(site, "kill_process", pid_file=str(pid_file), command="ledger", how="pause")
        with monkeypatch.context() as patched:
            patched.setattr(os, "kill", denied)
            with pytest.raises(Failed, match=f"process {process.pid} belongs to another user"):
                put_all_back(site)
        assert machines(site).done == ["kill 2", "start 2"]
        assert put_all_back(site) == [f"process {process.pid} runs again"]


def denied(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_a_process_that_ended_meanwhile_is_gone(
    tmp_path: Path, sleeper: tuple[subprocess.Popen[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, pid_file = sleeper

    def ended(*_: object) -> None:
        raise ProcessLookupError

    with chaos_site.site(tmp_path, BlastRadius(processes=1)) as site:
        fault = inject(site, "kill_process", pid_file=str(pid_file), command="ledger", how="pause")
        with monkeypatch.context() as patched:
            patched.setattr(os, "kill", ended)
            assert put_back(site, fault) == f"process {process.pid} is gone"


def test_what_the_system_does_not_allow_leaves_the_operation_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "data"
    (tmp_path / "data.failed").mkdir()
    undo = {"action": "fail_log_dir", "text": "it failed", "brokers": [2], "broker": 2}
    undo |= {"path": str(directory), "aside": f"{directory}.failed"}
    with chaos_site.site(tmp_path) as site:
        left = operations.begin(site.journal, breaking.OPERATION, "log directory", undo, site.lease)
    monkeypatch.setattr(Path, "rename", denied)
    with open_journal(f"sqlite:///{tmp_path / 'journal.db'}") as journal:
        (settled,) = operations.settle(journal, settle.handlers(), under="cluster/c/")
    assert (settled.operation.id, settled.done) == (left.id, False)
    assert "Operation not permitted" in settled.outcome


def test_what_was_broken_on_another_machine_stays_open(
    tmp_path: Path, sleeper: tuple[subprocess.Popen[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, pid_file = sleeper
    with chaos_site.site(tmp_path, BlastRadius(processes=1)) as site:
        fault = inject(site, "kill_process", pid_file=str(pid_file), command="ledger", how="pause")
        with monkeypatch.context() as patched:
            patched.setattr(socket, "gethostname", lambda: "elsewhere")
            with pytest.raises(Refused, match=f"process {process.pid} .* paused: that was on "):
                put_back(site, fault)
        assert open_faults(site)
        assert put_back(site, fault) == f"process {process.pid} runs again"


def test_a_log_directory_comes_back_on_its_own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    with chaos_site.site(tmp_path) as site:
        there = {2: (SimpleNamespace(path=str(directory), offline=False),)}
        monkeypatch.setattr(site.control, "log_dirs", lambda brokers: there, raising=False)
        fault = inject(site, "fail_log_dir", broker=2)
        assert not directory.is_dir()
        with monkeypatch.context() as patched:
            patched.setattr(socket, "gethostname", lambda: "elsewhere")
            with pytest.raises(Refused, match="that was on"):
                put_back(site, fault)
        assert put_back(site, fault) == f"{directory} is back, broker 2 restarted"
        assert directory.is_dir()


def test_a_log_directory_that_is_not_here_is_not_back(tmp_path: Path) -> None:
    path = tmp_path / "data"
    of_an_older_version = {"action": "fail_log_dir", "broker": 2, "path": str(path), "aside": f"{path}.failed"}
    without_nodes = Reach(lambda: pytest.fail("asks no cluster"), None)
    with pytest.raises(Refused, match="is not on this machine"):
        breaking.restore(without_nodes, of_an_older_version)
    path.mkdir()
    assert breaking.restore(without_nodes, of_an_older_version) == f"{path} was already back"


class Coordinator:
    """A group's committed offsets, which its coordinator has; they are left out while it is down, as `ControlPlane` does it."""

    def __init__(self) -> None:
        self.committed = {("orders", 0): 20}
        self.down = False

    def group_members(self, group: str) -> dict[str, str]:
        if self.down:
            raise Unreachable("broker 2 does not answer")
        return {}

    def group_offsets(self, names: Collection[str] | None = None) -> dict[str, dict[tuple[str, int], int]]:
        assert names == ["ledger"], "no other group is of interest"
        return {} if self.down else {"ledger": dict(self.committed)}

    def offsets(self, partitions: Collection[tuple[str, int]]) -> dict[tuple[str, int], Offsets]:
        return {key: Offsets(0, 30) for key in partitions}

    def remove_members(self, group: str) -> int:
        return 0

    def commit_offsets(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        self.committed |= offsets


def test_a_rewound_group_is_not_put_back_while_its_coordinator_is_down(site: ChaosSite) -> None:
    coordinator = Coordinator()
    of = replace(site, control=cast(ControlPlane, coordinator))
    inject(of, "rewind_group", group="ledger", records=5)
    assert coordinator.committed == {("orders", 0): 15}
    coordinator.down = True
    with pytest.raises(Failed, match="broker 2 does not answer"):
        put_all_back(of)
    assert [f.subject for f in open_faults(of)] == ["group ledger"]
    coordinator.down = False
    assert put_all_back(of) == ["group ledger is back at its former offsets in 1 partitions"]
    assert coordinator.committed == {("orders", 0): 20}


def test_a_group_without_its_coordinator_is_not_without_lag(site: ChaosSite) -> None:
    coordinator = Coordinator()
    with session.using(replace(site, control=cast(ControlPlane, coordinator))):
        assert probes.group_lag("ledger") == 10
        coordinator.down = True
        with pytest.raises(Unreachable):
            probes.group_lag("ledger")
        with pytest.raises(Unreachable):
            inject(session.site(), "rewind_group", group="ledger")


def test_restoring_a_broker_asks_no_cluster(site: ChaosSite) -> None:
    fault = inject(site, "kill_broker", broker=2)

    def never() -> object:
        raise AssertionError("a dead cluster would not answer")

    breaking.restore(Reach(never, machines(site)), fault.operation.undo)  # type: ignore[arg-type]
    assert machines(site).states[2] == "running"


def test_without_a_name_the_leader_of_a_replicated_topic_is_chased(site: ChaosSite) -> None:
    assert breaking.planned(site, "chase_leader", {"times": 1}).subject == "leader of orders-0"
