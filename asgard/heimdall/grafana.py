"""A Grafana dashboard and Prometheus alert rules for the metrics of `/metrics`. Pure: plain data, ready for `json` and YAML."""

from __future__ import annotations

from typing import Any

from asgard.heimdall.alerts.model import AlertRule

_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_FULL_S = 7 * 86400


def dashboard() -> dict[str, Any]:
    """The dashboard; it asks for the data source when it is imported."""
    panels = [
        _stat("Brokers up", 'kafka_brokers{job=~"$job"}', 0, 0),
        _stat("Under-replicated", 'asgard_cluster_under_replicated_partitions{job=~"$job"}', 4, 0, bad=1),
        _stat("Offline partitions", 'asgard_cluster_offline_partitions{job=~"$job"}', 8, 0, bad=1),
        _stat("Groups behind", 'count(asgard_group_status{job=~"$job"} >= 2) or vector(0)', 12, 0, bad=1),
        _stat("Alerts", 'count(asgard_alert_raised{job=~"$job"}) or vector(0)', 16, 0, bad=1),
        _stat("Unread data expires in", 'min(asgard_group_loses_data_in_seconds{job=~"$job"})', 20, 0, unit="s"),
        _graph("Records that arrive", 'topk(10, asgard_topic_records_per_second{job=~"$job", topic=~"$topic"})', "{{topic}}", 0, 4, "cps"),
        _graph("Time lag", 'topk(10, asgard_group_time_lag_seconds{job=~"$job", owner=~"$owner"})', "{{group_id}}", 12, 4, "s"),
        _graph("Lag", 'topk(10, asgard_group_lag_records{job=~"$job", owner=~"$owner"})', "{{group_id}}", 0, 12, "short"),
        _graph("Unread data expires in", 'bottomk(10, asgard_group_loses_data_in_seconds{job=~"$job", owner=~"$owner"})', "{{group_id}}", 12, 12, "s"),
        _graph("Volumes used", 'asgard_broker_volume_used_bytes{job=~"$job"} / asgard_broker_volume_capacity_bytes', "{{broker_id}} {{path}}", 0, 20, "percentunit"),
        _graph("Time since the newest record", 'topk(10, time() - asgard_topic_newest_record_timestamp_seconds{job=~"$job", topic=~"$topic"})', "{{topic}}", 12, 20, "s"),
        _graph("Under-replicated and moving partitions", ['asgard_cluster_under_replicated_partitions{job=~"$job"}', 'asgard_cluster_moving_partitions{job=~"$job"}'], "{{__name__}}", 0, 28, "short"),
        _graph("Series left out", 'asgard_metrics_series_dropped{job=~"$job"}', "{{metric}}", 12, 28, "short"),
    ]  # fmt: skip
    return {
        "title": "Kafka (Asgard Heimdall)",
        "uid": "asgard-heimdall",
        "tags": ["kafka", "asgard"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "annotations": {"list": [_marks("fault", "red"), _marks("healing", "green"), _marks("drill", "blue")]},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
                _variable("job", "label_values(kafka_brokers, job)"),
                _variable("owner", 'label_values(asgard_group_status{job=~"$job"}, owner)'),
                _variable("topic", 'label_values(asgard_topic_records_per_second{job=~"$job"}, topic)'),
            ]
        },
        "panels": [{"id": n + 1, **panel} for n, panel in enumerate(panels)],
    }


def alert_rules(rules: tuple[AlertRule, ...] = ()) -> dict[str, Any]:
    """Prometheus alert rules: those of heimdall.yaml that metrics can judge, else a sensible default set; and one for a silent Heimdall."""
    found = [alert for rule in rules or _DEFAULTS if (alert := _alert(rule)) is not None]
    found.append(
        _rule("HeimdallSilent", "time() - asgard_look_timestamp_seconds > 300 or absent(asgard_look_timestamp_seconds)", 60.0, "critical", "Heimdall has not looked at the cluster for 5 minutes", {})
    )  # fmt: skip
    return {"groups": [{"name": "asgard-heimdall", "rules": found}]}


_DEFAULTS = (
    AlertRule("KafkaTimeLag", "time-lag", for_s=120.0),
    AlertRule("KafkaUnreadDataExpires", "data-loss", severity="critical"),
    AlertRule("KafkaGroupStopped", "group-stopped", for_s=600.0),
    AlertRule("KafkaUnderReplicated", "under-replicated", for_s=120.0),
    AlertRule("KafkaDiskFull", "disk-full", for_s=600.0),
)


def _alert(rule: AlertRule) -> dict[str, Any] | None:
    """One rule as PromQL; None if there is no metric for it (audits, canary, volume)."""
    groups = "" if rule.groups == ("*",) else f'{{group_id=~"{"|".join(_regex(p) for p in rule.groups)}"}}'
    above, within = rule.above, rule.within_s
    match rule.kind:
        case "time-lag":
            text = f"asgard_group_time_lag_seconds{groups} > {300 if above is None else above:g}"
            words = "{{ $labels.group_id }}: the oldest unread record is {{ $value | humanizeDuration }} old"
        case "data-loss":
            text = f"asgard_group_loses_data_in_seconds{groups} <= {6 * 3600 if within is None else within:g}"
            words = "{{ $labels.group_id }}: retention deletes unread records in {{ $value | humanizeDuration }}"
        case "group-stopped":
            text = f"asgard_group_status{groups} >= 4"
            words = "{{ $labels.group_id }} is stalled or stopped"
        case "under-replicated":
            text = (
                f"asgard_cluster_under_replicated_partitions > {above or 0:g} or asgard_cluster_offline_partitions > 0"
            )
            words = "{{ $value }} partitions are under-replicated or offline"
        case "disk-full":
            ahead = _FULL_S if within is None else within
            text = (
                f"predict_linear(asgard_broker_volume_used_bytes[6h], {ahead:g}) > asgard_broker_volume_capacity_bytes"
            )
            words = "broker {{ $labels.broker_id }} {{ $labels.path }} fills up"
        case _:
            return None
    return _rule(rule.name, text, rule.for_s, rule.severity, words, dict(rule.labels))


def _rule(name: str, text: str, for_s: float, severity: str, words: str, labels: dict[str, str]) -> dict[str, Any]:
    named = "".join(c if c.isalnum() or c == "_" else "_" for c in name)
    return {
        "alert": named,
        "expr": text,
        "for": f"{for_s:g}s",
        "labels": {"severity": severity, **labels},
        "annotations": {"summary": words},
    }


def _regex(pattern: str) -> str:
    import re

    return "".join(".*" if c == "*" else "." if c == "?" else re.escape(c).replace("\\", "\\\\") for c in pattern)


def _marks(kind: str, color: str) -> dict[str, Any]:
    """Marks on every chart while there is one of that kind."""
    return {
        "name": f"{kind.capitalize()}s", "enable": True, "iconColor": color, "datasource": _DATASOURCE,
        "expr": f'asgard_happening{{job=~"$job", kind="{kind}"}} > 0', "step": "30s", "titleFormat": kind.capitalize(),
    }  # fmt: skip


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name, "type": "query", "datasource": _DATASOURCE, "query": query, "definition": query, "includeAll": True, "multi": True,
        "allValue": ".*", "current": {"text": "All", "value": "$__all"}, "refresh": 2, "sort": 1,
    }  # fmt: skip


def _stat(title: str, query: str, x: int, y: int, *, bad: int | None = None, unit: str = "none") -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if bad is not None:
        steps.append({"color": "red", "value": bad})
    return {
        "type": "stat",
        "title": title,
        "gridPos": {"h": 4, "w": 4, "x": x, "y": y},
        "datasource": _DATASOURCE,
        "fieldConfig": {
            "defaults": {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "targets": [{"refId": "A", "expr": query, "datasource": _DATASOURCE}],
    }


def _graph(title: str, queries: str | list[str], legend: str, x: int, y: int, unit: str) -> dict[str, Any]:
    asked = [queries] if isinstance(queries, str) else queries
    return {
        "type": "timeseries",
        "title": title,
        "gridPos": {"h": 8, "w": 12, "x": x, "y": y},
        "datasource": _DATASOURCE,
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "targets": [
            {"refId": chr(65 + n), "expr": q, "legendFormat": legend, "datasource": _DATASOURCE}
            for n, q in enumerate(asked)
        ],
    }
