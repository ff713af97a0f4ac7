"""Templates for pipelines, timers, cron jobs and images: each line that runs Asgard is a command with options that it has."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from asgard.cli.main import COMMANDS, load
from asgard.core.shipped import shipped

FOLDERS = ("ci", "systemd", "kubernetes", "docker")
FILES = [file for folder in FOLDERS for file in sorted((shipped("templates") / folder).iterdir())]
_LINE = re.compile(r"(?:^|[\s{/=(])asgard((?: +[a-z][a-z-]+)+(?: +[^;|&}\n]*)?)")


def commands(text: str) -> Iterator[list[str]]:
    """The words after `asgard`, of each line that runs it."""
    for line in text.splitlines():
        if line.lstrip().startswith(("#", "Description=", "name:", "- name:")):
            continue
        for found in _LINE.finditer(line.split(" #")[0]):
            yield shlex.split(found[1].replace(">", " ").split(" 2 ")[0])


def known(words: list[str]) -> str:
    """What is wrong with a command line; empty: nothing."""
    if words[0] not in COMMANDS:
        return f"no command {words[0]}"
    command, words = load(words[0]), words[1:]
    while getattr(command, "commands", None) and words:
        inner = command.commands.get(words[0])
        if inner is None:
            return f"no command {words[0]}"
        command, words = inner, words[1:]
    if getattr(command, "commands", None):
        return f"{command.name} wants a command"
    options = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    return ", ".join(w for w in words if w.startswith("--") and w.partition("=")[0] not in options)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_commands_and_options_are_there(file: Path) -> None:
    for words in commands(file.read_text()):
        assert known(words) == "", f"{file}: asgard {' '.join(words)}"


def test_the_templates_run_asgard_at_all() -> None:
    found = {file.parent.name: 0 for file in FILES}
    for file in FILES:
        found[file.parent.name] += len(list(commands(file.read_text())))
    assert min(found[folder] for folder in ("ci", "systemd")) >= 3, found


def scripts(value: Any) -> Iterator[str]:
    """The shell of `run:` and `script:`."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "run" and isinstance(item, str):
                yield item
            elif key == "script" and isinstance(item, list):
                yield "\n".join(item)
            else:
                yield from scripts(item)
    elif isinstance(value, list):
        for item in value:
            yield from scripts(item)


@pytest.mark.parametrize("name", ["github-actions.yaml", "gitlab-ci.yaml"])
def test_a_pipeline_previews_applies_and_drills_in_shell_that_parses(name: str) -> None:
    found = list(scripts(yaml.safe_load((shipped("templates") / "ci" / name).read_text())))
    for script in found:
        text = re.sub(r"\$\{\{.*?\}\}", "x", script)
        checked = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr
    everything = "\n".join(found)
    for part in ("asgard odin preview --output markdown", "asgard odin up --yes", "asgard loki drill"):
        assert part in everything, part
