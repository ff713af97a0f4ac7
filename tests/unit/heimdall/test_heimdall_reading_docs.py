"""The pages about audit and trace: their YAML is valid, their commands and options exist, their worked example is true."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from asgard.cli.main import load
from asgard.core.errors import WrongUsage
from asgard.heimdall.audit import plan
from asgard.heimdall.stamp.traceparent import parse
from asgard.heimdall.tail import masks

DOCS = Path(__file__).parents[3] / "docs"
PAGES = ("heimdall-audit.md", "heimdall-trace.md", "heimdall-canary.md")
COMMANDS = [
    line[len("$ asgard heimdall ") :]
    for page in PAGES
    for line in (DOCS / page).read_text().splitlines()
    if line.startswith("$ asgard heimdall ")
]


def yaml_of(page: str) -> str:
    (found,) = re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    return found


def test_the_audit_of_the_page_is_one(tmp_path):
    path = tmp_path / "audit.yaml"
    path.write_text(yaml_of("heimdall-audit.md"))
    found = plan.read(path)
    assert found.name == "orders" and [tier.name for tier in found.tiers] == ["produced", "enriched"]


def test_the_masks_of_the_page_are_some(tmp_path, monkeypatch):
    monkeypatch.setenv("MASKS", "s")
    path = tmp_path / "masks.yaml"
    path.write_text(yaml_of("heimdall-trace.md"))
    found = masks.read(path)
    assert (found.secret, found.key, dict(found.headers)) == (b"s", "redact", {"user": "redact"})


def test_a_secret_that_is_not_there_is_said(tmp_path, monkeypatch):
    monkeypatch.delenv("MASKS", raising=False)
    path = tmp_path / "masks.yaml"
    path.write_text(yaml_of("heimdall-trace.md"))
    with pytest.raises(WrongUsage, match="MASKS"):
        masks.read(path)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_pages_can_be_parsed(line):
    name, *arguments = shlex.split(line.partition("|")[0])
    command = load("heimdall").commands[name]
    command.make_context(name, arguments, resilient_parsing=False)


def test_the_trace_of_the_page_about_headers_is_valid():
    (found,) = re.findall(r"^00-[0-9a-f-]+$", (DOCS / "record-header.md").read_text(), re.MULTILINE)
    assert parse(found.encode()) is not None
