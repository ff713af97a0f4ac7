"""Writes a load's result where people and CI look for it: `result.json`, `report.html`, `junit.xml`."""

from __future__ import annotations

import json
from pathlib import Path

from asgard.core import console, paths
from asgard.core.errors import WrongUsage
from asgard.loki.load.junit import junit
from asgard.loki.load.page import page
from asgard.loki.load.result import Result


def write(result: Result, directory: Path) -> Path:
    """Write all three; the path of the page. Raises WrongUsage where the directory can't be written."""
    files = {
        "result.json": json.dumps(console.to_plain(result), indent=1, ensure_ascii=False) + "\n",
        "junit.xml": junit(result),
        "report.html": page(result),
    }
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            paths.write_atomic(directory / name, text, 0o644)
    except OSError as error:
        raise WrongUsage(f"can't write the report to {directory}: {error.strerror}") from error
    return directory / "report.html"
