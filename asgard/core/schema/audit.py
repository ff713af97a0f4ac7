"""An audit (`asgard.audit/v1`): the tiers that records pass through, and which topics each tier has."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from asgard.core.schema.fields import Model, OptionalText, Text
from asgard.core.schema.slo import Time


class AuditTier(Model):
    """A stage of the pipeline. A record that reached this tier is expected in the next one."""

    name: Text
    topics: Annotated[list[Text], Field(min_length=1)]


class AuditFile(Model):
    """What is audited. A record belongs to the window of its intended send time, in every tier."""

    format: Literal["asgard.audit/v1"] = "asgard.audit/v1"
    name: OptionalText = Field(default=None, description="under which the progress is kept; by default the file's")
    tiers: Annotated[list[AuditTier], Field(min_length=1)]
    window: Time = Field(default=600.0, description="10m by default")
    lateness: Time = Field(
        default=600.0, description="a window stays open until records so much later have arrived in every tier"
    )
