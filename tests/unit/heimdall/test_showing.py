"""Decoding, filters, masks and lines: what is shown of a record, and what can be read back from it."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import fastavro
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.core import console
from asgard.core.console import ConsoleSettings, OutputFormat
from asgard.core.errors import InvalidFile, WrongUsage
from asgard.heimdall.tail import filters, masks
from asgard.heimdall.tail.decode import Decoder, parse_schema, read_schema
from asgard.heimdall.tail.show import Shown
from asgard.kafka import lines
from asgard.kafka.data import Read

SCHEMA = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "sum", "type": {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2}},
        {"name": "raw", "type": "bytes"},
    ],
}
ORDER = {"id": 7, "at": datetime(2026, 11, 24, 9, tzinfo=UTC), "sum": Decimal("12.50"), "raw": b"\x00\xff"}
SHOWN = {"id": 7, "at": "2026-11-24T09:00:00+00:00", "sum": "12.50", "raw": "AP8="}


def avro() -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(SCHEMA), ORDER)
    return out.getvalue()


@pytest.mark.parametrize(
    ("value", "encoding", "shown"),
    [
        (b'{"a": 1}', "json", {"a": 1}),
        (b"42", "json", 42),
        (b"[1, 2]", "json", [1, 2]),
        (b"plain words", "text", "plain words"),
        (b"{broken", "text", "{broken"),
        ("Grüße".encode(), "text", "Grüße"),
        (msgpack.packb({"a": [1, b"\xff"]}), "msgpack", {"a": [1, "/w=="]}),
        (b"\x00\x01\xff", "hex", "0001ff"),
        (b"bell\x07", "hex", "62656c6c07"),
        (b"", "text", ""),
        (None, "null", None),
    ],
)
def test_a_value_is_shown_as_it_looks(value, encoding, shown):
    found = Decoder()(value)
    assert (found.encoding, found.value) == (encoding, shown)


def test_avro_is_read_with_a_schema_file_bare_or_in_the_wire_format_of_registries(tmp_path):
    path = tmp_path / "order.avsc"
    path.write_text(json.dumps(SCHEMA))
    decoder = Decoder(schema=read_schema(path))
    assert decoder(avro()).value == decoder(b"\0\0\0\0\x09" + avro()).value == SHOWN


def test_avro_is_read_with_the_schema_whose_id_it_begins_with():
    asked = []

    def schema_of(number):
        asked.append(number)
        return parse_schema(json.dumps(SCHEMA))

    assert Decoder(schema_of=schema_of)(b"\0\0\0\0\x09" + avro()).value == SHOWN and asked == [9]
    assert Decoder("avro", schema_of=schema_of)(b"text").problem.startswith("not avro")


def test_what_is_not_in_the_format_asked_for_is_shown_in_hex_with_the_reason():
    found = Decoder("json")(b"{oops")
    assert (found.encoding, found.value) == ("hex", b"{oops".hex()) and found.problem.startswith("not json")
    with pytest.raises(WrongUsage, match="needs a schema"):
        Decoder("avro")(b"x")


def test_a_file_that_is_no_schema_is_refused(tmp_path):
    path = tmp_path / "bad.avsc"
    path.write_text('{"type": "nonsense"}')
    with pytest.raises(WrongUsage, match="is no Avro schema"):
        read_schema(path)


def masked(tmp_path, text: str) -> masks.Masks:
    path = tmp_path / "masks.yaml"
    path.write_text(text)
    return masks.read(path)


VALUE = {"eMail": "a@b.c", "customer": {"name": {"first": "A"}, "id": 1}, "items": [{"home_phone": "12", "n": None}]}
MASKS = """
secret: s
fields:
  - {field: email, do: hash}
  - {field: customer.name}
  - {field: "*_phone", do: redact}
  - {field: n, do: hash}
key: hash
headers: {user: redact}
"""


def shown(masks: masks.Masks, value: bytes, key: bytes | None = b"k") -> dict:
    record = Read("t", 0, 1, 0, key, value, (("user", b"anna"), ("x", b"1")))
    line = Shown(masks=masks)(record)
    assert line is not None and "a@b.c" not in line.text and "anna" not in line.text
    return line.document


def test_fields_at_any_depth_keys_and_headers_are_masked(tmp_path):
    found = shown(masked(tmp_path, MASKS), json.dumps(VALUE).encode())
    again = shown(masked(tmp_path, MASKS), json.dumps(VALUE).encode())
    value = found["value"]
    assert value["customer"] == {"name": "***", "id": 1} and value["items"] == [{"home_phone": "***", "n": None}]
    assert len(value["eMail"]) == 24 and found == again, "a secret makes hashes the same in each run"
    assert found["headers"] == [["user", "***"], ["x", "1"]] and found["key"] not in ("k", None)


def test_without_a_secret_hashes_are_of_this_run_only(tmp_path):
    text = MASKS.replace("secret: s\n", "")
    one, two = (shown(masked(tmp_path, text), b'{"email": "a@b.c"}')["value"]["email"] for _ in range(2))
    assert one != two


ODD = b'{"name": "\\ud83d", "ok": "\xc3\xa9\xf0\x9f\x98\x80"}'


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_half_a_surrogate_pair_is_shown_and_read_back(monkeypatch, encoding):
    out = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr("sys.stdout", out)
    line = Shown()(Read("t", 0, 1, 0, b"k", ODD, ()))
    for style in (OutputFormat.JSON, OutputFormat.TABLE):
        console.begin(ConsoleSettings(output=style))
        console.emit_line(line.document, line.text)
    plain, text = out.buffer.getvalue().decode(encoding).splitlines()
    assert json.loads(plain) == line.document and "\\ud83d" in text
    (record,) = lines.parse([plain], "f")
    assert json.loads(record.value) == json.loads(ODD)


def test_half_a_surrogate_pair_is_masked(tmp_path):
    mask = masked(tmp_path, "secret: s\nfields: [{field: name, do: hash}]\n")
    found = Shown(masks=mask)(Read("t", 0, 1, 0, b"k", ODD, ())).document["value"]
    assert len(found["name"]) == 24 and found["ok"] == "é😀"


@pytest.mark.parametrize("at_ms", [-1, 0, 253402300799000, 253402300800000, 1_790_000_000_000_000, 1 << 62, -(1 << 62)])
def test_any_timestamp_is_shown_and_read_back(at_ms):
    line = Shown()(Read("t", 0, 1, at_ms, b"k", b"x", ()))
    (record,) = lines.parse([json.dumps(line.document)], "f")
    assert record.timestamp_ms == at_ms


@pytest.mark.parametrize("value", [b"a@b.c", b'"a@b.c"', b"a@b.c\xff\x00"])
def test_what_has_no_fields_is_redacted_as_a_whole(tmp_path, value):
    assert shown(masked(tmp_path, MASKS), value)["value"] == "***"


def test_wrong_masks_are_refused_with_their_place(tmp_path):
    with pytest.raises(InvalidFile, match="allowed is hash or redact"):
        masked(tmp_path, "fields: [{field: a, do: encrypt}]\n")


def test_filters_look_at_what_the_record_holds_and_not_at_its_masks(tmp_path):
    record = Read("t", 0, 1, 0, b"k", json.dumps(VALUE).encode(), (("x", b"1"),))
    for given_key, headers, where, fits in [
        ("k", ["x=1"], ["customer.id=1", "eMail=a@b.c"], True),
        ("k", [], ["$..first=A"], True),
        ("j", [], [], False),
        (None, ["x=2"], [], False),
        (None, [], ["customer.id=2"], False),
    ]:
        show = Shown(wanted=filters.parse(given_key, headers, where), masks=masked(tmp_path, MASKS))
        assert (show(record) is not None) is fits
    for bad in ((None, ["x"], []), (None, [], ["x"]), (None, [], ["$[=1"])):
        with pytest.raises(WrongUsage):
            filters.parse(*bad)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    key=st.none() | st.binary(),
    value=st.none() | st.binary() | JSON.map(lambda v: json.dumps(v).encode()) | JSON.map(msgpack.packb),
    headers=st.lists(st.tuples(st.text(), st.binary()), max_size=3),
    at_ms=st.integers(0, 4_000_000_000_000),
)
def test_a_line_read_back_is_the_record(key, value, headers, at_ms):
    record = Read("t", 3, 9, at_ms, key, value, tuple(headers))
    line = Shown()(record)
    assert line is not None
    (again,) = lines.parse([json.dumps(line.document)], "records.jsonl")
    assert (again.topic, again.key, again.headers, again.timestamp_ms) == ("t", key, tuple(headers), at_ms)
    decoded = Decoder()(value)
    if decoded.structured:
        assert Decoder()(again.value).value == decoded.value
    else:
        assert again.value == value


def test_lines_of_other_tools_hold_key_and_value():
    text = ['{"key": "k", "value": "words"}', "", '{"value": {"a": 1}, "timestamp": 5}', '{"key": null, "value": null}']
    found = list(lines.parse(text, "f", topic="t"))
    assert [(r.key, r.value, r.timestamp_ms) for r in found] == [
        (b"k", b"words", 0),
        (None, b'{"a": 1}', 5),
        (None, None, 0),
    ]


@pytest.mark.parametrize("bad", ["[1]", "{", '{"value": 1}', '{"topic": "t", "encoding": "avro", "value": 1}'])
def test_a_line_that_is_no_record_is_named(bad):
    with pytest.raises(InvalidFile, match=r"records\.jsonl:2:1: is not a record"):
        list(lines.parse(["", bad], "records.jsonl"))
