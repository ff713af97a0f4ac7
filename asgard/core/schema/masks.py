"""Masks (`asgard.masks/v1`): which parts of records are personal data, and what is shown instead."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from asgard.core.schema.fields import EmptyList, EmptyMapping, Model, OptionalText, Text

Do = Literal["hash", "redact"]


class MaskField(Model):
    """Fields of the value whose path matches."""

    field: Text = Field(description="a name at any depth (email, *_phone), or a path with dots (customer.*.name)")
    do: Do = "redact"


class MasksFile(Model):
    """What is masked. Nothing that is hashed or redacted can be brought back."""

    format: Literal["asgard.masks/v1"] = "asgard.masks/v1"
    secret: OptionalText = Field(
        default=None, description="of the hash, as in ${env:MASKS}; without one, hashes differ from run to run"
    )
    fields: Annotated[list[MaskField], EmptyList] = Field(default_factory=list)
    key: Literal["show", "hash", "redact"] = Field(default="show", description="of the record")
    headers: Annotated[dict[str, Do], EmptyMapping] = Field(
        default_factory=dict, description="header name to what is done"
    )
