"""What all parts of Asgard need of a machine: Java, Kafka, ports, disk, the engines, the journal."""

from __future__ import annotations

import shutil

from asgard.core.errors import AsgardError
from asgard.machines.local.doctor import Check, check_machine


def checks() -> list[Check]:
    """All checks; they fetch and change nothing."""
    return [*check_machine(), check_engine(), check_journal(), *check_certificates()]


def check_engine() -> Check:
    """The embedded engine is always there; the Pulumi CLI is shown, because `--engine pulumi` needs it."""
    cli = shutil.which("pulumi")
    provider = shutil.which("pulumi-resource-asgard")
    found = (
        f"embedded; Pulumi CLI at {cli}" if cli else "embedded; no Pulumi CLI on PATH (only --engine pulumi needs one)"
    )
    if cli and not provider:
        return Check(
            "engine",
            False,
            f"{found}, but pulumi-resource-asgard is not on PATH",
            "Put the folder of the asgard command on PATH: the Pulumi CLI finds the provider there.",
        )
    return Check("engine", True, found)


def check_certificates() -> list[Check]:
    """Whether the certificates of nodes on AWS stay valid long enough, for each stack with such nodes."""
    from asgard.odin.lifecycle import certificates
    from asgard.odin.resources.local import now

    return [Check("certificates", not held.due(now()), held.sentence(now())) for held in certificates.everywhere()]


def check_journal() -> Check:
    """Whether the journal opens."""
    from asgard.journal.store.database import open_journal

    try:
        with open_journal() as journal:
            return Check("journal", True, journal.where)
    except AsgardError as error:
        return Check("journal", False, error.what, error.hint)
