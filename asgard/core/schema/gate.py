"""The `gate:` of a stack file: the load that a new or changed cluster must handle before it counts as provisioned."""

from __future__ import annotations

from pydantic import Field

from asgard.core.schema.fields import Model, Rate, Size, Text
from asgard.core.schema.slo import Slo, Time


class GateLoadSection(Model):
    """So many records a second to a scratch topic like `topic`, or with `in_place` to the topic itself."""

    topic: Text = Field(description="one of the stack's topics")
    rate: Rate = Field(description="records a second, as in 2000/s")
    size: Size = Field(default=1024, description="bytes of a record's value")
    duration: Time = 20.0
    in_place: bool = Field(default=False, description="write to the topic itself instead of a scratch topic like it")


class GateSection(Model):
    """`odin up` fails while the load is not stood as `slo` says."""

    load: GateLoadSection
    slo: Slo
