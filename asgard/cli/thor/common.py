"""Options that several of Thor's commands share: the cluster or snapshot to look at, and the limits."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asgard.cli.command import Which
from asgard.cli.numbers import parse_number
from asgard.core import console, units
from asgard.core.errors import WrongUsage

if TYPE_CHECKING:
    from asgard.cluster.limits import Limits
    from asgard.kafka.model import ClusterSnapshot
    from asgard.thor.replay.pace import Rate

CALL_DEADLINE_S = 10.0
"""Timeout of each call, for read-only commands."""

SnapshotPath = Annotated[
    Path | None,
    typer.Option("--snapshot", metavar="FILE", help="A snapshot that `thor snapshot` wrote, instead of a cluster."),
]
LimitsPath = Annotated[
    Path | None,
    typer.Option(
        "--limits", metavar="FILE", help="A file with `limits:`; default: thor.yaml or asgard.yaml, if there is one."
    ),
]
Window = Annotated[
    str | None,
    typer.Option(
        "--window", metavar="TIME", help="Measure rates for this long, as in 10s; default: don't measure them."
    ),
]
Throttle = Annotated[
    str | None,
    typer.Option(
        "--throttle",
        metavar="RATE",
        help="Bytes a second per broker, as in 50MB/s; overrides the limits. To carry out a plan also auto (by the brokers' headroom) or none.",
    ),
]

ByteRate = Annotated[
    str | None,
    typer.Option(
        "--rate",
        metavar="RATE",
        help="Bytes a second, as in 20MB/s, or none; default: the throttle of the limits (50MB/s).",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]


def window_seconds(text: str | None) -> float:
    """Seconds of `--window`; 0 without one. Raises WrongUsage."""
    if text is None:
        return 0.0
    seconds = parse_number("--window", text, units.parse_duration)
    if not 1 <= seconds <= 3600:
        raise WrongUsage(f"--window is {text!r}; allowed is a time from 1s to 1h")
    return seconds


def snapshot_of(
    path: Path | None,
    which: Which,
    window: str | None = None,
) -> ClusterSnapshot:
    """The snapshot from a file, else of the cluster that the options name.

    Raises WrongUsage for conflicting options, and what reading or looking raises.
    """
    if path is not None:
        if which.bootstrap_server or which.command_config or window:
            raise WrongUsage("--snapshot replaces the cluster", "Give either --snapshot or the options of a cluster.")
        from asgard.cluster import snapshot_file

        return snapshot_file.read(path)
    from asgard.cluster import look

    seconds = window_seconds(window)
    with closing(which.pick().connect(deadline_s=CALL_DEADLINE_S)) as control:
        return look.take(control, window_s=seconds)


def limits_file(path: Path | None, what: str = "limits") -> Path | None:
    """The file of `--limits`, else thor.yaml or asgard.yaml of the working directory, if there is one: said, with `what` it gives."""
    if path is None:
        path = next((p for p in (Path("thor.yaml"), Path("asgard.yaml")) if p.is_file()), None)
        if path is not None:
            console.say(f"{what} from {path}")
    return path


def limits_of(path: Path | None, throttle: str | None = None) -> Limits:
    """The limits of `--limits`, else of thor.yaml or asgard.yaml in the working directory, else the defaults.

    Raises WrongUsage and InvalidFile.
    """
    from asgard.cluster import limits

    path = limits_file(path)
    given = limits.read(path) if path else limits.Limits()
    if throttle is None:
        return given
    rate = parse_number("--throttle", throttle, units.parse_rate, "a rate above 0, as in 50MB/s")
    return replace(given, throttle_bytes_per_s=rate)


def rate_of(rate: str | None, records: str | None, default_bytes_per_s: float) -> Rate:
    """The limits of `--rate` and `--records`. Raises WrongUsage."""
    from asgard.thor.replay.pace import Rate

    found: list[float | None] = []
    for text, option, default in ((rate, "--rate", default_bytes_per_s), (records, "--records", None)):
        if text is None or text == "none":
            found.append(default if text is None else None)
            continue
        found.append(parse_number(option, text, units.parse_rate, "a rate above 0"))
    return Rate(*found)


def say_silent(snapshot: ClusterSnapshot) -> None:
    """Warn about brokers that did not answer: the snapshot lacks what only they know."""
    if snapshot.silent:
        names = ", ".join(map(str, snapshot.silent))
        console.warn(f"no answer in time from broker {names}: sizes that only they know are not measured")
