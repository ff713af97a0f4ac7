"""The OpenAPI document of the API, from the same tables and models that serve it."""

from __future__ import annotations

import re
from typing import Any

from flask import Response, jsonify
from pydantic import TypeAdapter

from asgard.bifrost.web.acts import ACTS
from asgard.bifrost.web.api import ASKING, LOOKS, REQUEST_BODY, api
from asgard.bifrost.web.guard import public
from asgard.bifrost.web.models import ErrorAnswer

__all__ = ["api", "document"]

_ERRORS = {
    "401": "Log in with a token.",
    "403": "This person, or this token, may not do that.",
    "404": "It is not there, or not for this person to know of.",
    "409": "Its state does not allow that.",
    "413": "The body is too large.",
    "422": "Something is wrong with what was sent; the answer says what is allowed.",
    "429": "Too many requests: try again later.",
    "503": "The cluster does not answer, or another command holds it: try again later.",
}


@api.get("/openapi.json")
@public
def openapi() -> Response:
    """This API, described."""
    return jsonify(document())


def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    schemas: dict[str, Any] = {}

    def schema(kind: Any) -> dict[str, Any]:
        made = TypeAdapter(kind).json_schema(ref_template="#/components/schemas/{model}", mode="validation")
        schemas.update(made.pop("$defs", {}))
        if "title" not in made or made.get("type") != "object":
            return made
        name = made["title"]
        schemas[name] = made
        return {"$ref": f"#/components/schemas/{name}"}

    error = {"content": {"application/json": {"schema": schema(ErrorAnswer)}}}

    def operation(name: str, about: str, kind: Any, path: str, *, status: tuple[str, ...] = ("200",)) -> dict[str, Any]:
        answers = {s: {"description": about, "content": {"application/json": {"schema": schema(kind)}}} for s in status}
        errors = {code: {"description": words, **error} for code, words in _ERRORS.items()}
        parameters = [
            {"name": p, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for p in re.findall(r"<(\w+)>", path)
        ]
        return {"operationId": name, "summary": about, "parameters": parameters, "responses": {**answers, **errors}}

    def body(model: Any, *, required: bool) -> dict[str, Any]:
        return {"required": required, "content": {"application/json": {"schema": schema(model)}}}

    paths: dict[str, dict[str, Any]] = {}
    for look in LOOKS:
        made = operation(look.name, look.about, look.answer, look.path)
        made["parameters"] += [
            {"name": n, "in": "query", "required": False, "schema": s, "description": d} for n, s, d in look.query
        ]
        paths.setdefault(_path(look.path), {})["get"] = made
    for act in ACTS:
        made = operation(act.name, act.about, act.answer, act.path)
        made["requestBody"] = body(act.body, required=False)
        paths.setdefault(_path(act.path), {})["post"] = made
    for view, path, answer, flags in ASKING:
        status = ("200", "201") if path == "/requests" else ("200",)
        made = operation(view.__name__, (view.__doc__ or "").strip(), answer, path, status=status)
        made["parameters"] += [
            {"name": flag, "in": "query", "required": False, "schema": {"type": "boolean"}} for flag in flags
        ]
        made["requestBody"] = body(REQUEST_BODY, required=True)
        paths.setdefault(_path(path), {})["post"] = made
    return {
        "openapi": "3.1.0",
        "info": {"title": "Bifrost", "version": "1", "description": "Self-service access to Kafka."},
        "servers": [{"url": "/api/v1"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _path(path: str) -> str:
    return re.sub(r"<(\w+)>", r"{\1}", path)
