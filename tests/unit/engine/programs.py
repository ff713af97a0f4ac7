"""Programs that both engines run: each builds the same small stack a little differently from the one before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi

Program = Callable[[], None]


class Thing(pulumi.CustomResource):
    """A resource of the example provider."""

    address: pulumi.Output[str]

    def __init__(self, label: str, opts: pulumi.ResourceOptions | None = None, **inputs: Any) -> None:
        super().__init__("example:index:Thing", label, {"address": None, **inputs}, opts)


class Main(pulumi.ProviderResource):
    """The example provider, configured by the program."""

    def __init__(self, label: str, path: Any) -> None:
        super().__init__("example", label, {"path": path})


class Group(pulumi.ComponentResource):
    """A component: no provider, outputs of its own."""

    def __init__(self, label: str) -> None:
        super().__init__("example:index:Group", label, {})
        self.register_outputs({"members": 1})


def build(
    path: Path,
    *,
    a: dict[str, Any] | None = None,
    b: bool = True,
    protect: bool | None = None,
    ignore: list[str] | None = None,
    default: bool = False,
) -> Program:
    """`a` are inputs of the first thing (None: it is not there); `b` hangs on it; `default` adds one of the default provider."""

    def program() -> None:
        main = Main("main", path=str(path))
        group = Group("group")
        first = None
        if a is not None:
            opts = pulumi.ResourceOptions(provider=main, protect=protect, ignore_changes=ignore)
            first = Thing("a", opts, name="alpha", password=pulumi.Output.secret("s3cret<&>"), **a)
            pulumi.export("address", first.address)
        if b:
            opts = pulumi.ResourceOptions(provider=main, parent=group, depends_on=[first] if first else None)
            Thing("b", opts, name=first.address.apply(lambda at: f"beta-{at}") if first else "beta")
        if default:
            Thing("c", name="gamma")
        pulumi.export("secret", pulumi.Output.secret({"word": "hush"}))

    return program


STORY: list[tuple[str, dict[str, Any]]] = [
    ("create", {"a": {"size": 1, "zone": "z1"}}),
    ("same", {"a": {"size": 1, "zone": "z1"}}),
    ("update", {"a": {"size": 2, "zone": "z1", "tags": {"k.1": ["x", 1.5, True]}}}),
    ("update-nested", {"a": {"size": 2, "zone": "z1", "tags": {"k.1": ["y", 1.5]}}}),
    ("ignored", {"a": {"size": 7, "zone": "z1", "tags": {"k.1": ["y", 1.5]}}, "ignore": ["size"]}),
    ("replace", {"a": {"size": 2, "zone": "z2"}}),
    ("delete-before-replace", {"a": {"size": 2, "zone": "z2", "slot": "s1"}}),
    ("default-provider", {"a": {"size": 2, "zone": "z2", "slot": "s1"}, "default": True}),
    ("protect", {"a": {"size": 2, "zone": "z2", "slot": "s1"}, "default": True, "protect": True}),
    ("delete-protected", {"a": None, "b": False}),
    ("delete", {"a": {"size": 2, "zone": "z2", "slot": "s1"}, "b": False, "protect": False}),
    ("delete-last", {"a": None, "b": False}),
]
"""Steps of one stack's life: a name, and the arguments of `build`."""
