"""Three Asgard hosts, one PostgreSQL, one Kafka: brokers are lost and hosts are killed at random; each loss is healed exactly once.

A host is `asgard thor watch` with a home, a host name and a boot id of its own (UTS and mount namespaces), so no host can tell
by looking whether another's process lives; the brokers are reachable from all three, as machines in a cloud are. They share one
journal on PostgreSQL. What happened to leases is written down by a trigger in the database, and how often a broker was started by
Kafka's own log, both apart from what Asgard says of them.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness import postgres
from tests.harness.watched import ASGARD, HealContext, watched

FAILURES, SEED, HOSTS = 30, 11, ("host-a", "host-b", "host-c")
POLICY = "grace: 5m, restart: {attempts: 2, wait: 90s}, flapping: {times: 1000}"
_TRIGGER = """
CREATE TABLE lease_log (id bigserial PRIMARY KEY, at double precision, name text, fence bigint, host text, boot text, pid bigint, until double precision);
CREATE FUNCTION log_lease() RETURNS trigger AS $$ BEGIN
  INSERT INTO lease_log (at, name, fence, host, boot, pid, until)
  VALUES (extract(epoch FROM clock_timestamp()), NEW.name, NEW.fence, NEW.host, NEW.boot, NEW.pid, NEW.until); RETURN NEW;
END $$ LANGUAGE plpgsql;
CREATE TRIGGER lease_written AFTER INSERT OR UPDATE ON asgard_leases FOR EACH ROW EXECUTE FUNCTION log_lease();
"""


def prove(failures: int = FAILURES, seed: int = SEED) -> tuple[dict[str, Any], list[str]]:
    """The figures and what went wrong."""
    if why := _missing():
        return {"skipped": why}, [f"not run: {why}"]
    source, wrong = random.Random(seed), []
    with (
        tempfile.TemporaryDirectory(prefix="asgard-hosts-") as scratch,
        postgres.running() as server,
        watched(Path(scratch), POLICY, quick_detection=True) as context,
    ):
        journal = Journal(server.database())
        hosts = {name: Host(name, Path(scratch) / name, context, journal.url) for name in HOSTS}
        began = time.monotonic()
        with _up(hosts), context.traffic(seed) as traffic:
            done = [_fail(context, journal, hosts, source, number) for number in range(failures)]
        lost = traffic.lost()
        healings, grants = journal.healings(), journal.grants()
    wrong += [problem for fault in done for problem in fault.wrong]
    killed = {pid: at for host in hosts.values() for pid, at in host.killed.items()}
    wrong += _twice_held(grants, killed) + _incomplete(healings)
    wrong += [f"{lost} acknowledged records are lost"] if lost else []
    figures = {
        "failures": failures,
        "seed": seed,
        "seconds": round(time.monotonic() - began),
        "by_kind": dict(Counter(fault.what for fault in done)),
        "healed_once": sum(not fault.wrong for fault in done),
        "hosts_killed": sum(fault.host_killed is not None for fault in done),
        "hosts_killed_while_healing": sum(fault.was_healing for fault in done),
        "lease_grants": len(given := {(g["name"], g["fence"]): g["host"] for g in grants if g["pid"] is not None}),
        "lease_grants_by_host": dict(Counter(given.values())),
        "acknowledged_records": traffic.acked,
        "acknowledged_records_lost": lost,
    }
    return figures, wrong


def _missing() -> str:
    programs, why = postgres.find()
    if programs is None:
        return why
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return "namespaces need root and unshare"
    return ""


class Journal:
    """The shared journal, and what a trigger wrote down of its leases."""

    def __init__(self, url: str) -> None:
        import sqlalchemy as sa

        from asgard.journal.store.database import open_journal

        self.url = url.replace("postgresql://", "postgresql+psycopg://")
        open_journal(self.url).close()
        self._engine = sa.create_engine(self.url)
        with self._engine.begin() as connection:
            connection.exec_driver_sql(_TRIGGER)

    def healings(self) -> list[dict[str, Any]]:
        """Events of healings and of brokers that are back, oldest first."""
        return self._rows(
            "SELECT id, at, kind, actor, correlation, data FROM asgard_events "
            "WHERE kind LIKE 'thor.heal.%%' OR kind = 'thor.broker.returned' ORDER BY id"
        )

    def grants(self) -> list[dict[str, Any]]:
        """Every write of a lease row."""
        return self._rows("SELECT * FROM lease_log ORDER BY id")

    def healer(self) -> str | None:
        """The host that holds the cluster in order to change it, now."""
        found = self._rows("SELECT host FROM asgard_leases WHERE name LIKE '%%/change' AND pid IS NOT NULL")
        return str(found[0]["host"]) if found else None

    def _rows(self, statement: str) -> list[dict[str, Any]]:
        with self._engine.begin() as connection:
            return [dict(row._mapping) for row in connection.exec_driver_sql(statement)]


class Host:
    """A machine that runs `asgard thor watch`: it can be killed and started again."""

    def __init__(self, name: str, home: Path, context: HealContext, journal: str) -> None:
        self.name = name
        self._home = home
        self._context = context
        self._journal = journal
        home.mkdir()
        (home / "boot_id").write_text(f"{uuid.uuid4()}\n")
        (home / "stacks").mkdir()
        shutil.copy(context.cluster.home / "contexts.json", home / "contexts.json")
        self.process: subprocess.Popen[bytes] | None = None
        self.killed: dict[int, float] = {}
        """When which of its processes was dead, in seconds since 1970."""

    def start(self) -> None:
        """Boot it."""
        # Each host has a home of its own, under the path that names the brokers' processes on all of them.
        shared = self._context.cluster.home
        inside = (
            f"hostname {self.name} && mount --bind {self._home}/boot_id /proc/sys/kernel/random/boot_id && "
            f"mount --bind {shared}/stacks {self._home}/stacks && mount --rbind {self._home} {shared} && "
            f"exec {ASGARD} thor watch --yes --json"
        )
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ASGARD_") or k == "ASGARD_CACHE"}
        with (self._home / "watch.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--uts", "--mount", "sh", "-c", inside],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._context.folder,
                env={**environment, "ASGARD_HOME": str(self._context.cluster.home), "ASGARD_JOURNAL": self._journal},
            )

    def kill(self) -> None:
        """SIGKILL, with no time to say goodbye."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(30)
            self.killed[self.process.pid] = time.time()

    def stop(self) -> None:
        """SIGTERM."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)


@contextmanager
def _up(hosts: dict[str, Host]) -> Iterator[None]:
    try:
        for host in hosts.values():
            host.start()
        time.sleep(10)
        yield
    finally:
        for host in hosts.values():
            host.stop()


@dataclass
class Failure:
    """One loss, and what was wrong about its healing."""

    what: str
    broker: int
    host_killed: str | None
    was_healing: bool
    wrong: list[str]


def _fail(
    context: HealContext, journal: Journal, hosts: dict[str, Host], source: random.Random, number: int
) -> Failure:
    """Lose a broker; kill no host, any at a random moment, or the one that heals; wait until all is well."""
    what, broker = source.choice(("kill", "stop")), source.choice((1, 2, 3, 4))
    victim = source.choice([*HOSTS, None])
    delay = source.uniform(0, 8)
    before, started = len(journal.healings()), _starts(context, broker)
    (context.cluster.kill if what == "kill" else context.cluster.pause)(broker)
    was_healing = False
    if victim is not None:
        if source.random() < 0.5:
            healer = _healer(journal, before)
            victim, was_healing = healer or victim, healer is not None
            time.sleep(source.uniform(0, 1))
        else:
            time.sleep(delay)
        hosts[victim].kill()
    context.until(lambda: _starts(context, broker) > started, f"a healing of broker {broker}")
    context.until(lambda: not context.fenced() and context.whole(), "every partition in sync")
    context.until(lambda: not _incomplete(journal.healings()), "the end of every incident in the journal")
    time.sleep(3)  # a second healing would begin now
    if victim is not None:
        hosts[victim].start()
    times = _starts(context, broker) - started
    wrong = [] if times == 1 else [f"failure {number} ({what} of broker {broker}) was healed {times} times"]
    begun = [row for row in journal.healings()[before:] if _begins(row, broker)]
    wrong += [] if begun else [f"failure {number} ({what} of broker {broker}) is not in the journal"]
    print(
        f"{number}: {what} of broker {broker}, host killed: {victim}: {wrong or 'healed once'}",
        file=sys.stderr,
        flush=True,
    )
    return Failure(what, broker, victim, was_healing, wrong)


def _healer(journal: Journal, before: int) -> str | None:
    """Wait until a healing has begun; the host that heals. None: there was none within 20 s, or it has ended already."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if any(row["kind"] == "thor.heal.started" for row in journal.healings()[before:]):
            return journal.healer()
        time.sleep(0.02)
    return None


def _starts(context: HealContext, broker: int) -> int:
    """How often the broker was started, by what it logs when it serves."""
    logs = context.cluster.run_dir(broker).logs.glob("server*.log")
    return sum(log.read_text(errors="replace").count("Kafka Server started") for log in logs)


def _begins(row: dict[str, Any], broker: int) -> bool:
    import json

    data = json.loads(row["data"])
    restarts = row["kind"] == "thor.heal.started" and data["decision"] in ("restart", "replace")
    return restarts and broker in data["brokers"]


def _twice_held(grants: list[dict[str, Any]], killed: dict[int, float]) -> list[str]:
    """Leases that a second holder got while the first one's time was not over and it had not given it back.

    A process may take a lease at once from one that died on its own host, where it can see that; `killed` says when each was dead.
    """
    wrong: list[str] = []
    held: dict[str, dict[str, Any]] = {}
    for g in grants:
        former = held.get(g["name"])
        who = None if g["pid"] is None else (g["host"], g["boot"], g["pid"])
        if who is not None and former is not None and former["who"] not in (None, who) and g["at"] < former["until"]:
            seen_dead = former["who"][:2] == who[:2] and killed.get(former["who"][2], g["at"] + 1) <= g["at"]
            if not seen_dead:
                early = former["until"] - g["at"]
                wrong.append(f"{g['name']}: {who[0]} got it {early:.2f} s before {former['who'][0]} lost it")
        if who is not None and former is not None and former["who"] != who and g["fence"] <= former["fence"]:
            wrong.append(f"{g['name']}: fence {g['fence']} was given twice")
        held[g["name"]] = {"who": who, "until": g["until"] or 0.0, "fence": g["fence"]}
    return wrong


def _incomplete(healings: list[dict[str, Any]]) -> list[str]:
    """Incidents that the journal begins and never ends. One that a killed host began is ended by its successor, which heals, or sees
    that the broker is back."""
    begun = {row["correlation"] for row in healings if row["kind"] == "thor.heal.started"}
    ended = {row["correlation"] for row in healings if row["kind"] != "thor.heal.started"}
    return [f"incident {incident} has no end in the journal" for incident in sorted(begun - ended)]
