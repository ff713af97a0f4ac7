"""YAML as people mean it: scalars, places, references, `--set`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.core import yaml
from asgard.core.assign import assign
from asgard.core.document import scalar, text_of
from asgard.core.errors import InvalidFile, WrongUsage


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("22:00", "22:00"),
        ("on", "on"),
        ("yes", "yes"),
        ("True", "True"),
        ("true", True),
        ("null", None),
        ("~", None),
        ("12", 12),
        ("-3", -3),
        ("007", 7),
        ("1_000", "1_000"),
        ("0x1F", "0x1F"),
        ("2024-01-01", "2024-01-01"),
        ("4.3.1", "4.3.1"),
        ("4.10", 4.1),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1e999", "1e999"),
        (".inf", ".inf"),
        ("-", "-"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_plain_scalars_are_what_they_look_like(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value) or isinstance(scalar(text), type(value))


@pytest.mark.parametrize("text", ["4.10", "007", "1e3", "+5", "12", "0.10"])
def test_a_number_keeps_its_text(text: str) -> None:
    assert text_of(scalar(text)) == text


def test_quoted_scalars_are_text() -> None:
    assert yaml.read_text("""{a: "1", b: 'true', c: ''}""", "f").root == {"a": "1", "b": "true", "c": ""}


def test_places_of_keys_and_values() -> None:
    document = yaml.read_text("a:\n  - b: 1\n    c: [2, 3]\n", "f")
    assert str(document.problem(("a", 0, "c", 1), "wrong")) == "f:3:12: a[0].c[1]: wrong"
    assert str(document.problem(("a", 0, "c"), "wrong", at_key=True)) == "f:3:5: a[0].c: wrong"
    assert str(document.problem(("a", 0, "missing"), "wrong")) == "f:2:5: a[0].missing: wrong"


def test_aliases_are_the_anchored_value() -> None:
    assert yaml.read_text("a: &x {b: 1}\nc: *x\n", "f").root == {"a": {"b": 1}, "c": {"b": 1}}


def test_an_alias_bomb_is_refused() -> None:
    levels = [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 9)]
    with pytest.raises(InvalidFile, match="aliases stand for more than"):
        yaml.read_text("\n".join(["l0: &l0 [x]", *levels]), "f")


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 5000, "{a: " * 90 + "1" + "}" * 90 + "]"])
def test_deep_nesting_is_refused_not_a_crash(text: str) -> None:
    with pytest.raises(InvalidFile):
        yaml.read_text(text, "f")


def test_references_are_replaced_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKERS", "3")
    monkeypatch.setenv("TRICKY", "a: {b: ${env:BROKERS}}")
    (tmp_path / "id.txt").write_text("abc\n")
    text = 'n: ${env:BROKERS}\nq: "${env:BROKERS}"\nt: kafka-${env:BROKERS}\nx: ${env:TRICKY}\nf: ${file:id.txt}\nd: $${env:BROKERS}\n'
    document = yaml.read_text(text, "f", tmp_path)
    assert document.problems == []
    assert document.root == {
        "n": 3,
        "q": 3,
        "t": "kafka-3",
        "x": "a: {b: ${env:BROKERS}}",
        "f": "abc",
        "d": "${env:BROKERS}",
    }


def test_what_can_not_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="directory"):
        yaml.read(tmp_path)
    with pytest.raises(WrongUsage, match="No such file"):
        yaml.read(tmp_path / "missing.yaml")
    with pytest.raises(WrongUsage, match="can't be read"):
        yaml.read("a\0b")


def test_a_byte_order_mark_and_windows_line_ends_are_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert yaml.read(path).root == {"a": 1, "b": 2}


def test_set_changes_what_it_names() -> None:
    document = yaml.read_text(
        "kafka: {brokers: 1}\ntopics: [{name: a, config: &c {x: 1}}, {name: b, config: *c}]\n", "f"
    )
    for assignment in (
        "kafka.brokers=3",
        "kafka.version=4.10",
        "topics.0.config.retention.ms=5",
        "new.key=[a, b]",
        "s=a=b",
    ):
        assign(document, assignment)
    assert document.root["kafka"]["brokers"] == 3
    assert text_of(document.root["kafka"]["version"]) == "4.10"
    assert document.root["topics"][0]["config"] == {"x": 1, "retention.ms": 5}
    assert document.root["topics"][1]["config"] == {"x": 1}
    assert document.root["new"] == {"key": ["a", "b"]}
    assert document.root["s"] == "a=b"
    assert str(document.problem(("kafka", "brokers"), "is wrong")) == "--set kafka.brokers: is wrong"
    assert str(document.problem(("new", "key", 1), "is wrong")) == "--set new.key: new.key[1]: is wrong"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("kafka.brokers", "is not an assignment"),
        ("=3", "is not an assignment"),
        ("a..b=3", "is not an assignment"),
        ("topics.7.name=x", "has no 7; allowed is an index from 0 to 0"),
        ("topics.first=x", "has no first"),
        ("kafka.brokers.x=1", "there is nothing inside it to set"),
    ],
)
def test_set_that_leads_nowhere_is_refused(assignment: str, message: str) -> None:
    document = yaml.read_text("kafka: {brokers: 1}\ntopics: [{name: a}]\n", "f")
    with pytest.raises(WrongUsage, match=message):
        assign(document, assignment)


@given(st.text(max_size=60) | st.text(alphabet="ab:-[]{},&*!#'\"\\\n \t|>%@`?0.", max_size=60))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        yaml.read_text(text, "f")
    except InvalidFile as error:
        assert all(p.line >= 1 and p.column >= 1 for p in error.problems)
