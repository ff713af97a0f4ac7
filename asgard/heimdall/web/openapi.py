"""The OpenAPI description of `/api`. Pure."""

from __future__ import annotations

from typing import Any

from asgard import __version__


def document(base: str) -> dict[str, Any]:
    """The description; `base` is where the pages are."""
    number, text = {"type": "number"}, {"type": "string"}
    maybe: dict[str, Any] = {"type": ["number", "null"]}
    topic = {
        "name": text, "owner": text, "partitions": number, "replicas": number, "records": maybe, "size_bytes": maybe,
        "rate_per_s": maybe, "newest": maybe, "under_replicated": number, "offline": number,
        "groups": {"type": "array", "items": text},
        "worst": {"type": ["object", "null"], "properties": {"group": text, "time_lag_s": maybe}},
    }  # fmt: skip
    group = {
        "name": text, "owner": text, "type": text, "state": text, "status": text, "because": text, "lag": maybe, "time_lag_s": maybe,
        "loses_data_in_s": maybe, "expired_unread": number, "catch_up_s": maybe, "topics": {"type": "array", "items": text},
    }  # fmt: skip
    alert = {"rule": text, "subject": text, "phase": text, "since": number, "raised_at": maybe, "text": text, "value": number, "labels": {"type": "object"}}  # fmt: skip
    cluster = {"cluster": text, "cluster_id": text, "at": number, "brokers": number, "topics": number, "groups": number, "under_replicated": number, "offline": number, "moving": number}  # fmt: skip
    name = {"name": "name", "in": "path", "required": True, "schema": text}
    day = [
        {"name": "date", "in": "query", "schema": text, "description": "2026-11-27, today or yesterday"},
        {"name": "tz", "in": "query", "schema": text, "description": "an IANA time zone; UTC by default"},
    ]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Asgard Heimdall", "version": __version__, "description": "What a Kafka cluster does. null: not measured, never 0. Times are Unix seconds."},
        "servers": [{"url": base or "/"}],
        "components": {"schemas": {"Topic": _object(topic), "Group": _object(group), "Alert": _object(alert), "Cluster": _object(cluster)}},
        "paths": {
            "/api/cluster": _get("The cluster as a whole.", _ref("Cluster")),
            "/api/brokers": _get("Brokers with what they hold.", {"type": "array", "items": {"type": "object"}}),
            "/api/topics": _get("All topics.", _many("Topic")),
            "/api/topics/{name}": _get("One topic.", _ref("Topic"), [name], missing=True),
            "/api/groups": _get("All groups.", _many("Group")),
            "/api/groups/{name}": _get("One group.", _ref("Group"), [name], missing=True),
            "/api/alerts": _get("Alerts that are raised.", _many("Alert")),
            "/api/daily": _get("The daily report, format asgard.daily/v1.", {"type": "object"}, day, wrong=True),
        },
    }  # fmt: skip


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _many(name: str) -> dict[str, Any]:
    return {"type": "array", "items": _ref(name)}


def _get(
    words: str, schema: dict[str, Any], parameters: list[dict[str, Any]] | None = None, *, missing: bool = False, wrong: bool = False
) -> dict[str, Any]:  # fmt: skip
    answers: dict[str, Any] = {
        "200": {"description": words, "content": {"application/json": {"schema": schema}}},
        "503": {"description": "The cluster was not looked at yet, or does not answer."},
    }
    if missing:
        answers["404"] = {"description": "There is none of that name."}
    if wrong:
        answers["400"] = {"description": "The date or the time zone is wrong."}
    return {"get": {"summary": words, "parameters": parameters or [], "responses": answers}}
