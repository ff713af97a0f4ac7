"""The progress and the result of an execution, as values and in words.

Bytes are those of copied replicas; rates bytes per second; times seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from asgard.core import events
from asgard.core.errors import ExitCode
from asgard.core.units import format_duration, format_size


@dataclass(frozen=True)
class MovesProgress:
    """Progress. `rate` is None until it was measured, `throttle` if there is none."""

    partitions: int
    partitions_done: int
    bytes: int
    bytes_done: int
    rate_bytes_per_s: float | None = None
    throttle_bytes_per_s: float | None = None

    def tell(self) -> None:
        """As an event of the operation."""
        events.progress("moving", str(self), done=self.bytes_done, total=self.bytes, unit="bytes")

    @property
    def seconds_left(self) -> float | None:
        """At the measured rate; None if it is unknown."""
        if not self.rate_bytes_per_s:
            return None
        return max(0, self.bytes - self.bytes_done) / self.rate_bytes_per_s

    def __str__(self) -> str:
        parts = [f"{self.partitions_done} of {self.partitions} partitions"]
        if self.bytes:
            parts.append(f"{format_size(self.bytes_done)} of {format_size(self.bytes)}")
        if self.rate_bytes_per_s is not None and self.bytes:
            parts.append(f"{format_size(self.rate_bytes_per_s)}/s")
            if (left := self.seconds_left) is not None:
                parts.append(f"about {format_duration(left)} left")
        if self.throttle_bytes_per_s is not None:
            parts.append(f"throttle {format_size(self.throttle_bytes_per_s)}/s a broker")
        return ", ".join(parts)


@dataclass(frozen=True)
class Executed:
    """The result of a plan. `moved` partitions with `bytes_moved`; `already` were in place before; `gone` were deleted.

    `left` are not moved, `flying` of them are still moving. `refused`: partition to why Kafka, or a check, refused it.
    `stopped`: health got worse, or nothing progressed; `handed_over`: a more urgent command has the cluster; `paused`:
    no move may start now. All None: it ran to the end.
    """

    what: str
    moved: int = 0
    bytes_moved: int = 0
    already: int = 0
    gone: int = 0
    left: int = 0
    flying: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    stopped: str | None = None
    handed_over: str | None = None
    paused: str | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def ended_early(self) -> str | None:
        """Why it did not run to the end; None if it did."""
        return self.stopped or self.handed_over or self.paused

    @property
    def exit_code(self) -> ExitCode:
        """0 if everything is done; 75 if the same command continues later; else 1."""
        if self.handed_over or self.paused:
            return ExitCode.BUSY
        return ExitCode.FAILED if self.stopped or self.refused or self.left else ExitCode.OK

    def __str__(self) -> str:
        moved = f"{self.moved} partition{'' if self.moved == 1 else 's'} moved"
        if self.bytes_moved:
            moved += f", {format_size(self.bytes_moved)} copied"
        parts = [f"{self.what}: {moved} in {format_duration(self.seconds)}"]
        for count, words in (
            (self.already, "were already in place"),
            (self.gone, "were deleted"),
            (self.left - self.flying, "are left"),
            (self.flying, "are still moving"),
        ):
            if count:
                parts.append(f"{count} {words}")
        return "; ".join(parts)
