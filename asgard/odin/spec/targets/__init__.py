"""What a stack file may say with each target, and what its values mean there: one `TargetRules` for each word.

Where brokers of a target run is `asgard.machines.targets`; how its cluster is created is `asgard.odin.targets`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from asgard.core.document import Found

if TYPE_CHECKING:
    from asgard.core.schema.stack import StackFile, TargetName
    from asgard.odin.spec.model import KafkaSpec, Place


class TargetRules(Protocol):
    """The target's part of a stack file. Pure."""

    @property
    def section(self) -> str | None:
        """The key of the section that only this target has; None if it has none."""
        ...

    @property
    def clusters(self) -> str:
        """Words for its clusters, as in `clusters on AWS`."""
        ...

    def review(self, file: StackFile) -> Found:
        """Every problem of its section, and of what the rest of the file says about the cluster itself."""
        ...

    def kafka(self, file: StackFile) -> KafkaSpec:
        """The cluster of a file without problems."""
        ...

    def place(self, file: StackFile, folder: Path) -> Place:
        """What its section says; relative paths start in `folder`. None if it has no section."""
        ...


def of(name: TargetName) -> TargetRules:
    """The rules of a target. Imported on demand: most commands need one."""
    match name:
        case "local":
            from asgard.odin.spec.targets.local import LocalRules

            return LocalRules()
        case "external":
            from asgard.odin.spec.targets.external import ExternalRules

            return ExternalRules()
        case "aws-ec2":
            from asgard.odin.spec.targets.aws import AwsRules, on_instances

            return AwsRules(on_instances)
        case "aws-msk":
            from asgard.odin.spec.targets.aws import AwsRules, on_msk

            return AwsRules(on_msk)


SECTIONS: dict[str, TargetName] = {"cluster": "external", "aws": "aws-ec2"}
"""The sections that belong to a target, with one target that has it."""


def review(file: StackFile) -> Found:
    """Every problem that has to do with the file's target."""
    rules = of(file.target)
    for section, owner in SECTIONS.items():
        if section != rules.section and getattr(file, section) is not None:
            allowed = "is `kafka`" if rules.section is None else f"are `kafka` and `{rules.section}`"
            yield (section,), f"is for {of(owner).clusters}; allowed with `target: {file.target}` {allowed}"
    yield from rules.review(file)
