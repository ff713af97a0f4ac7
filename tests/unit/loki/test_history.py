"""Histories on disk: numbers come back as they were, kill -9 leaves what was flushed, damage is told from a torn end."""

from __future__ import annotations

import base64
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.core.errors import Failed, WrongUsage
from asgard.kafka import stamp
from asgard.loki.check import history
from asgard.loki.check.check import check
from asgard.loki.check.history import Acked, Column, End, Foreign, HistoryFiles, Polled, Sent, Start, Transaction
from asgard.loki.check.outcome import failed_for_sure
from asgard.loki.check.recorder import ROWS, Recorder

RUN = b"a run of 16 byte"
numbers = st.integers(0, (1 << 62) - 1)


def recorder(directory: Path, name: str = "worker") -> Recorder:
    return Recorder(directory / f"{name}{history.SUFFIX}", RUN, process=name, clock=lambda: 1_764_000_000_000_000)


class Message:
    """As confluent-kafka gives it."""

    def __init__(
        self, partition: int, offset: int, value: bytes | None, header: bytes | None, error: str | None = None
    ):
        self._all = (partition, offset, value, [("other", b"x"), (stamp.HEADER, header)] if header else None, error)

    def topic(self) -> str:
        return "orders"

    def partition(self) -> int:
        return self._all[0]

    def offset(self) -> int:
        return self._all[1]

    def value(self) -> bytes | None:
        return self._all[2]

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self._all[3]

    def error(self) -> str | None:
        return self._all[4]


@given(st.lists(numbers, min_size=1) | st.lists(st.integers(-5, 5), min_size=1))
def test_a_column_gives_its_numbers_back(values: list[int]) -> None:
    assert Column.of(values).values().tolist() == values


@given(numbers, st.integers(-1000, 1000), st.integers(1, 50))
def test_numbers_in_even_steps_take_no_bytes(first: int, step: int, count: int) -> None:
    column = Column.of(first % (1 << 40) + step * np.arange(count))
    assert len(column.residuals) == 0 and column.count == count


def test_numbers_that_nearly_follow_each_other_take_a_byte_each() -> None:
    rng = np.random.default_rng(1)
    assert Column.of(np.cumsum(rng.integers(1, 100, 1000))).width == 1


def test_a_column_that_lies_about_its_length_is_refused() -> None:
    with pytest.raises(WrongUsage, match="a column says 5 numbers and holds 3 bytes"):
        Column(0, 5, 1, 1, memoryview(b"abc")).values()


def test_what_consumers_were_given_is_written_with_order_damage_and_strangers(tmp_path: Path) -> None:
    def message(partition: int, offset: int, sequence: int, *, spoiled: bool = False, run: bytes = RUN) -> Message:
        header = stamp.make(run, 7, sequence, 99 + sequence, b"value")
        return Message(partition, offset, b"damage" if spoiled else b"value", header)

    with recorder(tmp_path) as file:
        polls = file.consumer(3, via="subscribe", group="g")
        stamps = polls.polled(
            [
                message(1, 10, 5),
                message(0, 20, 6),
                Message(0, 21, b"", None, error="a broker is down"),
                message(1, 11, 9, spoiled=True),
                message(1, 12, 7, run=b"another run, 16b"),
                Message(1, 13, b"of somebody else", None),
                message(1, 9, 4),
            ]
        )
    assert stamps["intended_us"].tolist() == [104, 105, 108, 106, 0, 103]
    polled = {b.partition: b for _, b in HistoryFiles(tmp_path).blocks((Polled,)) if isinstance(b, Polled)}
    assert polled[1].offsets.values().tolist() == [10, 11, 9]
    assert polled[1].sequences.values().tolist() == [5, 9, 4]
    assert polled[1].producers.values().tolist() == [7, 7, 7]
    assert (polled[1].corrupted, polled[0].corrupted) == ([1], [])
    assert [b.count for _, b in HistoryFiles(tmp_path).blocks((Foreign,)) if isinstance(b, Foreign)] == [2]


def test_acknowledgements_of_many_partitions_are_packed_by_partition(tmp_path: Path) -> None:
    with recorder(tmp_path) as file:
        sends = file.producer(0, acks="all", idempotence=True)
        first = sends.take("orders", ROWS + 10)
        for number in range(first, first + ROWS + 10):
            sends.acked("orders", number % 3, number, number // 3)
    found: dict[int, list[int]] = {}
    for _, block in HistoryFiles(tmp_path).blocks((Acked,)):
        assert isinstance(block, Acked)
        found.setdefault(block.partition, []).extend(block.sequences.values().tolist())
    assert found == {p: list(range(p, ROWS + 10, 3)) for p in range(3)}


def test_a_transaction_covers_what_was_sent_in_it(tmp_path: Path) -> None:
    with recorder(tmp_path) as file:
        sends = file.producer(0, acks="all", idempotence=True, transactions=True)
        sends.take("before", 3)
        sends.begin()
        sends.take("before", 2)
        sends.take("within", 4)
        sends.abort()
        sends.begin()
        sends.commit()
    told = [b for _, b in HistoryFiles(tmp_path).blocks((Transaction,)) if isinstance(b, Transaction)]
    assert [(b.outcome, b.ranges) for b in told] == [
        ("begun", {"before": (3, 3)}),
        ("aborted", {"before": (3, 5), "within": (0, 4)}),
        ("begun", {"before": (5, 5), "within": (4, 4)}),
        ("committed", {}),
    ]


def test_what_was_flushed_outlives_kill_9(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from asgard.loki.check.recorder import Recorder
file = Recorder(Path({str(tmp_path)!r}) / "worker.history", {RUN!r})
sends = file.producer(0, acks="all", idempotence=True)
first = sends.take("orders", 1000)
for n in range(500):
    sends.acked("orders", 0, n, n)
file.flush()
for n in range(500, 1000):
    sends.acked("orders", 0, n, n)
print("ready", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
    blocks = [block for _, block in HistoryFiles(tmp_path).blocks()]
    assert [b.sequences.count for b in blocks if isinstance(b, Acked)] == [500]
    assert next(b for b in blocks if isinstance(b, Sent)).until >= 1000
    assert not any(isinstance(b, End) for b in blocks)
    counts = check(HistoryFiles(tmp_path)).counts
    assert (counts.acknowledged, counts.indeterminate) == (500, 0)


def test_a_torn_last_frame_is_left_out_wherever_it_is_torn(tmp_path: Path) -> None:
    with recorder(tmp_path) as file:
        file.producer(0, acks="all", idempotence=True).acked_many("orders", 0, range(100), range(100))
    path = tmp_path / f"worker{history.SUFFIX}"
    whole = path.read_bytes()
    complete = len(list(HistoryFiles(tmp_path).blocks()))
    last = len(history.frame(End(1_764_000_000_000_000)))
    for cut in range(1, last + 1):
        path.write_bytes(whole[:-cut])
        files = HistoryFiles(tmp_path)
        assert len(list(files.blocks())) == complete - 1
        assert files.torn == ((path.name,) if cut < last else ())
    path.write_bytes(whole[:-1] + b"\1")
    assert HistoryFiles(tmp_path).torn == (path.name,)


def test_damage_and_other_files_are_refused_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="holds no history"):
        HistoryFiles(tmp_path)
    with recorder(tmp_path) as file:
        file.producer(0, acks="all", idempotence=True).acked_many("orders", 0, range(100), range(100))
    path = tmp_path / f"worker{history.SUFFIX}"
    whole = path.read_bytes()
    path.write_bytes(whole[:60] + b"XX" + whole[62:])
    with pytest.raises(WrongUsage, match=r"is damaged at byte \d+"):
        HistoryFiles(tmp_path)
    path.write_bytes(history.MAGIC[:-1] + b"\x02" + whole[8:])
    with pytest.raises(WrongUsage, match="version 2"):
        HistoryFiles(tmp_path)
    path.write_bytes(b"PNG")
    with pytest.raises(WrongUsage, match="another format"):
        HistoryFiles(tmp_path)


def test_kinds_of_blocks_from_a_later_version_are_passed_over(tmp_path: Path) -> None:
    with recorder(tmp_path) as file:
        file.producer(0, acks="all", idempotence=True)
        body = b"\xc8\x80"
        file._append(len(body).to_bytes(4, "little") + history.google_crc32c.value(body).to_bytes(4, "little") + body)
    assert [type(b).__name__ for _, b in HistoryFiles(tmp_path).blocks()] == ["Start", "Producer", "End"]


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    with recorder(tmp_path, "a") as file:
        file.producer(0, acks="all", idempotence=True)
    with recorder(tmp_path, "b") as file:
        file.producer(0, acks="all", idempotence=True)
    with pytest.raises(WrongUsage, match=r"b\.history: there is another producer 0"):
        check(HistoryFiles(tmp_path))
    (tmp_path / "b.history").unlink()
    with Recorder(tmp_path / "c.history", bytes(16)):
        pass
    with pytest.raises(WrongUsage, match=r"c\.history is from another run than a\.history"):
        check(HistoryFiles(tmp_path))


def test_a_history_is_never_written_over(tmp_path: Path) -> None:
    with recorder(tmp_path):
        pass
    with pytest.raises(Failed, match=r"can't write the history .*File exists"):
        recorder(tmp_path)


WRITTEN_BY_VERSION_1 = (
    "QVNHSElTVAE4AAAAZjbquQGDo3J1bsQQYSBydW4gb2YgMTYgYnl0Zadwcm9jZXNzqHdvcmtlciAzpWF0X3VzzwAGRFlBYkAAMAAAAAWXmoEC"
    "hKhwcm9kdWNlcgOkYWNrc6NhbGyraWRlbXBvdGVuY2XDrHRyYW5zYWN0aW9uc8MxAAAAu1RPLQiEqHByb2R1Y2VyA6dvdXRjb21lpWJlZ3Vu"
    "pWF0X3VzzwAGRFlBYkAApnJhbmdlc4AiAAAAfnk+RQSDqHByb2R1Y2VyA6V0b3BpY6ZvcmRlcnOldW50aWzNIAVVAAAABPDoVAWGqHByb2R1"
    "Y2VyA6V0b3BpY6ZvcmRlcnOpcGFydGl0aW9uAaVhdF91c88ABkRZQWJAAKlzZXF1ZW5jZXOVAAMBAMQAp29mZnNldHOVBwMBAcQCAAE/AAAA"
    "EctSgAiEqHByb2R1Y2VyA6dvdXRjb21lqWNvbW1pdHRlZKVhdF91c88ABkRZQWJAAKZyYW5nZXOBpm9yZGVyc5IABTsAAABjg2+KA4SoY29u"
    "c3VtZXIAo3ZpYalzdWJzY3JpYmWlZ3JvdXChZ6lpc29sYXRpb26ucmVhZF9jb21taXR0ZWQwAAAArj68LwuDqGNvbnN1bWVyAKVhdF91c88A"
    "BkRZQWJAAKpwYXJ0aXRpb25zgaZvcmRlcnORAXIAAACM41S6CYioY29uc3VtZXIApXRvcGljpm9yZGVyc6lwYXJ0aXRpb24BpWF0X3VzzwAG"
    "RFlBYkAAp29mZnNldHOVBwMBAcQCAAGpcHJvZHVjZXJzlQMDAADEAKlzZXF1ZW5jZXOVAAMBAMQAqWNvcnJ1cHRlZJEBMAAAALJtY3sMg6hj"
    "b25zdW1lcgClYXRfdXPPAAZEWUFiQACqcGFydGl0aW9uc4Gmb3JkZXJzkQErAAAAW1W0iAqEqGNvbnN1bWVyAKV0b3BpY6ZvcmRlcnOpcGFy"
    "dGl0aW9uAaVjb3VudAQ7AAAAR/O/Nw2GpXRvcGljpm9yZGVyc6lwYXJ0aXRpb24BpXN0YXJ0AKNlbmQLqGNvbXBsZXRlw6ljb21wYWN0ZWTC"
    "UwAAAJ6LcCQGhahwcm9kdWNlcgOldG9waWOmb3JkZXJzpWF0X3VzzwAGRFlBYkAApnJlYXNvbrJNU0dfU0laRV9UT09fTEFSR0Wpc2VxdWVu"
    "Y2VzlQMBAADEAE8AAAAfVIE2B4WocHJvZHVjZXIDpXRvcGljpm9yZGVyc6VhdF91c88ABkRZQWJAAKZyZWFzb26uX01TR19USU1FRF9PVVSp"
    "c2VxdWVuY2VzlQQBAADEACAAAACsflhgBIOocHJvZHVjZXIDpXRvcGljpm9yZGVyc6V1bnRpbAURAAAAKsEJYw6BpWF0X3VzzwAGRFlBYkAA"
)


def test_a_file_that_version_1_wrote_is_read(tmp_path: Path) -> None:
    (tmp_path / f"old{history.SUFFIX}").write_bytes(base64.b64decode(WRITTEN_BY_VERSION_1))
    blocks = [block for _, block in HistoryFiles(tmp_path).blocks()]
    assert {type(block) for block in blocks} == set(history.KINDS)
    assert blocks[0] == Start(RUN, "worker 3", 1_764_000_000_000_000)
    (acked,) = (block for block in blocks if isinstance(block, Acked))
    assert (acked.producer, acked.topic, acked.partition) == (3, "orders", 1)
    assert (acked.sequences.values().tolist(), acked.offsets.values().tolist()) == ([0, 1, 2], [7, 8, 10])
    counts = check(HistoryFiles(tmp_path)).counts
    assert (counts.sent, counts.acknowledged, counts.failed, counts.indeterminate) == (5, 3, 1, 1)


def test_a_time_out_is_no_certain_failure() -> None:
    from confluent_kafka import KafkaError

    assert not failed_for_sure(KafkaError._MSG_TIMED_OUT) and not failed_for_sure(KafkaError.REQUEST_TIMED_OUT)
    assert not failed_for_sure(KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND)
    assert failed_for_sure(KafkaError.MSG_SIZE_TOO_LARGE) and failed_for_sure(KafkaError._QUEUE_FULL)
