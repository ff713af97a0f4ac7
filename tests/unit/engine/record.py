"""Record what the real Pulumi CLI answers to the programs of `programs.STORY`: `python -m tests.unit.engine.record`.

Wants `pulumi` on PATH. Writes tests/data/pulumi/story.json: for each step the preview's and the update's steps and the exported
checkpoint, with the CLI's version; paths, ids, times and ciphertexts are normalised by `normal`; one secret is kept
as it was, with the passphrase that opens it.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

from pulumi import automation as auto

from tests.unit.engine import programs

DATA = Path(__file__).parents[2] / "data" / "pulumi" / "story.json"
PASSPHRASE = "correct horse"
SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"


def install_plugin(directory: Path) -> None:
    """Put `pulumi-resource-example` into a directory that goes on PATH."""
    script = directory / "pulumi-resource-example"
    root = Path(__file__).parents[3]
    script.write_text(
        f'#!/bin/sh\nPYTHONPATH={root} exec {sys.executable} {Path(__file__).parent / "example.py"} "$@"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


def steps_of(events: list[Any], after: bool) -> list[dict[str, Any]]:
    """The steps in engine events: planned ones of a preview, or finished ones of an update; in an order that does not vary."""
    found = []
    for event in events:
        metadata = None
        if after and event.res_outputs_event is not None:
            metadata = event.res_outputs_event.metadata
        elif not after and event.resource_pre_event is not None:
            metadata = event.resource_pre_event.metadata
        if metadata is None:
            continue
        detailed = metadata.detailed_diff or {}
        found.append(
            {
                "op": str(getattr(metadata.op, "value", metadata.op)),
                "urn": metadata.urn,
                "replace": sorted(metadata.keys or []),
                "diff": {path: str(getattr(d.diff_kind, "value", d.diff_kind)) for path, d in detailed.items()},
            }
        )
    return sorted(found, key=lambda step: (step["urn"], step["op"]))


def normal(value: Any, home: str) -> Any:
    """The value without what differs from run to run or machine to machine."""
    if isinstance(value, dict):
        if value.get("4dabf18193072939515e22adb298388d") == SECRET_SIGNATURE:
            return "[secret]"
        dropped = ("created", "modified", "sourcePosition", "stackTrace", "time", "salt", "magic", "plugins")
        return {key: normal(item, home) for key, item in value.items() if key not in dropped}
    if isinstance(value, list):
        return [normal(item, home) for item in value]
    if isinstance(value, str):
        value = value.replace(home, "HOME")
        return re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID", value)
    return value


def record() -> dict[str, Any]:
    """Run the story with the real CLI."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        (home / "bin").mkdir()
        (home / "backend").mkdir()
        install_plugin(home / "bin")
        os.environ["PATH"] = f"{home / 'bin'}:{os.environ['PATH']}"
        things = home / "things.json"
        env = {
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_BACKEND_URL": f"file://{home / 'backend'}",
            "PULUMI_HOME": str(home / "pulumi"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "EXAMPLE_PATH": str(things),
            "PATH": os.environ["PATH"],
        }
        story = []
        stack = None
        for name, arguments in programs.STORY:
            stack = auto.create_or_select_stack(
                stack_name="dev",
                project_name="story",
                program=programs.build(things, **arguments),
                opts=auto.LocalWorkspaceOptions(env_vars=env, secrets_provider="passphrase"),
            )
            planned: list[Any] = []
            done: list[Any] = []
            error = None
            try:
                stack.preview(on_event=planned.append, parallel=512)
            except auto.CommandError as failure:
                error = str(failure)
            try:
                stack.up(on_event=done.append, parallel=512, continue_on_error=True)
            except auto.CommandError as failure:
                error = str(failure)
            exported = stack.export_stack()
            story.append(
                {
                    "name": name,
                    "failed": error is not None,
                    "preview": normal(steps_of(planned, False), str(home)),
                    "up": normal(steps_of(done, True), str(home)),
                    "export": normal({"version": exported.version, "deployment": exported.deployment}, str(home)),
                }
            )
            print(name, "failed" if error else "done")
            if error:
                print(error[-1500:])
        assert stack is not None
        checkpoint = json.loads((home / "backend/.pulumi/stacks/story/dev.json").read_bytes())
        exported = checkpoint["checkpoint"]["latest"]
        root = next(r for r in exported["resources"] if r["type"] == "pulumi:pulumi:Stack")
        secret = {
            "passphrase": PASSPHRASE,
            "salt": exported["secrets_providers"]["state"]["salt"],
            "ciphertext": root["outputs"]["secret"]["ciphertext"],
            "value": {"word": "hush"},
        }
        stack.destroy()
        return {"cli": stack.workspace.pulumi_version, "story": story, "secret": secret}


if __name__ == "__main__":
    DATA.parent.mkdir(parents=True, exist_ok=True)
    DATA.write_text(json.dumps(record(), indent=1, ensure_ascii=False) + "\n")
