"""Many processes fight for one lease while some are killed and some sleep past its end: do two ever write at once?

Workers hold the lease for a few writes, hand over to who is more urgent, and start again. A healer, never disturbed, asks for
the lease now and then with a higher priority. Meanwhile processes are killed with SIGKILL (and replaced), or stopped with
SIGSTOP and continued after the lease's end, mostly the one that holds it. Two kinds of write are checked:

- guarded, as for the journal and state: two lines, `S fence pid` and `E fence pid`, in a file, inside `lease.guard()`;
- checked, as for Kafka: one line after `lease.check()`, with how long the process took from before the check to the write.

`python -m tests.proof lease-fight` runs the full fight; `fight()` is the same with other counts. What is judged is in `verdict`.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from asgard.core.errors import Busy
from asgard.journal import leases
from asgard.journal.leases import LeaseLost, Priority, Timing
from asgard.journal.store.database import Database, open_journal

NAME = leases.cluster_change("fought-over")
TIMING = Timing(ttl_s=1.0, renew_s=0.3, look_s=0.1, poll_s=0.05, call_deadline_s=0.3)
WRITES = 8
"""A worker hands over after so many writes, or before where somebody more urgent waits."""

SLACK_S = 0.5
"""What a machine with more processes than cores adds to a wait by itself."""

SOMETHING = ("grants", "guarded_writes", "checked_writes", "killed", "stopped_holder", "healer_waits")
"""A fight in which one of these never happened proves nothing."""


@dataclass(frozen=True)
class Fight:
    """How many processes, for how long (seconds), and how often one is hit (seconds between, on average).

    It goes on, up to ten times as long, until something of each kind has happened (`SOMETHING`).
    """

    processes: int = 20
    seconds: float = 120.0
    hit_every_s: float = 1.0
    seed: int = 1


def now() -> float:
    """Seconds that all processes of this machine share."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def append(path: Path, line: str) -> None:
    """One write of one line: whole, and in the order of the kernel."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{line}\n".encode())
    finally:
        os.close(fd)


# ---- the processes


def worker(home: Path, seed: int) -> None:
    """Hold the lease for some writes, again and again, until killed."""
    chance = random.Random(seed)
    with open_journal() as journal:
        while True:
            priority = chance.choice([Priority.BALANCE, Priority.FILL, Priority.CHANGE])
            with suppress(Busy):  # not our turn, the lease was lost, or the journal was busy: try again
                with leases.hold(journal, NAME, priority=priority, doing="fight", wait_s=5, timing=TIMING) as lease:
                    append(home / "grants", f"{lease.fence} {os.getpid()} {priority}")
                    for _ in range(WRITES):
                        if lease.wanted_by:
                            append(home / "handed-over", f"{lease.fence} {os.getpid()}")
                            break
                        _checked_write(home, lease)
                        _guarded_write(home, lease)
                        time.sleep(chance.uniform(0, 0.02))
                time.sleep(chance.uniform(0, 0.05))


def _checked_write(home: Path, lease: leases.Lease) -> None:
    began = now()
    try:
        lease.check(TIMING.call_deadline_s)
    except LeaseLost:
        append(home / "noticed", f"check {lease.fence} {os.getpid()}")
        raise
    append(home / "checked", f"{lease.fence} {os.getpid()} {now() - began:.6f}")


def _guarded_write(home: Path, lease: leases.Lease) -> None:
    try:
        with lease.guard():
            append(home / "guarded", f"S {lease.fence} {os.getpid()}")
            time.sleep(0.001)
            append(home / "guarded", f"E {lease.fence} {os.getpid()}")
    except LeaseLost:
        append(home / "noticed", f"guard {lease.fence} {os.getpid()}")
        raise


class Probe:
    """How long a write to the journal takes at worst: a process that sleeps inside its transaction blocks everybody's."""

    def __init__(self, journal: Database) -> None:
        self._ended_worst_s = 0.0
        self._began: float | None = None  # of a write that has not ended yet
        self._journal = journal
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._done.wait(0.1):
            began = self._began = now()
            with suppress(Busy), self._journal.write():
                pass
            self._ended_worst_s = max(self._ended_worst_s, now() - began)
            self._began = None

    @property
    def worst_s(self) -> float:
        """The longest so far, one that still waits included."""
        began = self._began
        return max(self._ended_worst_s, now() - began if began is not None else 0.0)

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def healer(home: Path, seed: int) -> None:
    """Ask for the lease with the highest priority, note how long it took and who got it in between."""
    chance = random.Random(seed)
    with open_journal() as journal:
        while True:
            time.sleep(chance.uniform(0.3, 1.0))
            with Probe(journal) as probe, suppress(Busy):
                _heal(home, journal, probe)


def _heal(home: Path, journal: Database, probe: Probe) -> None:
    fences: list[int] = []
    asked = now()
    wanted = {"priority": Priority.HEAL, "doing": "heal", "wait_s": 60, "timing": TIMING}
    with leases.hold(journal, NAME, **wanted, on_wait=lambda _: fences.append(_fence(journal))) as lease:
        took = now() - asked
        append(home / "grants", f"{lease.fence} {os.getpid()} {Priority.HEAL}")
        if fences:
            append(home / "healer", f"{took:.6f} {lease.fence - fences[0] - 1} {probe.worst_s:.6f}")
        _checked_write(home, lease)
        _guarded_write(home, lease)


def _fence(journal: Database) -> int:
    return next((state.fence for state in leases.listed(journal) if state.name == NAME), 0)


# ---- the fight


def _spawn(role: str, home: Path, seed: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "ASGARD_HOME": str(home)}
    environment.pop("ASGARD_JOURNAL", None)
    command = [sys.executable, __file__, "--role", role, "--home", str(home), "--seed", str(seed)]
    return subprocess.Popen(command, env=environment, stderr=(home / "stderr").open("ab"))


def fight(wanted: Fight, home: Path) -> dict[str, object]:
    """Run the fight in `home` and give its figures; what they must be is in `verdict`."""
    chance = random.Random(wanted.seed)
    journal = open_journal(f"sqlite:///{home / 'journal.db'}")
    workers = [_spawn("worker", home, wanted.seed * 1000 + n) for n in range(wanted.processes)]
    the_healer = _spawn("healer", home, wanted.seed)
    stopped: dict[int, float] = {}  # pid to the time at which it goes on
    rested: dict[int, float] = {}  # pid to the time from which it may be hit again
    killed: set[int] = set()
    hits = {"killed": 0, "killed_holder": 0, "stopped": 0, "stopped_holder": 0}
    died: list[int] = []
    past_s = TIMING.ttl_s + TIMING.call_deadline_s
    try:
        while _fence(journal) < wanted.processes // 2:  # they are up and fighting
            time.sleep(0.05)
        end = next_hit = now() + TIMING.ttl_s
        end += wanted.seconds
        give_up = end + 9 * wanted.seconds
        while now() < end or stopped:
            if now() < give_up and now() + 1 > end and not _something_of_each(home, hits):
                end = now() + 1
            time.sleep(0.02)
            for pid in [pid for pid, until in stopped.items() if now() >= until]:
                os.kill(pid, signal.SIGCONT)
                del stopped[pid]
            for n, process in enumerate(workers):
                if process.poll() is not None:
                    if process.pid not in killed:
                        died.append(process.pid)
                    workers[n] = _spawn("worker", home, chance.randrange(1 << 30))
            if now() >= end or now() < next_hit:
                continue
            next_hit = now() + chance.expovariate(1 / wanted.hit_every_s)
            holder = next((s.holder.who.pid for s in leases.listed(journal) if s.holder), 0)
            rested_ones = [p.pid for p in workers if p.pid not in stopped and rested.get(p.pid, 0) <= now()]
            if not rested_ones:
                continue
            victim = holder if holder in rested_ones and chance.random() < 0.8 else chance.choice(rested_ones)
            kind = "killed" if chance.random() < 0.25 else "stopped"
            hits[kind] += 1
            hits[f"{kind}_holder"] += victim == holder
            if kind == "killed":
                killed.add(victim)
                os.kill(victim, signal.SIGKILL)
            else:
                os.kill(victim, signal.SIGSTOP)
                stopped[victim] = now() + past_s * chance.uniform(0.8, 2.5)
                # One that was just continued is left alone until it has noticed: each hit is one case.
                rested[victim] = stopped[victim] + past_s
        time.sleep(TIMING.ttl_s)  # those that were continued last get to notice
    finally:
        for process in [*workers, the_healer]:
            process.kill()
            process.wait()
        journal.close()
    return {
        **asdict(wanted),
        "timing": asdict(TIMING),
        **hits,
        "died_by_themselves": len(died),
        **_figures(home, killed),
    }


def _something_of_each(home: Path, hits: dict[str, int]) -> bool:
    return hits["killed"] > 0 and hits["stopped_holder"] > 0 and bool(_calm_waits(_lines(home, "healer")))


def _calm_waits(lines: list[list[str]]) -> list[tuple[float, int]]:
    """How long the healer waited and how many others came before it, except where a sleeper blocked the journal."""
    return sorted((float(took), int(between)) for took, between, write in lines if float(write) <= TIMING.renew_s)


def _lines(home: Path, name: str) -> list[list[str]]:
    path = home / name
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def _figures(home: Path, killed: set[int]) -> dict[str, object]:
    grants = [int(fence) for fence, *_ in _lines(home, "grants")]
    checked = [(int(fence), int(pid), float(took)) for fence, pid, took in _lines(home, "checked")]
    late, highest = [], 0
    for fence, _, took in checked:
        if fence < highest:
            late.append(took)
        highest = max(highest, fence)
    overlaps, lower, written, open_by, highest = 0, 0, 0, None, 0
    for mark, fence_text, pid_text in _lines(home, "guarded"):
        fence, pid = int(fence_text), int(pid_text)
        if mark == "S":
            overlaps += open_by is not None and open_by not in killed
            lower += fence < highest
            highest, open_by, written = max(highest, fence), pid, written + 1
        else:
            overlaps += open_by != pid
            open_by = None
    healer = _lines(home, "healer")
    waits = _calm_waits(healer)
    noticed = [how for how, *_ in _lines(home, "noticed")]
    return {
        "grants": len(grants),
        "fences_given_twice": len(grants) - len(set(grants)),
        "handed_over_to_a_higher_priority": len(_lines(home, "handed-over")),
        "guarded_writes": written,
        "guarded_writes_that_overlap": overlaps,
        "guarded_writes_with_a_lower_fence": lower,
        "checked_writes": len(checked),
        "checked_writes_after_another_holder": sum(took <= TIMING.call_deadline_s for took in late),
        "checked_writes_stopped_between_check_and_write": sum(took > TIMING.call_deadline_s for took in late),
        "lost_lease_noticed_by_check": noticed.count("check"),
        "lost_lease_noticed_by_guard": noticed.count("guard"),
        "healer_waits_while_a_sleeper_blocked_the_journal": len(healer) - len(waits),
        "healer_waits": len(waits),
        "healer_overtaken_by_lower": sum(between > 0 for _, between in waits),
        "healer_wait_s_median": waits[len(waits) // 2][0] if waits else None,
        "healer_wait_s_max": waits[-1][0] if waits else None,
        "healer_promise_s": _promise_s(),
        "healer_waits_over_promise": sum(took > _promise_s() for took, _ in waits),
    }


def _promise_s() -> float:
    """How long the highest priority waits at most: a holder that sleeps loses the lease after its end and one call deadline.

    A holder that is awake hands over after its look and one write. Waits during which a sleeper blocked the journal itself
    (stopped inside its transaction) are counted apart.
    """
    return TIMING.ttl_s + TIMING.call_deadline_s + TIMING.look_s + TIMING.poll_s + SLACK_S


def verdict(figures: dict[str, object]) -> list[str]:
    """What went wrong, in sentences; empty where nothing did."""
    zeros = [
        "fences_given_twice",
        "guarded_writes_that_overlap",
        "guarded_writes_with_a_lower_fence",
        "checked_writes_after_another_holder",
        "healer_overtaken_by_lower",
        "died_by_themselves",
    ]
    wrong = [f"{name} is {figures[name]}, must be 0" for name in zeros if figures[name] != 0]
    return wrong + [f"{name} is 0: the fight tried nothing" for name in SOMETHING if figures[name] == 0]


def prove() -> tuple[dict[str, object], list[str]]:
    """The full fight: its figures and what went wrong."""
    with tempfile.TemporaryDirectory(prefix="asgard-lease-fight-") as home:
        figures = fight(Fight(), Path(home))
        stderr = (Path(home) / "stderr").read_text()
    wrong = verdict(figures)
    if figures["healer_waits_over_promise"]:
        wrong.append(f"the healer waited longer than {_promise_s()} s")
    print(stderr[-3000:], file=sys.stderr)
    return figures, wrong


def main() -> None:
    """One of the processes of a fight."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", choices=["worker", "healer"], required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    {"worker": worker, "healer": healer}[given.role](given.home, given.seed)


if __name__ == "__main__":
    main()
