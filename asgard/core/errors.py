"""Errors and exit codes: raised where the cause is known, caught once, at the edge of the command line.

An error says what happened, to what, and what to do next. Any other exception that escapes is a defect of Asgard and is
reported as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command; `docs/exit-codes.md` is generated from them and their meaning."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    BUSY = 75
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """What the code tells a script, in one line."""
        return {
            ExitCode.OK: "done, or healthy",
            ExitCode.FAILED: "failed, or unhealthy: a promise was not kept, data was lost, or there is drift that you don't allow",
            ExitCode.USAGE: "wrong usage, or an invalid file; nothing was changed",
            ExitCode.UNREACHABLE: "a cluster or a dependency can't be reached",
            ExitCode.REFUSED: "refused by a safety rule; the message says how to override it",
            ExitCode.BUSY: "another command holds the lease; try again later",
            ExitCode.INTERRUPTED: "interrupted; finished work is recorded, and the next run resumes the rest",
        }[self]


class AsgardError(Exception):
    """A failure with a sentence for a person and an exit code for a script."""

    exit_code = ExitCode.FAILED

    def __init__(self, what: str, hint: str | None = None) -> None:
        """`what` happened to what; `hint` says what to do next."""
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\n{self.hint}" if self.hint else self.what


class Failed(AsgardError):
    """The work was attempted and failed."""


class WrongUsage(AsgardError):
    """The command or its input is wrong; nothing was changed."""

    exit_code = ExitCode.USAGE


class Unreachable(AsgardError):
    """A cluster or a dependency does not respond."""

    exit_code = ExitCode.UNREACHABLE


class Refused(AsgardError):
    """A safety rule refused it; the hint says how to override it."""

    exit_code = ExitCode.REFUSED


class Busy(AsgardError):
    """Another command holds the lease."""

    exit_code = ExitCode.BUSY


class Interrupted(AsgardError):
    """The user stopped the command (Ctrl-C, SIGTERM)."""

    exit_code = ExitCode.INTERRUPTED


@dataclass(frozen=True, order=True)
class Problem:
    """One problem in a file: where, which field, what is wrong and what is allowed. Lines and columns count from 1.

    Line 0: it is not in a file; `file` is then the option it came from (`--set`).
    """

    file: str
    line: int
    column: int
    field: str
    message: str

    def __str__(self) -> str:
        if self.line == 0:
            return f"{self.file} {self.field}: {self.message}"
        where = f"{self.file}:{self.line}:{self.column}"
        return f"{where}: {self.field}: {self.message}" if self.field else f"{where}: {self.message}"


class InvalidFile(WrongUsage):
    """A file with problems; all of them are listed at once, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(str(p) for p in self.problems))
