"""Temporary dynamic configs: recorded with their earlier values, put back from that record alone.

A `Setting` says where a value is set, which values are this run's own, and the earlier value. It holds more than one
own value while one replaces another, so that a record written before the change is true throughout it. A value that is
neither our own nor the earlier one belongs to another tool by now and stays.

A broker's own configs are read and written through that broker: those of one that is down stay in the record (`left`).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from asgard.core.errors import AsgardError, Unreachable
from asgard.kafka.model import ConfigChange, ConfigResourceType
from asgard.kafka.ports import ControlPlane

_HEARD_WITHIN_S = 10.0
_UNKNOWN_TOPIC = 3

Key = tuple[ConfigResourceType, str, str]
"""Type and name of the resource (broker `""` is the cluster-wide default), and the config's name."""


@dataclass(frozen=True)
class Setting:
    """A temporary config. `ours`: values that may be set because of this run, the newest last."""

    key: Key
    ours: tuple[str, ...]
    before: str | None

    def __str__(self) -> str:
        kind, name, config = self.key
        return f"{config} of {kind} {name}" if name else config


@dataclass(frozen=True)
class PutBack:
    """The result for settings: how many were put back, whose value is another tool's, and which could not be
    reached."""

    restored: int = 0
    foreign: tuple[Setting, ...] = ()
    left: tuple[Setting, ...] = ()


def plain(settings: Iterable[Setting]) -> list[list[Any]]:
    """As JSON keeps them: type, name, config, own values, value before or null."""
    return [[*s.key, list(s.ours), s.before] for s in settings]


def parse(rows: Iterable[Iterable[Any]]) -> tuple[Setting, ...]:
    """From their JSON; a single own value may be given without a list."""
    return tuple(
        Setting((kind, name, key), (ours,) if isinstance(ours, str) else tuple(ours), before)
        for kind, name, key, ours, before in rows
    )


def read(control: ControlPlane, keys: Collection[Key], up: Collection[int] | None = None) -> dict[Key, str | None]:
    """The current values. Topics that are gone are left out, as are brokers that don't answer.

    `up`: only these brokers are asked for their own configs; None: all.
    """
    names = {name for kind, name, _ in keys if kind == "topic"}
    found: dict[tuple[str, str], Mapping[str, str]] = {}
    if names:
        found |= {("topic", name): configs for name, configs in control.topic_configs(names).items()}
    for broker in {name for kind, name, _ in keys if kind == "broker"}:
        if broker and up is not None and int(broker) not in up:
            continue
        try:
            found["broker", broker] = control.broker_configs(broker)
        except Unreachable:
            if not broker:
                raise
    return {(k, n, key): found[k, n].get(key) for k, n, key in keys if (k, n) in found}


def write(control: ControlPlane, values: Mapping[Key, str | None]) -> None:
    """Set (None: unset) configs, and wait until the broker that is asked has received them from the controller.

    A topic that was deleted meanwhile is not an error. Raises what the control plane raises.
    """
    changes = [
        ConfigChange(kind, name, unset=(key,)) if value is None else ConfigChange(kind, name, {key: value})
        for (kind, name, key), value in values.items()
    ]
    for (kind, _), error in (control.alter_configs(changes) if changes else {}).items():
        if error is not None and not (kind == "topic" and is_unknown_topic(error)):
            raise error
    give_up = time.monotonic() + _HEARD_WITHIN_S
    while time.monotonic() < give_up:
        there = read(control, values)
        if all(there[key] == values[key] for key in there):
            return
        time.sleep(0.05)


def put_back(control: ControlPlane, settings: Collection[Setting], up: Collection[int] | None = None) -> PutBack:
    """Put back what is still as it was set. Safe to repeat. `up`: the brokers that can be asked; None: all."""
    there = read(control, [s.key for s in settings], up)
    back = [s for s in settings if s.key in there and there[s.key] in s.ours and there[s.key] != s.before]
    foreign = [s for s in settings if s.key in there and there[s.key] not in (*s.ours, s.before)]
    # A missing topic of a setting is gone; a missing broker of one is down, and the setting waits for it.
    left = [s for s in settings if s.key not in there and s.key[0] == "broker"]
    restored = 0
    for broker in {s.key[1] for s in back if s.key[0] == "broker" and s.key[1]}:
        own = [s for s in back if s.key[:2] == ("broker", broker)]
        try:
            write(control, {s.key: s.before for s in own})
            restored += len(own)
        except Unreachable:
            left += own
    rest = {s.key: s.before for s in back if s.key[0] == "topic" or not s.key[1]}
    write(control, rest)
    return PutBack(restored + len(rest), tuple(foreign), tuple(left))


def is_unknown_topic(error: AsgardError) -> bool:
    """Whether Kafka said that the topic (or partition) does not exist."""
    return cast(int, getattr(error, "code", None)) == _UNKNOWN_TOPIC
