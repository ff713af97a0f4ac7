"""`/api`: what the pages show, as JSON, described by OpenAPI. `null`: not measured, never 0. Times are Unix seconds (UTC)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from flask import Response, abort, jsonify, request

from asgard.core.console import to_plain
from asgard.core.errors import AsgardError, WrongUsage
from asgard.heimdall.report import files
from asgard.heimdall.volume import windows
from asgard.heimdall.web.openapi import document
from asgard.heimdall.web.source import MonitoredCluster

if TYPE_CHECKING:
    from flask import Blueprint

    from asgard.heimdall.picture import Picture, TopicNow


def add(blueprint: Blueprint, source: MonitoredCluster) -> None:
    """Add the routes to a blueprint."""

    def picture() -> Picture:
        found = source.picture
        if found is None:
            abort(Response('{"error": "the cluster was not looked at yet"}\n', 503, mimetype="application/json"))
        return found

    @blueprint.get("/api/openapi.json")
    def openapi() -> Any:
        return jsonify(document(request.script_root + (blueprint.url_prefix or "")))

    @blueprint.get("/api/cluster")
    def cluster() -> Any:
        now = picture()
        return jsonify(
            cluster=now.cluster, cluster_id=now.cluster_id, at=now.at, brokers=len(now.brokers), topics=len(now.topics),
            groups=len(now.groups), under_replicated=now.under_replicated, offline=now.offline, moving=len(now.moving),
            problems=dict(now.problems), problem=source.problem or None,
        )  # fmt: skip

    @blueprint.get("/api/brokers")
    def api_brokers() -> Any:
        return jsonify([to_plain(b) for b in picture().brokers])

    @blueprint.get("/api/topics")
    def api_topics() -> Any:
        return jsonify([_topic(t, source) for t in picture().topics.values()])

    @blueprint.get("/api/topics/<path:name>")
    def api_topic(name: str) -> Any:
        found = picture().topics.get(name)
        if found is None:
            return _missing(f"there is no topic {name}")
        return jsonify(_topic(found, source))

    @blueprint.get("/api/groups")
    def api_groups() -> Any:
        return jsonify([_group(g, source) for g in picture().groups.values()])

    @blueprint.get("/api/groups/<path:name>")
    def api_group(name: str) -> Any:
        found = picture().groups.get(name)
        if found is None:
            return _missing(f"there is no group {name}")
        return jsonify(_group(found, source))

    @blueprint.get("/api/alerts")
    def api_alerts() -> Any:
        return jsonify([to_plain(s) for s in source.raised()])

    @blueprint.get("/api/daily")
    def api_daily() -> Any:
        try:
            zone = windows.zone(request.args.get("tz", "UTC"))
            day = windows.parse_date(request.args.get("date", "yesterday"), time.time(), zone)
        except WrongUsage as error:
            return jsonify(error=error.what), 400
        try:
            return jsonify(files.document(source.day(day, zone)))
        except AsgardError as error:
            return jsonify(error=error.what), 503


def _missing(what: str) -> Any:
    return jsonify(error=what), 404


def _topic(topic: TopicNow, source: MonitoredCluster) -> dict[str, Any]:
    plain: dict[str, Any] = to_plain(topic)
    worst = plain.pop("worst")
    plain["owner"] = source.settings.owners.of_topic(topic.name)
    plain["worst"] = {"group": worst["name"], "time_lag_s": worst["time_lag_s"]} if worst else None
    return plain


def _group(group: Any, source: MonitoredCluster) -> dict[str, Any]:
    return {**to_plain(group), "owner": source.settings.owners.of_group(group.name)}
