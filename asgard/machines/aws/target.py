"""The targets `aws-ec2` and `aws-msk`: brokers are instances of a stack, or Amazon's.

`up` notes the region beside the stack's state, so that the nodes can be found without reading that state.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Never

from asgard.core import paths

if TYPE_CHECKING:
    from asgard.machines.aws.nodes import Ec2Nodes


class Aws:
    """See the module. `on_instances`: the nodes are the stack's own; MSK's can be reached only through Kafka."""

    makes_brokers = True

    def __init__(self, *, on_instances: bool) -> None:
        self._on_instances = on_instances
        self.installs_kafka = on_instances
        self.logins_in_kafka = on_instances  # MSK takes them from secrets

    def nodes(self, stack: str) -> Ec2Nodes | None:
        """The stack's instances; None if it has none. AWS is called only when one of them is needed."""
        region = _region(stack) if self._on_instances else None
        if region is None:
            return None
        from asgard.machines.aws.nodes import Ec2Nodes

        return Ec2Nodes(stack, region)

    def outdated(self, stack: str) -> Sequence[int]:
        """Instances of an older version of their launch template: an Auto Scaling group of one does not replace them by
        itself."""
        nodes = self.nodes(stack)
        return () if nodes is None else nodes.outdated()

    def disks(self, stack: str) -> Sequence[Never]:
        """None: volumes are on other machines."""
        return ()


def note(stack: str, region: str) -> None:
    """Write down where a stack's instances are."""
    paths.write_atomic(_file(stack), json.dumps({"region": region}) + "\n")


def _region(stack: str) -> str | None:
    try:
        return str(json.loads(_file(stack).read_text())["region"])
    except (OSError, ValueError, KeyError):
        return None


def _file(stack: str) -> Path:
    return paths.stack_dir(stack) / "aws.json"
