"""How a stack and its resources are named, without Pulumi's SDK: code that only reads a state needs no more."""

from __future__ import annotations

from dataclasses import dataclass

from asgard.odin.engine.steps import STACK_TYPE


@dataclass(frozen=True)
class StackRef:
    """A project and the name of one of its stacks: the first two parts of every URN."""

    project: str
    name: str

    @property
    def urn(self) -> str:
        """The URN of the stack itself, the parent of everything."""
        return self.child("", STACK_TYPE, f"{self.project}-{self.name}")

    def child(self, parent: str, type: str, name: str) -> str:
        """The URN of a resource (sdk/go/common/resource/urn): the stack is not named among the parents' types."""
        parents = parent.split("::")[2] if parent else ""
        qualified = type if not parents or parents == STACK_TYPE else f"{parents}${type}"
        return f"urn:pulumi:{self.name}::{self.project}::{qualified}::{name}"
