"""Thresholds by group, from the `lag:` of a file: the first rule whose pattern matches the group's name."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

from asgard.core.errors import InvalidFile
from asgard.heimdall.lag.model import Thresholds

FILE = "heimdall.yaml"


def load(path: Path | None) -> Callable[[str], Thresholds]:
    """Thresholds by group: of the file, else of heimdall.yaml in the working directory, else the defaults.

    Raises WrongUsage and InvalidFile.
    """
    from asgard.core import yaml
    from asgard.core.schema.heimdall import HeimdallFile
    from asgard.core.schema.validate import check

    if path is None:
        path = Path(FILE)
        if not path.is_file():
            return lambda group: Thresholds()
    checked = check(yaml.read(path), HeimdallFile)
    if checked.problems or checked.value is None:
        raise InvalidFile(checked.problems)
    rules = [
        (rule.groups, Thresholds(rule.time_lag, rule.lag, rule.stall_after, rule.catch_up, rule.data_loss))
        for rule in checked.value.lag
    ]
    return lambda group: next((t for pattern, t in rules if fnmatchcase(group, pattern)), Thresholds())
