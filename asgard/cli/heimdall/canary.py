"""`asgard heimdall canary`: can clients produce, consume and commit through each broker, and how fast?"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asgard.cli.command import Which, command
from asgard.cli.heimdall import app
from asgard.cli.moments import Every, every_seconds
from asgard.cli.numbers import parse_number
from asgard.core import console, units
from asgard.core.console import Table
from asgard.core.errors import ExitCode, WrongUsage

if TYPE_CHECKING:
    from asgard.heimdall.canary.judge import BrokerTally, Times
    from asgard.heimdall.canary.run import CanaryResult

ONCE_ROUNDS = 3


@command(app, example="asgard heimdall canary --once\nasgard heimdall canary --duration 10m --json")
def canary(
    once: Annotated[bool, typer.Option("--once", help=f"{ONCE_ROUNDS} rounds, for cron.")] = False,
    duration: Annotated[
        str | None,
        typer.Option("--duration", metavar="TIME", help="Stop after this time, as in 10m; default: on Ctrl-C."),
    ] = None,
    every: Every = "1s",
    within: Annotated[str, typer.Option("--within", metavar="TIME", help="Timeout of each answer.")] = "2s",
    which: Which = Which(),
) -> int:
    """Keep sending a record through each broker, read it back and commit; prove that no acknowledged record is lost.

    Keeps one partition of the topic `asgard-canary` led by each broker. Exits with 1 if a broker does not serve at the end, or
    records are lost.
    """
    from asgard.compose import canary as composed
    from asgard.heimdall.canary.judge import healthy
    from asgard.heimdall.canary.run import CanarySettings
    from asgard.journal.store.database import open_journal

    if once and duration:
        raise WrongUsage("--once and --duration exclude each other")
    settings = CanarySettings(
        every_seconds(every, "10ms"),
        _seconds("--within", within),
        duration_s=_seconds("--duration", duration) if duration else None,
        rounds=ONCE_ROUNDS if once else None,
    )
    chosen = which.pick()
    stop = threading.Event()
    with closing(chosen.connect(deadline_s=10)) as control, open_journal() as journal, _stopping(stop):
        result = composed.run(chosen, control, journal, settings, stop=stop)
    _show(result)
    lost = result.verdict is not None and result.verdict.lost > 0
    return int(ExitCode.OK if healthy(result.tallies) and not lost else ExitCode.FAILED)


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the rounds and shows the results; the second one ends the command."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def asked(number: int, frame: object) -> None:
        stop.set()
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, asked)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _seconds(option: str, text: str) -> float:
    return parse_number(option, text, units.parse_duration, "a time above 0, as in 2s")


def _show(result: CanaryResult) -> None:
    from asgard.heimdall.canary.judge import KINDS, ordered

    tallies = ordered(result.tallies)
    document = {
        "rounds": result.rounds,
        "brokers": [_broker(tally) for tally in tallies],
        "news": result.news,
        "check": result.verdict,
    }
    columns = ["broker", "state", "rounds"]
    for kind in KINDS:
        columns += [kind, f"{kind} p50", f"{kind} p99"]
    rows = []
    for tally in tallies:
        row: list[object] = [tally.broker, tally.state, tally.rounds]
        for kind in KINDS:
            times = tally.times[kind]
            row += [_share(times), _ms(times.quantile(0.5)), _ms(times.quantile(0.99))]
        rows.append(row)
    text = result.verdict.sentence if result.verdict else "What was acknowledged could not be read back."
    console.emit(document, Table(columns, rows, right=frozenset(columns[2:])), text=text)


def _broker(tally: BrokerTally) -> dict[str, Any]:
    found: dict[str, Any] = {
        "broker": tally.broker,
        "state": tally.state,
        "because": tally.sentence,
        "rounds": tally.rounds,
    }
    for kind, times in tally.times.items():
        found[kind] = {
            "tried": times.tried,
            "worked": times.worked,
            "availability": times.availability,
            "p50_s": times.quantile(0.5),
            "p99_s": times.quantile(0.99),
        }
    return found


def _share(times: Times) -> str | None:
    return None if times.availability is None else f"{times.availability:.2%}"


def _ms(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds * 1000:.1f} ms"
