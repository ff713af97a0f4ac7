"""The lines of a crontab that run recipes. Pure.

cron gives a command no terminal, almost no environment and a different folder, so a line carries everything: the program's full
path, ASGARD_HOME and whatever else moves Asgard's files, the cluster, the answers to all questions, and where its log goes.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asgard.thor.recipes.model import Recipe

CARRIED = ("ASGARD_JOURNAL", "ASGARD_STORE", "ASGARD_CACHE", "ASGARD_MAVEN_REPO", "KAFKA_HOME", "JAVA_HOME")
"""Variables that a line carries if they are set when it is printed, apart from ASGARD_HOME."""
EVERY_MINUTE = "* * * * *"


@dataclass(frozen=True)
class Line:
    """One line of a crontab. `schedule` is cron's."""

    recipe: str
    schedule: str
    command: str
    log: Path

    def __str__(self) -> str:
        # cron ends a command at a bare %: the rest would become its stdin.
        return f"{self.schedule} {self.command} >> {shlex.quote(str(self.log))} 2>&1".replace("%", r"\%")


@dataclass(frozen=True)
class Installation:
    """This machine's Asgard: the program, the variables that it needs, and the folder of the logs."""

    asgard: Path
    variables: Mapping[str, str]
    logs: Path


def lines(
    recipe: Recipe,
    here: Installation,
    *,
    cluster: Sequence[str],
    options: Sequence[str],
    shipped: bool,
    schedule: str | None = None,
) -> list[Line]:
    """A line for its schedule, and one that checks every minute for its event. None if it is run by hand.

    `cluster` are the options that name it and confirm changes, `options` the other options of `recipe run`; `schedule` overrides
    the recipe's own.
    """
    name = recipe.name if shipped else str(recipe.file.absolute())
    run = (str(here.asgard), "thor", "recipe", "run", name, *cluster, "--yes", *options)
    words = [f"{key}={shlex.quote(value)}" for key, value in here.variables.items()]
    words += [shlex.quote(word) for word in run]
    log = here.logs / f"{recipe.name}.log"
    found = []
    when = schedule or recipe.schedule
    if when:
        found.append(Line(recipe.name, when, " ".join(words), log))
    if recipe.event and schedule is None and when != EVERY_MINUTE:
        found.append(Line(recipe.name, EVERY_MINUTE, " ".join([*words, "--on-event"]), log))
    return found
