"""The request forms: their fields, and what people filled in as a request document. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from asgard.core.errors import InvalidFile
from asgard.core.pages.parts import Field

KINDS = {
    "topic": ("A topic", "A new topic in a namespace of your team, with a Kafka user of its own if you want."),
    "user": ("A user", "A Kafka user with credentials of its own, and what it may read and write."),
    "access": ("Access", "One of your users gets at a topic, also at another team's."),
    "change": ("A change", "More partitions, another retention or description of a topic of your team."),
    "delete": ("A deletion", "A topic or a user of your team goes, with the records it holds."),
    "bundle": ("Several things together", "A request file: all of it is made, or nothing."),
}
_DURATION = "As in 7d; forever is allowed too."
_NAMES = "Names, separated by spaces or commas."
_TOPIC = (
    Field("name", "Topic", required=True, help="In a namespace of your team, as in orders.created."),
    Field("partitions", "Partitions", kind="number", value="3"),
    Field("retention", "Retention", help=_DURATION),
    Field("throughput", "Throughput", help="What it is to take, as in 2MB/s: storage is estimated from it."),
    Field("description", "Description", help="What it is, for the catalogue."),
    Field("tags", "Tags", help="As in pii. " + _NAMES),
    Field("user", "With a Kafka user", help="A new user that writes to it and reads it."),
)
_USER = (
    Field("name", "User", required=True, help="In a namespace of your team, as in orders.api."),
    Field("produce", "Writes to", help=_NAMES),
    Field("consume", "Reads", help=_NAMES),
    Field("groups", "Consumer groups", help="Its own name by default. " + _NAMES),
    Field("for", "For how long", help="As in 30d; without it there is no end."),
)
_ACCESS = (
    Field("topic", "Topic", required=True, help="A topic, or a prefix such as payments."),
    Field("user", "User of your team", required=True),
    Field("operation", "To", kind="select", value="consume", options=(("consume", "read"), ("produce", "write"))),
    Field("groups", "Consumer groups", help=_NAMES),
    Field("for", "For how long", help="As in 30d; without it there is no end."),
)
_CHANGE = (
    Field("topic", "Topic", required=True),
    Field("partitions", "Partitions", kind="number", help="More than before."),
    Field("retention", "Retention", help=_DURATION),
    Field("throughput", "Throughput", help="As in 2MB/s."),
    Field("description", "Description"),
)
_DELETE = (
    Field("what", "What goes", kind="select", value="topic", options=(("topic", "a topic"), ("user", "a user"))),
    Field("name", "Its name", required=True),
)
_BUNDLE = (
    Field(
        "file", "Request file", kind="textarea", required=True,
        help="topics: [{name: orders.created}], users: [{name: orders.api, produce: [orders.created]}] …",
    ),
)  # fmt: skip
_BY_KIND = {"topic": _TOPIC, "user": _USER, "access": _ACCESS, "change": _CHANGE, "delete": _DELETE, "bundle": _BUNDLE}


def fields(
    kind: str, teams: Sequence[str], environments: Sequence[str], given: Mapping[str, str], wrong: Mapping[str, str]
) -> list[Field]:
    """The fields of a form with what was filled in and what is wrong with it."""
    common = [
        Field("team", "Team", kind="select", value=teams[0] if teams else "", options=[(t, t) for t in teams], required=True),
        Field("environment", "Environment", kind="select", options=[(e, e) for e in environments], required=True),
        Field("reason", "Reason", help="Why, for the people who approve."),
    ]  # fmt: skip
    first = [f for f in common[:2] if len(f.options) > 1]
    from dataclasses import replace

    found = [*_BY_KIND[kind], *first, common[2]]
    return [replace(f, value=given.get(f.name, f.value), error=wrong.get(f.name, "")) for f in found]


def document(kind: str, given: Mapping[str, str]) -> dict[str, Any] | str:
    """What was filled in, as a request document; a request file as its text."""
    v = {key: text.strip() for key, text in given.items() if text and text.strip()}
    common: dict[str, Any] = {k: v[k] for k in ("team", "environment", "reason") if k in v}
    if "for" in v and kind in ("user", "access"):
        common["for"] = v["for"]
    if kind == "bundle":
        return v.get("file", "")
    if kind == "topic":
        sized = _picked(v, "name", "retention", "throughput", "description")
        topic = {**sized, "partitions": _whole(v.get("partitions", "3")), "tags": names(v.get("tags", ""))}
        made: dict[str, Any] = {"topics": [_filled(topic)]}
        if "user" in v:
            made["users"] = [{"name": v["user"], "produce": [v.get("name", "")], "consume": [v.get("name", "")]}]
        return {**common, **made}
    if kind == "user":
        lists = {key: names(v.get(key, "")) for key in ("produce", "consume", "groups")}
        return {**common, "users": [_filled({"name": v.get("name"), **lists})]}
    if kind == "access":
        access = {**_picked(v, "topic", "user", "operation"), "groups": names(v.get("groups", ""))}
        return {**common, "access": [_filled(access)]}
    if kind == "change":
        change = _picked(v, "topic", "retention", "throughput", "description")
        if "partitions" in v:
            change["partitions"] = _whole(v["partitions"])
        return {**common, "changes": [change]}
    return {**common, "deletions": [{"user" if v.get("what") == "user" else "topic": v.get("name", "")}]}


def names(text: str) -> list[str]:
    """Names from a text that lists them."""
    return [name for name in re.split(r"[\s,;]+", text) if name]


def wrong_fields(error: InvalidFile) -> tuple[dict[str, str], list[str]]:
    """What is wrong at each field of the form, and all problems as lines."""
    at_field: dict[str, str] = {}
    besides: list[str] = []
    for problem in error.problems:
        last = re.split(r"[.\[]", re.sub(r"\[\d+\]", "", problem.field))[-1]
        if last and last not in at_field:
            at_field[last] = problem.message
        besides.append(f"{problem.field}: {problem.message}" if problem.field else problem.message)
    return at_field, besides


def pretty(document: Mapping[str, Any]) -> str:
    """A request document for people: one line for each thing."""
    return "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in document.items())


def _picked(values: Mapping[str, str], *keys: str) -> dict[str, Any]:
    return {key: values[key] for key in keys if key in values}


def _filled(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in (None, "", [])}


def _whole(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else text
