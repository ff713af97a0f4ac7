"""State against cluster: the actual state of a recorded resource, and the differences.

`Observed` reads each kind once, when it is first needed; `observe` looks one resource up in it; `difference`
compares two sets of properties. No Pulumi, no writes.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any

from asgard.cluster.kept import Kept, own
from asgard.kafka.model import Acl, QuotaEntity, QuotaValues, Topic
from asgard.kafka.ports import ControlPlane
from asgard.odin.resources import configs, identity, local
from asgard.odin.resources.checks import declarable_rate
from asgard.odin.resources.kinds import ACL, ALLOCATION, BROKER, CONFIG, KINDS, QUOTA, QUOTA_NAMES, TOPIC, USER
from asgard.odin.resources.values import UNKNOWN, Values

Differences = dict[str, tuple[Any, Any]]
"""Path of a property (`partitions`, `config["retention.ms"]`) to its old and its new value; None: absent."""

PROPAGATION_S = 5.0
_PLAIN_KEY = re.compile(r"[A-Za-z_$][\w$-]*")

TEMPORARY_CONFIGS = frozenset({"leader.replication.throttled.replicas", "follower.replication.throttled.replicas"})
"""Topic configs that belong to a running move and not to the topic: not drift."""


class Observed:
    """What the cluster holds, each kind read once and then kept. Safe to ask from several threads.

    `control` is called when Kafka is first needed; `running` reports a local node, by cluster name and node id.
    `names`: the only topics to read (a cluster may hold thousands of others); None: all of them. `now` gives the time
    (RFC 3339, UTC), `kept` the configs that are set until it is time to put them back: they are not drift.
    """

    def __init__(
        self,
        control: Callable[[], ControlPlane],
        running: Callable[[str, int], bool | None] = local.running,
        names: Collection[str] | None = None,
        certificate: Callable[[str, int], str] = local.certificate,
        now: Callable[[], str] = local.now,
        kept: Callable[[], Mapping[str, Kept]] = dict,
    ) -> None:
        self._control = control
        self._names = names
        self._running = running
        self._certificate = certificate
        self.now = now
        self._held = kept
        self._kept: dict[str, Any] = {}
        self._stale: set[str] = set()
        self._expected: dict[str, dict[Hashable, tuple[float, Callable[[Any], bool]]]] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def _get(self, kind: str, read: Callable[[ControlPlane], Any], fresh: bool = True) -> Any:
        with self._lock:
            lock = self._locks.setdefault(kind, threading.Lock())
        with lock:
            if kind not in self._kept or (fresh and kind in self._stale):
                self._stale.discard(kind)
                expected = self._expected.pop(kind, {})
                while True:
                    value = self._kept[kind] = read(self._control())
                    now = time.monotonic()
                    if all(now > until or shows(value) for until, shows in expected.values()):
                        break
                    time.sleep(0.02)
            return self._kept[kind]

    def known(self) -> Observed:
        """The same look, without reads: what was not read yet, or was written since, raises NotRead."""
        return _Known(self)

    def wrote(self, kind: str, key: Hashable, shows: Callable[[Any], bool]) -> None:
        """Something was written: read this kind again when it is next needed, until the read `shows` it (5 s at most).

        A broker sees a change a moment after the controller has confirmed it.
        """
        self._stale.add(kind)
        self._expected.setdefault(kind, {})[key] = (time.monotonic() + PROPAGATION_S, shows)

    def topics(self, *, fresh: bool = True) -> dict[str, Topic]:
        """The topics. `fresh=False` accepts what was read before this run's own writes."""
        found: dict[str, Topic] = self._get("topics", lambda control: control.topics(self._names), fresh)
        return found

    def topic_configs(self) -> dict[str, dict[str, str]]:
        """The configs set on each topic itself."""

        def read(control: ControlPlane) -> dict[str, dict[str, str]]:
            found, held = control.topic_configs(self._names), self._held()
            return {topic: own(configs, held[topic]) if topic in held else configs for topic, configs in found.items()}

        found: dict[str, dict[str, str]] = self._get("topic_configs", read)
        return found

    def users(self, *, fresh: bool = True) -> dict[str, tuple[str, ...]]:
        """SCRAM users and their mechanisms."""
        found: dict[str, tuple[str, ...]] = self._get("users", lambda control: control.users(), fresh)
        return found

    def acls(self, *, fresh: bool = True) -> set[Acl]:
        """All ACLs; none if the cluster has no authorizer."""
        found: set[Acl] = self._get("acls", lambda control: control.acls(), fresh)
        return found

    def quotas(self, *, fresh: bool = True) -> dict[QuotaEntity, QuotaValues]:
        """All client quotas."""
        found: dict[QuotaEntity, QuotaValues] = self._get("quotas", lambda control: control.quotas(), fresh)
        return found

    def broker_configs(self, broker: str) -> dict[str, str]:
        """The dynamic configs set on a broker, or on `""`, the cluster-wide default."""
        found: dict[str, str] = self._get(f"broker_configs {broker}", lambda control: control.broker_configs(broker))
        return found

    def running(self, cluster: str, node: int) -> bool | None:
        """Whether a local node's process is running and not paused; None if there is no such node. Never cached."""
        return self._running(cluster, node)

    def certificate(self, cluster: str, node: int) -> str:
        """Whether the certificate of a local node is `valid` for long enough, or `due`. Never cached."""
        return self._certificate(cluster, node)


class NotRead(Exception):
    """Only the cluster could answer that."""


class _Known(Observed):
    def __init__(self, whole: Observed) -> None:
        self.__dict__.update(whole.__dict__)

    def _get(self, kind: str, read: Callable[[ControlPlane], Any], fresh: bool = True) -> Any:
        if kind not in self._kept or (fresh and kind in self._stale):
            raise NotRead
        return self._kept[kind]


def observe(token: str, recorded: Values, observed: Observed) -> Values | None:
    """The properties as they are now, in the shape of the recorded ones; None if the resource is gone.

    What a cluster does not reveal (passwords, throttles) is taken from the record. Configs and quotas that no stack file
    can declare count only if they are in the record, or if it is a bare id, for an import.
    """
    if token == TOPIC:
        return _topic(recorded, observed)
    if token == USER:
        mechanisms = observed.users().get(recorded["name"], ())
        if not mechanisms:
            return None
        wanted = recorded.get("mechanism")
        first = wanted if wanted in mechanisms else mechanisms[-1]
        # An import takes what exists; later, a credential that someone else created is theirs.
        known = mechanisms if wanted is None else recorded.get("otherMechanisms", ())
        others = [mechanism for mechanism in known if mechanism in mechanisms and mechanism != first]
        rest = {name: value for name, value in recorded.items() if name != "otherMechanisms"}
        return {**rest, "mechanism": first, **({"otherMechanisms": others} if others else {})}
    if token == ACL:
        return recorded if identity.acl_of(recorded) in observed.acls() else None
    if token == QUOTA:
        values = observed.quotas().get(identity.entity_of(recorded))
        if not values:
            return None
        recorded_rates = recorded.keys() & QUOTA_NAMES
        named = {
            name: values[kafka]
            for name, kafka in QUOTA_NAMES.items()
            if kafka in values
            and (not recorded_rates or name in recorded_rates or declarable_rate(kafka, values[kafka]))
        }
        return {name: value for name, value in recorded.items() if name not in QUOTA_NAMES} | named
    if token == CONFIG:
        there = observed.broker_configs(recorded["broker"])
        keys = recorded.get("config", there)
        return {**recorded, "config": {key: there[key] for key in keys if key in there}}
    if token == BROKER:
        running = observed.running(recorded["cluster"], recorded["nodeId"])
        if running is None:
            return None
        found = {**recorded, "running": running}
        if (recorded.get("tls") or "off") != "off":
            found["certificate"] = observed.certificate(recorded["cluster"], recorded["nodeId"])
        return found
    if token == ALLOCATION and recorded.get("hosts"):
        return {**recorded, "certificate": "due" if observed.now() >= str(recorded.get("renewFrom", "")) else "valid"}
    return recorded


def _topic(recorded: Values, observed: Observed) -> Values | None:
    topic = observed.topics().get(recorded["name"])
    if topic is None:
        return None
    there, known = observed.topic_configs().get(topic.name, {}), recorded.get("config")
    config = {
        key: value
        for key, value in there.items()
        if key not in TEMPORARY_CONFIGS and (known is None or key in known or configs.declarable("topic", key, value))
    }
    # One partition with another factor is enough to differ. An import has no factor to compare with.
    wanted = recorded.get("replication", topic.replication)
    unlike = topic.unlike(wanted)
    return {
        **recorded,
        "partitions": len(topic.partitions),
        "replication": unlike[0].replication if unlike else wanted,
        "config": config,
        "topicId": topic.id,
    }


def difference(token: str, old: Values, new: Values) -> Differences:
    """What differs between two sets of properties.

    Between record and cluster (`drift`) both hold outputs; between record and inputs (a diff) the new ones are inputs only,
    and only what inputs can say is compared. A stopped node, or one whose certificate is due, always differs from what is wanted.
    """
    found: Differences = {}
    for field in KINDS[token].fields:
        if field.hint or (field.output and (not field.watched or field.name not in new)):
            continue
        before, after = old.get(field.name), new.get(field.name)
        if field.type == "map" and isinstance(before or {}, dict) and isinstance(after or {}, dict):
            before, after = before or {}, after or {}
            for key in sorted(before.keys() | after.keys()):
                if _differs(token, field.name, key, before.get(key), after.get(key)):
                    found[path_of(field.name, key)] = (before.get(key), after.get(key))
        elif before != after or after is UNKNOWN:
            found[field.name] = (before, after)
    if token == BROKER and "running" not in new and old.get("running") is False:
        found["running"] = (False, True)
    if token in (BROKER, ALLOCATION) and "certificate" not in new and old.get("certificate") == "due":
        found["certificate"] = ("due", "valid")
    return found


def _differs(token: str, field: str, key: str, before: Any, after: Any) -> bool:
    """Whether two values of a map differ; those of configs by what they mean to Kafka."""
    if before == after or after is UNKNOWN or not isinstance(before, str) or not isinstance(after, str):
        return bool(before != after or after is UNKNOWN)
    if field != "config" or token not in (TOPIC, CONFIG):
        return True
    return not configs.same("topic" if token == TOPIC else "broker", key, before, after)


def path_of(name: str, key: str) -> str:
    """The path of a key in a map, as Pulumi spells it."""
    return f"{name}.{key}" if _PLAIN_KEY.fullmatch(key) else f'{name}["{key}"]'
