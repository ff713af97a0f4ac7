"""Experiments on a real cluster: held for its faults, with access to its machines, and cleaned up after dead runs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asgard.compose import holding, settle
from asgard.core import contexts, events
from asgard.core.errors import ExitCode, Failed, Refused
from asgard.kafka.target import Target
from asgard.loki.chaos import BlastRadius, variables
from asgard.loki.chaos.experiment import Experiment
from asgard.loki.chaos.providers import Values

if TYPE_CHECKING:
    from asgard.journal.operations import Operation, Settled
    from asgard.journal.store.database import Database
    from asgard.loki.chaos.run import ExperimentOutcome


@dataclass(frozen=True)
class ChaosOptions:
    """How to run an experiment. `seed` determines every choice of the run; `confirm` names a protected context."""

    seed: int
    limits: BlastRadius = field(default_factory=BlastRadius)
    allow_provider: bool = False
    timeout_s: float | None = None
    confirm: str | None = None


def allow(experiment: Experiment, allow_provider: bool) -> None:
    """Raise Refused if it calls code that is not Loki's, unless allowed."""
    foreign = experiment.foreign()
    if foreign and not allow_provider:
        raise Refused(
            f"{experiment.file} calls code that is not Loki's: {', '.join(sorted({str(a.provider) for a in foreign}))}",
            "It runs as you, without limits, and Loki can't undo it. To allow it: --allow-provider.",
        )


def run(experiment: Experiment, target: Target, options: ChaosOptions) -> ExperimentOutcome:
    """Run an experiment. Raises Refused and Busy before anything is broken, Unreachable, and InvalidFile.

    What can't be put back is in the outcome.
    """
    from asgard.loki.chaos import run as runs

    allow(experiment, options.allow_provider)
    values = Values(
        variables.configuration(experiment.configuration, os.environ), variables.secrets(experiment.secrets, os.environ)
    )
    outcome: ExperimentOutcome | None = None
    try:
        with holding.to_break(
            target,
            doing=f"loki chaos run {experiment.name}",
            seed=options.seed,
            confirm=options.confirm,
            limits=options.limits,
        ) as site:
            outcome = runs.run(site, experiment, values, seed=options.seed, timeout_s=options.timeout_s)
    except Failed as error:
        if outcome is None or outcome.exit_code == ExitCode.OK:
            raise
        events.warn(str(error))  # the run said so too; its record must not get lost over it
    assert outcome is not None
    return outcome


def broken(journal: Database) -> list[Operation]:
    """What dead runs left broken, in every cluster."""
    return [o for o in settle.abandoned(journal, "cluster/") if o.lease.endswith("/fault")]


def recover(journal: Database, confirm: str | None = None) -> list[Settled]:
    """Put all of that back. Returns each result. Raises Refused, before anything is changed, for a protected context."""
    from asgard.journal import operations

    left = broken(journal)
    for operation in left:
        contexts.refuse_protected(settle.context_of(operation), confirm)
    handlers = settle.handlers()
    return [s for lease in {o.lease: None for o in left} for s in operations.settle(journal, handlers, under=lease)]
