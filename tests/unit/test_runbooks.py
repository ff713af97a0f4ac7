"""What the runbooks tell people to type at 3 a.m. exists: each command, each option, each anchor."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import reference

PAGE = (Path(__file__).parents[2] / "docs" / "runbooks.md").read_text()
COMMANDS = dict(reference.all_commands())
TYPED = sorted(
    {line.removeprefix("$ asgard ").removesuffix(" …") for line in PAGE.splitlines() if line.startswith("$ asgard ")}
    | {words.removeprefix("asgard ") for words in re.findall(r"`(asgard [a-z][^`]*)`", PAGE)}
)


@pytest.mark.parametrize("line", TYPED)
def test_a_command_of_the_runbooks_exists(line):
    known = [words for words in COMMANDS if f"{line} ".startswith(f"{words} ")]
    assert known, f"there is no command asgard {line}"
    options = {name for parameter in COMMANDS[max(known, key=len)].params for name in parameter.opts}
    assert set(re.findall(r"--[a-z-]+", line)) <= options


def test_every_entry_of_the_table_leads_somewhere():
    headings = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    }
    links = re.findall(r"\]\(#([^)]+)\)", PAGE)
    assert len(links) > 5 and set(links) <= headings
