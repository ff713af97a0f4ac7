"""What a call of `asgard odin` allows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

EngineName = Literal["embedded", "pulumi"]


@dataclass(frozen=True)
class Options:
    """`allow_data_loss`: topics that may lose records. `confirm`: the name of a protected context, or of what is destroyed."""

    allow_data_loss: frozenset[str] = frozenset()
    confirm: str | None = None
    engine: EngineName = "embedded"

    def allowing(self, topics: frozenset[str]) -> Options:
        """The same, and these topics may lose records too."""
        return replace(self, allow_data_loss=self.allow_data_loss | topics)
