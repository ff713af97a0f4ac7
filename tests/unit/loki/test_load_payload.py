"""A load that sends the records of a file, as `heimdall peek --json` wrote them."""

from __future__ import annotations

from pathlib import Path

import pytest

from asgard.core.errors import InvalidFile, WrongUsage
from asgard.kafka import stamp
from asgard.loki.load import read
from asgard.loki.load.feed import pool
from asgard.loki.load.scenario import Keys

LINES = (
    '{"topic": "t", "key": "a", "headers": [], "encoding": "json", "value": {"n": 1}}\n'
    '{"topic": "t", "key": null, "headers": [], "encoding": "null", "value": null}\n'
    '{"topic": "t", "key": {"hex": "ff"}, "headers": [], "encoding": "hex", "value": "0001"}\n'
)
SCENARIO = "producers: [{topic: t, rate: 10/s, value: {file: records.jsonl}}]\n"


def scenario(folder: Path, lines: str | None = LINES):
    if lines is not None:
        (folder / "records.jsonl").write_text(lines)
    (folder / "load.yaml").write_text(SCENARIO)
    return read.read_file(folder / "load.yaml")


def test_keys_and_values_come_from_the_file_in_its_order(tmp_path):
    values = scenario(tmp_path).producers[0].values
    found = pool(Keys(), values, seed=1)
    assert [(key, value) for key, value, _ in found] == [(b"a", b'{"n": 1}'), (b"\xff", b"\0\x01")]
    assert [crc for _, _, crc in found] == [stamp.checksum(value).to_bytes(4, "big") for _, value, _ in found]
    assert values.largest_bytes == 8


def test_other_keys_may_be_asked_for(tmp_path):
    found = pool(Keys("fixed"), scenario(tmp_path).producers[0].values, seed=1)
    assert {key for key, _, _ in found} == {b"key-0"} and {value for _, value, _ in found} == {b'{"n": 1}', b"\0\x01"}


@pytest.mark.parametrize(
    ("lines", "error", "words"),
    [
        (None, WrongUsage, "can't be read"),
        ("", WrongUsage, "holds no record"),
        (LINES + "oops\n", InvalidFile, r"records\.jsonl:4:1: is not a record"),
    ],
)
def test_a_file_that_holds_no_records_is_refused_before_anything_is_sent(tmp_path, lines, error, words):
    with pytest.raises(error, match=words):
        scenario(tmp_path, lines)
