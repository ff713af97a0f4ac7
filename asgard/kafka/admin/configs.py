"""Dynamic configs of topics, brokers and the cluster-wide default (broker `""`), read and written as Kafka stores them.

A broker's own configs are written through that broker only. Nothing here compares with the current value: a write of an
unchanged value is a write (`min.insync.replicas` would clear eligible leader replicas), and avoiding it is the caller's
job.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from kafka.protocol.admin import DescribeConfigsRequest, IncrementalAlterConfigsRequest

from asgard.core.errors import AsgardError
from asgard.kafka.admin import errors
from asgard.kafka.admin.topics import NAMES_A_REQUEST, TopicCalls
from asgard.kafka.admin.wire import Wire, chunks
from asgard.kafka.model import ConfigChange

KEYED_A_REQUEST = 5_000
"""Topics per request when only a few of their configs are read."""
_TYPE = {"topic": 2, "broker": 4}
_SET, _DELETE = 0, 1
_FROM_TOPIC, _FROM_BROKER, _FROM_CLUSTER = 1, 2, 3


class ConfigCalls(TopicCalls):
    """The part of the control plane about configs."""

    _wire: Wire

    def topic_configs(self, names: Collection[str] | None = None) -> dict[str, dict[str, str]]:
        """Only what is set on the topic itself, for existing topics."""
        wanted = [t.name for t in self._described(None)] if names is None else names
        return {
            name: {c.name: c.value or "" for c in configs if c.config_source == _FROM_TOPIC}
            for name, configs in self._topic_configs(wanted)
        }

    def effective_topic_configs(
        self, names: Collection[str], keys: Collection[str] | None = None
    ) -> dict[str, dict[str, str]]:
        """Effective topic configs, defaults included: those of `keys`, or all."""
        return {name: {c.name: c.value or "" for c in configs} for name, configs in self._topic_configs(names, keys)}

    def _topic_configs(self, names: Collection[str], keys: Collection[str] | None = None) -> list[tuple[str, Any]]:
        resource = DescribeConfigsRequest.DescribeConfigsResource
        only = None if keys is None else list(keys)
        found = []
        for answer in self._wire.ask_all(
            (
                DescribeConfigsRequest(
                    resources=[resource(resource_type=2, resource_name=n, configuration_keys=only) for n in batch]
                ),
                None,
            )
            for batch in chunks(sorted(set(names)), NAMES_A_REQUEST if keys is None else KEYED_A_REQUEST)
        ):
            for topic in answer.results:
                if topic.error_code == errors.UNKNOWN_TOPIC:
                    continue
                name = topic.resource_name
                doing, needs = f"read the configs of topic {name}", f"DESCRIBE_CONFIGS on topic {name}"
                self._wire.check(topic.error_code, topic.error_message, doing, needs)
                found.append((name, topic.configs))
        return found

    def broker_configs(self, broker: str) -> dict[str, str]:
        """Dynamic configs of a broker id, or of `""`, the cluster-wide default: only those set there. Secrets read as ""."""
        source = _FROM_BROKER if broker else _FROM_CLUSTER
        return {c.name: c.value or "" for c in self._broker_configs(broker) if c.config_source == source}

    def effective_broker_configs(self, keys: Collection[str]) -> dict[str, str]:
        """Effective configs, defaults included, as a broker that is up reports them."""
        return {c.name: c.value or "" for c in self._broker_configs(str(self._wire.brokers()[0]), keys)}

    def _broker_configs(self, broker: str, keys: Collection[str] | None = None) -> list[Any]:
        resource = DescribeConfigsRequest.DescribeConfigsResource
        only = None if keys is None else list(keys)
        answer = self._wire.ask(
            DescribeConfigsRequest(
                resources=[resource(resource_type=4, resource_name=broker, configuration_keys=only)]
            ),
            int(broker) if broker else None,
        ).results[0]
        doing = f"read the configs of broker {broker}" if broker else "read the cluster-wide broker configs"
        self._wire.check(answer.error_code, answer.error_message, doing, "DESCRIBE_CONFIGS on the cluster")
        return list(answer.configs)

    def alter_configs(self, changes: Collection[ConfigChange]) -> dict[tuple[str, str], AsgardError | None]:
        """By (resource type, name). Incremental; the broker refuses unknown keys."""
        result: dict[tuple[str, str], AsgardError | None] = {}
        merged = _merged(changes)
        own = [key for key in merged if key[0] == "broker" and key[1]]

        def send(batch: list[tuple[str, str]], node: int | None) -> dict[tuple[str, str], int]:
            resources = [_resource(merged[key]) for key in batch]
            answer = self._wire.ask(IncrementalAlterConfigsRequest(resources=resources, validate_only=False), node)
            codes = {(r.resource_type, r.resource_name): (r.error_code, r.error_message) for r in answer.responses}
            for kind, name in batch:
                result[kind, name] = self._config_refusal(kind, name, *codes[_TYPE[kind], name])
            return {(kind, name): codes[_TYPE[kind], name][0] for kind, name in batch}

        self._wire.settle([k for k in merged if k not in own], lambda batch, _: send(batch, None), NAMES_A_REQUEST)
        for key in own:
            try:
                self._wire.settle([key], lambda batch, _: send(batch, int(batch[0][1])), 1)
            except errors.BrokerDown as error:
                result[key] = error
        return result

    def _config_refusal(self, kind: str, name: str, code: int, message: str | None) -> AsgardError | None:
        if kind == "topic":
            what, needs = f"topic {name}", f"ALTER_CONFIGS on topic {name}"
        else:
            what, needs = f"broker {name}" if name else "all brokers", "ALTER_CONFIGS on the cluster"
        return self._wire.outcome(code, message, f"change the configs of {what}", needs)


def _resource(change: ConfigChange) -> Any:
    resource = IncrementalAlterConfigsRequest.AlterConfigsResource
    config = resource.AlterableConfig
    return resource(
        resource_type=_TYPE[change.resource_type],
        resource_name=change.name,
        configs=[config(name=k, config_operation=_SET, value=v) for k, v in change.set.items()]
        + [config(name=k, config_operation=_DELETE, value=None) for k in change.unset],
    )


def _merged(changes: Collection[ConfigChange]) -> dict[tuple[str, str], ConfigChange]:
    """One change per resource: Kafka refuses two in one request. Of two values of a key the later one counts."""
    merged: dict[tuple[str, str], ConfigChange] = {}
    for change in changes:
        key = (change.resource_type, change.name)
        before = merged.get(key, ConfigChange(change.resource_type, change.name))
        kept = {k: v for k, v in before.set.items() if k not in change.unset}
        unset = dict.fromkeys(k for k in (*before.unset, *change.unset) if k not in change.set)
        merged[key] = ConfigChange(change.resource_type, change.name, {**kept, **change.set}, tuple(unset))
    return merged
