"""Which feature levels belong to a version of Kafka (`metadata.version` and its like, KIP-584).

Kafka's own tool gives them: the right level is not the highest that a broker knows, which may be a preview of a later
version, but the one that a new cluster gets.
"""

from __future__ import annotations

import re

from asgard.core.errors import Failed
from asgard.machines.local import process

_LINE = re.compile(r"([a-z][a-z.]+\.version)=(\d+)(?: \(.*\))?")
_TIMEOUT_S = 60


def levels_of(version: str) -> dict[str, int]:
    """The initial levels of a cluster created with this Kafka, by feature; 0: the feature is off. Raises Failed."""
    command = [*process.java_command(version, "-Xmx64m"), "kafka.tools.StorageTool", "version-mapping"]
    done = process.run_tool(command, f"asking Kafka {version} for its feature levels", _TIMEOUT_S)
    found = parse(done.stdout)
    if done.returncode != 0 or "metadata.version" not in found:
        raise Failed(f"Kafka {version} does not report its feature levels: {process.first_words(done)}")
    return found


def parse(text: str) -> dict[str, int]:
    """The lines `metadata.version=30 (4.3-IV0)` of the tool; others are skipped."""
    return {m[1]: int(m[2]) for line in text.splitlines() if (m := _LINE.fullmatch(line.strip()))}
