"""A history that continues across restarts: for a producer that runs for months, as the canary does (`kafka.ports.LossWitness`).

    directory/20261124T06/run              the 16 bytes that its records are stamped with, in hex
    directory/20261124T06/0.history …      one file for each process that wrote meanwhile

A chapter lasts six hours. Each check proves the current one and the one before; older ones are deleted after their proof.
The topic must keep its records for longer than two chapters.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from asgard.core import paths
from asgard.core.errors import WrongUsage
from asgard.kafka.connection import Connection
from asgard.kafka.model import LossVerdict
from asgard.kafka.ports import ControlPlane
from asgard.loki.check.history import SUFFIX
from asgard.loki.check.last_read import NAME as LAST_READ
from asgard.loki.check.recorder import ProducerLog, Recorder
from asgard.loki.check.verdict import CheckOutcome, CheckVerdict
from asgard.loki.check.verify import verify

CHAPTER_S = 6 * 3600
KEPT_CHAPTERS = 2
SETTLE_S = 5.0


class Witness:
    """See the module. Used by one thread."""

    def __init__(
        self,
        directory: Path,
        connection: Connection,
        control: ControlPlane,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._connection = connection
        self._control = control
        self._clock = clock
        self._open()

    def _open(self) -> None:
        name = time.strftime("%Y%m%dT%H", time.gmtime(self._clock() // CHAPTER_S * CHAPTER_S))
        self._chapter = paths.private_dir(self._directory / name)
        self.run = _run(self._chapter)
        self.producer = len([path for path in self._chapter.glob(f"*{SUFFIX}") if path.name != LAST_READ])
        path = self._chapter / f"{self.producer}{SUFFIX}"
        self._recorder = Recorder(path, self.run, process=f"process {os.getpid()}")
        self._log: ProducerLog = self._recorder.producer(self.producer, acks="all", idempotence=False)

    def take(self, topic: str) -> int:
        """The sequence of the next record to send."""
        return self._log.take(topic)

    def acked(self, topic: str, partition: int, sequence: int, offset: int) -> None:
        """Kafka acknowledged the record. It is in the file before the next one is sent."""
        self._log.acked(topic, partition, sequence, offset)
        self._recorder.flush()

    def refused(self, topic: str, sequence: int, reason: str) -> None:
        """The record is known not to be in Kafka."""
        self._log.failed(topic, sequence, reason)

    def unanswered(self, topic: str, sequence: int, reason: str) -> None:
        """It is unknown whether the record is in Kafka."""
        self._log.indeterminate(topic, sequence, reason)

    def prove(self) -> LossVerdict:
        """Prove every existing chapter; start a new one when it is due."""
        self._recorder.flush()
        chapters = sorted(path for path in self._directory.iterdir() if path.is_dir())
        verdicts = [
            verify(chapter, self._connection, self._control, settle_s=SETTLE_S)
            for chapter in chapters
            if list(chapter.glob(f"*{SUFFIX}"))
        ]
        for chapter in chapters[:-KEPT_CHAPTERS]:
            shutil.rmtree(chapter)
        if time.strftime("%Y%m%dT%H", time.gmtime(self._clock() // CHAPTER_S * CHAPTER_S)) != self._chapter.name:
            self.close()
            self._open()
        return _added(verdicts)

    def close(self) -> None:
        """Close the file cleanly."""
        self._recorder.close()


def _run(chapter: Path) -> bytes:
    path = chapter / "run"
    if not path.exists():
        paths.write_atomic(path, os.urandom(16).hex())
    try:
        found = bytes.fromhex(path.read_text().strip())
    except ValueError:
        found = b""
    if len(found) != 16:
        raise WrongUsage(f"{path} does not hold 16 bytes in hex", "Move the directory away to start over.")
    return found


def _added(verdicts: list[CheckVerdict]) -> LossVerdict:
    worst = max(verdicts, key=lambda v: (v.lost, v.outcome is not CheckOutcome.KEPT), default=None)
    return LossVerdict(
        sum(v.counts.acknowledged for v in verdicts),
        sum(v.lost for v in verdicts),
        sum(v.duplicates for v in verdicts),
        sum(v.counts.indeterminate for v in verdicts),
        all(v.outcome is not CheckOutcome.UNDECIDED for v in verdicts),
        worst.sentence if worst is not None else "Nothing was written yet.",
    )
