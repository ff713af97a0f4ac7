"""Writes a load's result where people and CI look for it: `result.json`, `report.html`, `junit.xml`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asgard.core import console, paths
from asgard.loki.load.junit import junit
from asgard.loki.load.page import page
from asgard.loki.load.result import LoadResult


def write(result: LoadResult, directory: Path) -> Path:
    """Write all three; returns the path of the page. Raises WrongUsage if the directory can't be written."""
    return put(directory, console.to_plain(result), junit(result), page(result))


def put(directory: Path, document: Any, cases: str, html: str) -> Path:
    """Write the three files of a report; returns the path of the page. Raises WrongUsage if the directory can't be written."""
    files = {
        "result.json": json.dumps(document, indent=1, ensure_ascii=False) + "\n",
        "junit.xml": cases,
        "report.html": html,
    }
    paths.write_folder(directory, files)
    return directory / "report.html"
