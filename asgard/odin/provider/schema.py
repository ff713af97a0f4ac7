"""The Pulumi package schema of the provider, generated from the table of resource types."""

from __future__ import annotations

import json
from typing import Any

from asgard import __version__
from asgard.odin.resources.kinds import KINDS, Property, ResourceType

_NODE = "asgard:local:Node"

CONFIG_FIELDS = (
    Property(
        "bootstrapServers", "string", "`host:port,…` of the cluster that the resources of `asgard:kafka` live in."
    ),
    Property(
        "clientProperties",
        "map",
        "Kafka client properties, as in a file for Kafka's own tools: security.protocol, sasl.mechanism, sasl.jaas.config …",
        secret=True,
    ),
    Property("clusterId", "string", "Guard: a cluster that answers with another id is refused."),
)


def _type(field: Property) -> dict[str, Any]:
    match field.type:
        case "map":
            return {"type": "object", "additionalProperties": {"type": "string"}}
        case "strings":
            return {"type": "array", "items": {"type": "string"}}
        case "integers":
            return {"type": "array", "items": {"type": "integer"}}
        case "nodes":
            return {"type": "array", "items": {"$ref": f"#/types/{_NODE}"}}
        case simple:
            return {"type": simple}


def _property(field: Property, *, as_input: bool) -> dict[str, Any]:
    about = field.about + (f" One of {', '.join(field.among)}." if field.among else "")
    found = {**_type(field), "description": about}
    if field.secret:
        found["secret"] = True
    if as_input and field.replaces:
        found["willReplaceOnChanges"] = True
    if as_input and field.default is not None and not isinstance(field.default, dict):
        found["default"] = field.default
    return found


def _resource(kind: ResourceType) -> dict[str, Any]:
    always = [field for field in kind.fields if field.output and not field.optional]
    outputs = [field for field in kind.fields if field in always or field.required or field.default is not None]
    return {
        "description": kind.about,
        "properties": {field.name: _property(field, as_input=False) for field in kind.fields},
        "required": [field.name for field in outputs],
        "inputProperties": {field.name: _property(field, as_input=True) for field in kind.inputs},
        "requiredInputs": [field.name for field in kind.inputs if field.required],
    }


def schema() -> dict[str, Any]:
    """The schema document."""
    config = {field.name: _property(field, as_input=False) for field in CONFIG_FIELDS}
    return {
        "name": "asgard",
        "displayName": "Asgard",
        "version": __version__,
        "description": "Kafka as code: clusters on this machine, topics, users, ACLs, quotas and configs.",
        "keywords": ["pulumi", "kafka", "category/infrastructure"],
        "license": "Apache-2.0",
        "meta": {"moduleFormat": "(.*)"},
        "config": {"variables": config},
        "provider": {
            "description": "A Kafka cluster to work on.",
            "properties": {name: value for name, value in config.items() if value["type"] == "string"},
            "inputProperties": config,
        },
        "types": {
            _NODE: {
                "type": "object",
                "description": "A node of a cluster on this machine.",
                "properties": {
                    "id": {"type": "integer", "description": "`node.id`."},
                    "roles": {"type": "array", "items": {"type": "string"}, "description": "`broker`, `controller`."},
                    "rack": {"type": "string", "description": "`broker.rack`."},
                    "brokerPort": {"type": "integer", "description": "Port of the client listener."},
                    "controllerPort": {"type": "integer", "description": "Port of the controller listener, or 0."},
                    "directoryId": {"type": "string", "description": "Id of the log directory."},
                    "tlsPort": {"type": "integer", "description": "Port of the client listener with TLS."},
                    "certificatePort": {"type": "integer", "description": "Port for users who log in by certificate."},
                    "tlsControllerPort": {"type": "integer", "description": "Port of the controllers' with TLS, or 0."},
                },
                "required": ["id", "roles", "rack", "brokerPort", "controllerPort", "directoryId"],
            }
        },
        "resources": {token: _resource(kind) for token, kind in KINDS.items()},
        "language": {"nodejs": {}, "python": {}, "go": {}, "csharp": {}},
    }


def schema_text() -> str:
    """The schema as JSON."""
    return json.dumps(schema(), indent=2)
