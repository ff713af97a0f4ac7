"""Two tiers of stamped records with a known loss and known duplicates, and an auditor that is killed while it counts them."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from asgard.heimdall.audit.judge import Row
from asgard.heimdall.stamp import forwarded
from asgard.kafka import stamp
from asgard.kafka.admin import connect
from asgard.kafka.connection import Connection
from asgard.kafka.data import Record, Writer
from asgard.kafka.model import NewTopic

WINDOW_S = 600
WINDOWS = 6
PRODUCERS = 3
START_S = 1_790_000_400  # a multiple of the window, in the past: the topics keep their records for ever
CLOSING_S = WINDOWS * WINDOW_S + 2 * WINDOW_S
"""Records so much after the start close the windows before."""


@dataclass
class Planted:
    """What was planted, by start of the window."""

    first: str
    second: str
    records: Counter[int] = field(default_factory=Counter)
    lost: Counter[int] = field(default_factory=Counter)
    doubled: dict[str, Counter[int]] = field(default_factory=dict)

    def differences(self, rows: Sequence[Row]) -> list[str]:
        """Where an audit's rows differ from what was planted; none where it is exact."""
        wrong = []
        closed = {(row.topic, row.start_s): row for row in rows if row.start_s < START_S + WINDOWS * WINDOW_S}
        for topic in (self.first, self.second):
            for start in self.records:
                row = closed.get((topic, start))
                if row is None:
                    wrong.append(f"{topic} {start}: no row")
                    continue
                doubled = self.doubled[topic][start]
                gone = self.lost[start] if topic == self.second else 0
                lost = self.lost[start] if topic == self.first else None
                wanted = ("closed", self.records[start] - gone + doubled, doubled, lost, 0)
                found = (row.state, row.records, row.duplicates, row.lost, row.gaps or row.unmatched or 0)
                if found != wanted:
                    wrong.append(f"{topic} {start}: {found} in place of {wanted}")
        return wrong


def create_tiers(connection: Connection, first: str, second: str) -> None:
    """Two topics that keep their records for ever."""
    with connect(connection) as control:
        replication = min(3, len(control.cluster().brokers))
        made = control.create_topics(
            [NewTopic(topic, 6, replication, {"retention.ms": "-1"}) for topic in (first, second)]
        )
        assert made == {first: None, second: None}


def plant(
    connection: Connection,
    first: str,
    second: str,
    records: int,
    *,
    lost: int,
    doubled: int,
    seed: int,
    create: bool = True,
) -> Planted:
    """Write both tiers. Some of the duplicates are in the first tier, some in the second; each goes to a random place behind its original."""
    chance = random.Random(seed)
    planted = Planted(first, second, doubled={first: Counter(), second: Counter()})
    gone = set(chance.sample(range(records), lost))
    # What is lost never reached the second tier, so its duplicates are of others.
    twice = chance.sample(sorted(set(range(records)) - gone), doubled)
    where = {number: (first if i % 3 == 0 else second) for i, number in enumerate(twice)}
    if create:
        create_tiers(connection, first, second)
    run = os.urandom(16)
    with Writer(connection) as writer:
        again: list[Record] = []
        for i in range(records):
            due_us = START_S * 1_000_000 + i * WINDOWS * WINDOW_S * 1_000_000 // records
            start = due_us // (WINDOW_S * 1_000_000) * WINDOW_S
            value = b"%d" % i
            headers = [(stamp.HEADER, stamp.make(run, i % PRODUCERS, i // PRODUCERS, due_us, value))]
            planted.records[start] += 1
            for delay_ms, topic in ((20, first), (3000, second)):
                if topic == second and i in gone:
                    planted.lost[start] += 1
                    continue
                passed = headers if topic == first else [(n, v or b"") for n, v in forwarded(headers, value)]
                record = Record(topic, value, key=value, headers=passed, timestamp_ms=due_us // 1000 + delay_ms)
                writer.send(record)
                if where.get(i) == topic:
                    again.append(record)
                    planted.doubled[topic][start] += 1
            if again and chance.random() < 0.001:
                writer.send_all(again)
                again.clear()
        writer.send_all(again)
        for i in range(PRODUCERS * 6):  # every partition and producer moves on, and so the watermark
            due_us = (START_S + CLOSING_S) * 1_000_000
            header = stamp.make(run, i % PRODUCERS, records // PRODUCERS + 1 + i, due_us, b"end")
            for topic in (first, second):
                writer.send(
                    Record(
                        topic, b"end", headers=((stamp.HEADER, header),), partition=i % 6, timestamp_ms=due_us // 1000
                    )
                )
    return planted


AUDITOR = """
import sys
from asgard.heimdall.audit import run
run.BATCH, run.COMMIT_S = int(sys.argv[1]), float(sys.argv[2])
from asgard.cli.main import main
sys.exit(main(sys.argv[3:]))
"""


def audit(home: Path, arguments: Sequence[str], *, batch: int, commit_s: float) -> subprocess.Popen[str]:
    """`asgard heimdall audit` in a process of its own, committing as often as it is told."""
    command = [sys.executable, "-c", AUDITOR, str(batch), str(commit_s), "heimdall", "audit", *arguments]
    out = subprocess.PIPE
    return subprocess.Popen(command, env={**os.environ, "ASGARD_HOME": str(home)}, stdout=out, stderr=out, text=True)


def audited(home: Path) -> int:
    """The offsets that the store has as read, in sum."""
    path = home / "audit.db"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path, timeout=10)) as database:
        found = database.execute('SELECT sum("offset") FROM heimdall_audit_progress').fetchone()
        return int(found[0] or 0)


def kill_midway(process: subprocess.Popen[str], home: Path, beyond: int, *, deadline_s: float = 60) -> int:
    """SIGKILL when the store has more than so many offsets as read; how many it has. It must not have come to its end."""
    until = time.monotonic() + deadline_s
    while (found := audited(home)) <= beyond:
        assert process.poll() is None, f"the auditor ended before it could be killed: {process.communicate()}"
        assert time.monotonic() < until, f"the auditor has not read beyond {beyond}"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    return found
