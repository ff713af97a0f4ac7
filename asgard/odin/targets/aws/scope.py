"""What the AWS resources of a stack have in common: the stack's name, the tags, and the provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pulumi

from asgard.odin.spec.aws import AwsSettings

OptionsFactory = Callable[..., pulumi.ResourceOptions]


@dataclass(frozen=True)
class Scope:
    """`stack` begins each resource's name, `tags` are on each resource. `options` makes Pulumi's options of one, with AWS's provider."""

    stack: str
    tags: Mapping[str, str]
    options: OptionsFactory

    @property
    def invoke(self) -> pulumi.InvokeOptions:
        """The options of a look-up, with AWS's provider."""
        return pulumi.InvokeOptions(provider=self.options().provider)


def of_stack(name: str, given: AwsSettings, options: OptionsFactory) -> Scope:
    """The scope of a stack, with its own tags and Asgard's."""
    return Scope(name, {**given.tags, "asgard:stack": name, "asgard:environment": given.environment}, options)
