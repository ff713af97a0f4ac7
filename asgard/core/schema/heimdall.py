"""The `lag:` of `heimdall.yaml`: when a group counts as behind, by the pattern of its name."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from asgard.core.schema.fields import EmptyList, Model, Seconds, Text


class LagRule(Model):
    """What holds for groups whose name matches; the first rule that matches counts."""

    groups: Text = Field(description="a name, or a pattern with * and ?, as in payments-*")
    time_lag: Seconds = Field(default=300, description="how old the oldest unread record may be")
    lag: Annotated[int | None, Field(ge=0)] = Field(
        default=None, description="how many records may be unread where their age can't be measured"
    )
    stall_after: Seconds = Field(default=60, description="without progress for so long it is stalled")
    catch_up: Seconds = Field(default=1800, description="one that catches up within this time is well")
    data_loss: Seconds = Field(default=21600, description="warn if retention deletes unread records within this time")


class HeimdallFile(Model):
    """Any file with `lag:`; its other keys belong to other commands."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    lag: Annotated[list[LagRule], EmptyList] = Field(default_factory=list)
