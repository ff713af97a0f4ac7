"""What goes wrong in the Pulumi CLI, or on the way to it, as Asgard's errors: a sentence, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from asgard.core.errors import AsgardError, Busy, Unreachable
from asgard.odin.engine.backends import Backend


@contextmanager
def plain_errors(*, preparing: bool = False) -> Iterator[None]:
    """Errors in the CLI, or on the way to it, are not defects of Asgard: they become a sentence and exit 3. The failure
    of a command is the run's own result, unless it only prepares the run."""
    import subprocess

    import grpc
    from pulumi import automation

    try:
        yield
    except automation.CommandError as error:
        if preparing:
            raise _unusable(error) from error
        raise
    except AsgardError:
        raise
    except automation.InvalidVersionError as error:
        raise Unreachable(
            f"the version of the Pulumi CLI can't be used: {_first_line(error)}",
            "Install a release from pulumi.com, or use --engine embedded.",
        ) from error
    except (OSError, subprocess.SubprocessError, grpc.RpcError, ValueError, RuntimeError) as error:
        raise _unusable(error) from error
    except Exception as error:
        # The Automation API raises bare exceptions too; those raised by this program are Asgard's own.
        if type(error) is not Exception:
            raise
        raise _unusable(error) from error


def locked(backend: Backend, stack: str) -> Busy:
    """A stack that another run has locked in its backend."""
    return Busy(
        f"another run of Pulumi changes {stack} in {backend.url or 'its backend'}",
        f"Wait for it. If it is dead: PULUMI_BACKEND_URL={backend.login} pulumi cancel --stack {stack}",
    )


def _unusable(error: Exception) -> Unreachable:
    return Unreachable(
        f"the Pulumi CLI failed: {_first_line(error)}",
        "`pulumi about` says whether it works by itself; --engine embedded needs none.",
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"{type(error).__name__}: {lines[0][:300]}"
