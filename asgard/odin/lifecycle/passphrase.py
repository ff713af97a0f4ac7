"""The passphrase that encrypts a stack's secrets: generated at the first `up`, or taken from the environment.

`PULUMI_CONFIG_PASSPHRASE` and `PULUMI_CONFIG_PASSPHRASE_FILE` win, as with Pulumi; else `$ASGARD_HOME/keys/STACK`
(0600) holds it.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from asgard.core import paths
from asgard.core.errors import Failed, WrongUsage


def passphrase(stack: str, *, create: bool) -> str:
    """The passphrase of a stack; with `create` it is generated if there is none yet.

    Raises Failed if it is needed and gone, WrongUsage if the environment names a file that can't be read.
    """
    if given := os.environ.get("PULUMI_CONFIG_PASSPHRASE"):
        return given
    if named := os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        try:
            return Path(named).read_text().strip()
        except OSError as error:
            raise WrongUsage(f"PULUMI_CONFIG_PASSPHRASE_FILE: can't read {named}: {error.strerror}") from error
    key = key_file(stack)
    if key.exists():
        return _own(key.read_text().strip(), stack)
    if not create:
        raise Failed(
            f"the passphrase of stack {stack} is not at {key}, and its state holds secrets",
            "Restore the file, or set PULUMI_CONFIG_PASSPHRASE_FILE to a copy of it.",
        )
    paths.private_dir(key.parent)
    made = secrets.token_urlsafe(32)
    paths.write_atomic(key, made + "\n")
    return _own(made, stack)


def forget(stack: str) -> None:
    """Delete what is stored of a stack's own passphrase."""
    key_file(stack).unlink(missing_ok=True)
    _derived_file(stack).unlink(missing_ok=True)


def _own(phrase: str, stack: str) -> str:
    from asgard.odin.engine.secrets import OwnPhrase

    return OwnPhrase(phrase, _derived_file(stack))


def _derived_file(stack: str) -> Path:
    return paths.home() / "keys" / ".derived" / stack


def key_file(stack: str) -> Path:
    """Where a stack's own passphrase is stored."""
    return paths.home() / "keys" / stack
