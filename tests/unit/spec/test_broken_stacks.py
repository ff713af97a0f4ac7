"""Broken stack files: every problem is named with its line and field, and nothing but InvalidFile comes out."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from asgard.core.errors import ExitCode, InvalidFile
from asgard.odin.spec.read import load
from asgard.odin.spec.templates import templates

HERE = Path(__file__).parent
MUTATIONS = 600


def cases() -> Iterator[tuple[str, str, list[tuple[int, str]]]]:
    """Title, content and the expected lines and fields of each case."""
    text = (HERE / "broken_stacks.txt").read_text(encoding="utf-8")
    parts = re.split(r"(?m)^(===|###) (.*) \| (.*)\n", text)
    for kind, title, expected, content in zip(*(parts[i::4] for i in range(1, 5)), strict=True):
        pairs = [item.split(" ", 1) for item in expected.split(", ")]
        wanted = [(int(line), "" if name == "-" else name) for line, name in pairs]
        yield title, ("stack: a\ntarget: local\n" if kind == "===" else "") + content, wanted


CASES = list(cases())


@pytest.mark.parametrize(("title", "content", "expected"), CASES, ids=[title for title, _, _ in CASES])
def test_every_problem_of_a_broken_file_has_its_line_and_field(
    title: str, content: str, expected: list[tuple[int, str]], tmp_path: Path
) -> None:
    path = tmp_path / "asgard.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidFile) as caught:
        load(path)
    assert sorted((p.line, p.field) for p in caught.value.problems) == sorted(expected)
    assert caught.value.exit_code == ExitCode.USAGE
    for line in str(caught.value).splitlines():
        assert re.match(rf"{re.escape(str(path))}:\d+:\d+: \S", line), line


JUNK = [
    "",
    "-1",
    "0",
    "x",
    "true",
    "null",
    "[]",
    "{}",
    "[1, {a: b}]",
    "'",
    '"',
    "&a",
    "*a",
    "!t x",
    "1e99",
    "7d",
    "${env:}",
    "\t",
    "é",
    "%",
    "@",
    "999999999999999999999",
]


def mutate(text: str, rng: random.Random) -> str:
    """The text with one thing wrong, or perhaps not."""
    lines = text.splitlines(keepends=True)
    at = rng.randrange(len(lines))
    offset = rng.randrange(len(text))
    kind = rng.randrange(9)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(at, lines[rng.randrange(len(lines))])
    elif kind == 2:
        lines[at] = re.sub(r":.*", lambda _: ": " + rng.choice(JUNK), lines[at], count=1)
    elif kind == 3:
        lines[at] = re.sub(r"\b[\w.]+\b", lambda m: m[0][::-1] if rng.random() < 0.5 else m[0], lines[at])
    elif kind == 4:
        lines[at] = rng.choice([" ", "\t", "   "]) + lines[at]
    elif kind == 5:
        return text[:offset] + rng.choice(JUNK) + text[offset:]
    elif kind == 6:
        return text[:offset]
    elif kind == 7:
        return text[:offset] + text[offset + rng.randrange(1, 20) :]
    else:
        lines[at] = re.sub(r"\d+", lambda _: rng.choice(["-1", "0", "1e9", "many", "''", "100000000000"]), lines[at])
    return "".join(lines)


def test_mutated_stack_files_are_refused_with_places_or_load(tmp_path: Path) -> None:
    originals = [t.text for t in templates().values()] + [(HERE / "full.yaml").read_text(encoding="utf-8")]
    rng = random.Random(5)
    path = tmp_path / "asgard.yaml"
    broken = 0
    for _ in range(MUTATIONS):
        content = mutate(rng.choice(originals), rng)
        path.write_text(content, encoding="utf-8")
        try:
            load(path)
        except InvalidFile as error:
            broken += 1
            assert error.problems
            assert all(1 <= p.line <= content.count("\n") + 2 and p.column >= 1 and p.message for p in error.problems)
    assert broken >= 200


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "asgard.yaml"
    path.write_bytes(b"stack: a\ntarget: \xff\n")
    with pytest.raises(InvalidFile, match=r":2:9: is not UTF-8 text"):
        load(path)
