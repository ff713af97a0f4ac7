"""The one place that names Pulumi's provider SDK, whose module is called experimental: pin the range, touch it here.

Both ends of the protocol import from here: Asgard's provider, which implements `Provider`, and the embedded engine, which
calls one.
"""

from pulumi.provider.experimental.property_value import Computed, PropertyValue
from pulumi.provider.experimental.provider import (
    CheckFailure,
    CheckRequest,
    CheckResponse,
    ConfigureRequest,
    ConfigureResponse,
    CreateRequest,
    CreateResponse,
    DeleteRequest,
    DiffRequest,
    DiffResponse,
    GetSchemaRequest,
    GetSchemaResponse,
    PropertyDiff,
    PropertyDiffKind,
    Provider,
    ReadRequest,
    ReadResponse,
    UpdateRequest,
    UpdateResponse,
)

__all__ = [
    "CheckFailure",
    "CheckRequest",
    "CheckResponse",
    "Computed",
    "ConfigureRequest",
    "ConfigureResponse",
    "CreateRequest",
    "CreateResponse",
    "DeleteRequest",
    "DiffRequest",
    "DiffResponse",
    "GetSchemaRequest",
    "GetSchemaResponse",
    "PropertyDiff",
    "PropertyDiffKind",
    "PropertyValue",
    "Provider",
    "ReadRequest",
    "ReadResponse",
    "UpdateRequest",
    "UpdateResponse",
]
