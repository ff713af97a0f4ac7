"""Continuous healing: one loop that looks, heals, and looks again until stopped.

A full look is taken every `every_s`. In between, a small request many times a second shows whether a broker came or went, which
triggers a full look at once. In a large cluster full looks take at most half of the time. What the loop carries between turns
is in `Rounds`; everything else is in the journal. If the cluster can't be reached, it retries until it can.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from asgard.core.errors import AsgardError, ExitCode, Unreachable
from asgard.thor.heal.memory import Memory
from asgard.thor.heal.once import HealContext, Turn, once

PEEK_S = 0.25
LONGEST_PAUSE_S = 5.0
SILENT_S = 10.0
"""A silent broker is not asked again for this long, so that it holds up one look and not every one."""


@dataclass
class Rounds:
    """What is carried between turns. Times are those of `time.monotonic`.

    `states` are the brokers as of the last look; `silent` those that did not answer, not to be asked before `ask_again`.
    """

    memory: Memory = field(default_factory=Memory)
    states: frozenset[tuple[int, str]] = frozenset()
    silent: tuple[int, ...] = ()
    ask_again: float = 0.0
    due: float = 0.0
    troubles: int = 0


def watch(
    reach: Callable[[], AbstractContextManager[HealContext]],
    *,
    every_s: float,
    over: threading.Event,
    report: Callable[[Turn], None],
    complain: Callable[[AsgardError], None],
) -> None:
    """Heal until `over` is set. `reach` connects to the cluster; `report` gets every turn, `complain` every failure.

    Raises what must not be retried: a refusal, wrong usage, an interruption.
    """
    rounds = Rounds()
    while not over.is_set():
        try:
            with reach() as context:
                while not over.is_set():
                    _round(context, rounds, every_s, report, complain)
                    over.wait(PEEK_S)
        except Unreachable as error:
            complain(error)
            rounds.troubles += 1
            over.wait(min(LONGEST_PAUSE_S, 0.25 * 2 ** min(rounds.troubles, 5)))


def _round(
    context: HealContext,
    rounds: Rounds,
    every_s: float,
    report: Callable[[Turn], None],
    complain: Callable[[AsgardError], None],
) -> None:
    """A turn, if one is due or something changed."""
    if time.monotonic() < rounds.due and _states(context) == rounds.states:
        return
    began = time.monotonic()
    unasked = rounds.silent if began < rounds.ask_again else ()
    try:
        turn = once(context, rounds.memory, unasked=unasked)
    except AsgardError as error:
        if isinstance(error, Unreachable) or error.exit_code in (
            ExitCode.USAGE,
            ExitCode.REFUSED,
            ExitCode.INTERRUPTED,
        ):
            raise
        complain(error)
        rounds.due = time.monotonic() + every_s
        return
    rounds.troubles = 0
    rounds.memory = turn.memory
    rounds.states = frozenset((b.id, b.state) for b in turn.situation.snapshot.brokers if b.state != "missing")
    if unasked:  # one that was fenced in the meantime is asked again as soon as it is back
        rounds.silent = tuple(b for b in unasked if b in turn.situation.up)
    elif turn.situation.snapshot.silent:
        rounds.silent, rounds.ask_again = turn.situation.snapshot.silent, time.monotonic() + SILENT_S
    took = time.monotonic() - began
    # What was just healed already looks different.
    rounds.due = 0.0 if turn.healed.state == "healed" else began + max(every_s, 2 * took)
    report(turn)


def _states(context: HealContext) -> frozenset[tuple[int, str]]:
    return frozenset((b.id, b.state) for b in context.control.cluster().brokers)
