"""Odin's resources as a Pulumi provider: answers an engine's questions, decides what a change means, calls the effects.

One object serves the embedded engine (in process), the Pulumi CLI (`pulumi-resource-asgard`) and anybody's own program.
`check` and `diff` ask no cluster; `read`, `create`, `update` and `delete` do. Refusals are `AsgardError`s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from typing import Protocol

from asgard.core.errors import Refused, WrongUsage
from asgard.kafka.connection import Connection, parse_properties
from asgard.kafka.ports import ControlPlane
from asgard.odin.provider.access import Acls, Quotas, Users
from asgard.odin.provider.allocation import Allocations
from asgard.odin.provider.cluster import ClusterClient, open_control_plane
from asgard.odin.provider.configs import Configs
from asgard.odin.provider.local import Nodes, Plans, Readiness
from asgard.odin.provider.permits import Permits, exists_already
from asgard.odin.provider.protocol import CheckedInputs, Difference, ResourceState, name_of, type_of
from asgard.odin.provider.topics import Topics
from asgard.odin.provider.writes import Writes
from asgard.odin.resources import checks, identity
from asgard.odin.resources.kinds import (
    ACL,
    ALLOCATION,
    BROKER,
    CLUSTER,
    CONFIG,
    KINDS,
    QUOTA,
    QUOTA_NAMES,
    READY,
    TOPIC,
    USER,
    ResourceType,
)
from asgard.odin.resources.local import allocate
from asgard.odin.resources.observe import Observed, difference, observe
from asgard.odin.resources.values import UNKNOWN, Secret, Values, has_secret, has_unknown, normal, reveal


class Effects(Protocol):
    """What a family of resources does in the real world. No value is wrapped as a secret here; the id is built from
    them."""

    def taken(self, new: Values, observed: Observed) -> bool: ...

    async def create(self, urn: str, new: Values) -> Values: ...

    async def update(self, old: Values, new: Values) -> Values: ...

    async def delete(self, old: Values) -> None: ...


class AsgardProvider:
    """The provider.

    `allow_data_loss` and `adopting` are explained in `Permits`. `connect` opens a control plane; `writes` are the
    leases and the journal for changes (None: a user's own program).
    """

    def __init__(
        self,
        *,
        allow_data_loss: frozenset[str] = frozenset(),
        adopting: frozenset[str] = frozenset(),
        connect: Callable[[Connection], ControlPlane] | None = None,
        writes: Writes | None = None,
    ) -> None:
        self._permits = Permits(allow_data_loss, adopting)
        self._connect = connect or open_control_plane
        self._writes = writes
        self._owned: dict[str, str] = {}
        self._local: dict[str, Effects] = {
            CLUSTER: Plans(),
            BROKER: Nodes(self._connect),
            READY: Readiness(self._connect),
            ALLOCATION: Allocations(),
        }
        self._use(ClusterClient(None, connect=self._connect))

    def _use(self, cluster: ClusterClient) -> None:
        self._cluster = cluster
        self._effects: dict[str, Effects] = {
            TOPIC: Topics(cluster, self._permits),
            USER: Users(cluster, self._permits),
            ACL: Acls(cluster, self._permits),
            QUOTA: Quotas(cluster, self._permits),
            CONFIG: Configs(cluster, self._permits),
            **self._local,
        }

    # the provider itself
    def schema(self) -> str:
        """The package schema."""
        from asgard.odin.provider.schema import schema_text

        return schema_text()

    async def check_config(self, inputs: Values) -> CheckedInputs:
        """Whether the provider's own configuration can be used."""
        try:
            _connection(reveal(inputs))
        except WrongUsage as error:
            return CheckedInputs(inputs, [("clientProperties", str(error))])
        return CheckedInputs(inputs)

    async def diff_config(self, old: Values, new: Values) -> Difference:
        """Another address never means replacement: the cluster id is the guard."""
        names = ("bootstrapServers", "clientProperties", "clusterId")
        changed = [name for name in names if reveal(old.get(name)) != reveal(new.get(name))]
        return Difference(bool(changed), changed)

    async def configure(self, inputs: Values) -> None:
        """Take the cluster's address; nothing is connected yet."""
        values = reveal(inputs)
        guard = values.get("clusterId")
        guard = guard if isinstance(guard, str) else None
        await self._cluster.close()
        self._use(ClusterClient(_connection(values), guard, connect=self._connect, writes=self._writes))

    async def close(self) -> None:
        """Close the connection."""
        await self._cluster.close()

    # resources
    async def check(self, urn: str, old: Values, new: Values) -> CheckedInputs:
        """Inputs with defaults, or all their problems."""
        kind = _kind(urn)
        given = {name: value for name, value in new.items() if not name.startswith("__")}
        values, wrong = checks.check(kind.token, reveal(given))
        return CheckedInputs(_marked(kind, values, given), [(name, f"{name} {reason}") for name, reason in wrong])

    async def diff(self, urn: str, id: str, outputs: Values, inputs: Values, ignored: Collection[str]) -> Difference:
        """What differs between the recorded state and the inputs, and what that means. Raises Refused for changes that
        aren't allowed."""
        kind = _kind(urn)
        old, new = reveal(outputs), reveal(inputs)
        self._owned[urn] = id
        found = difference(kind.token, old, new)
        found = {path: pair for path, pair in found.items() if not _ignored(path, ignored)}
        names = {path: re.split(r"[.\[]", path)[0] for path in found}
        replacing = {field.name for field in kind.inputs if field.replaces}
        replaces = sorted({name for name in names.values() if name in replacing})
        if found and not replaces and (wrong := checks.transitions(kind, old, new)):
            raise Refused("; ".join(f"{name_of(urn)}: {name} {reason}" for name, reason in wrong))
        return Difference(
            bool(found),
            sorted(set(names.values())),
            replaces,
            bool(replaces) and _same_place(kind, old, new),
            {path: _change(pair, names[path] in replaces) for path, pair in found.items()},
        )

    async def create(self, urn: str, inputs: Values, *, preview: bool) -> ResourceState:
        """Create the resource. In a preview, return what it will be and refuse a name that is taken."""
        kind, new = _kind(urn), reveal(inputs)
        if preview:
            await self._refuse_taken(kind, urn, new)
            unknown = {field.name: UNKNOWN for field in kind.fields if field.output}
            return ResourceState("", _marked(kind, {**new, **unknown}, inputs))
        outputs = await self._effects_of(kind).create(urn, new)
        return ResourceState(identity.resource_id(kind.token, outputs), _marked(kind, outputs, inputs))

    async def read(self, urn: str, id: str, outputs: Values, inputs: Values) -> ResourceState | None:
        """The resource as it is now; None if it is gone. Without recorded outputs it is an import by id."""
        kind = _kind(urn)
        recorded = reveal(outputs) or identity.from_id(kind.token, id) | _chosen(reveal(inputs))
        current = await self._cluster.look(lambda observed: observe(kind.token, recorded, observed))
        if current is None:
            return None
        names = set(inputs) or (set() if outputs else {field.name for field in kind.inputs})
        like = {**inputs, **outputs}
        told = {name: value for name, value in current.items() if name in names}
        return ResourceState(id, _marked(kind, current, like), _marked(kind, told, like))

    async def update(self, urn: str, id: str, old: Values, new: Values, *, preview: bool) -> Values:
        """Change the resource in place."""
        kind, before, wanted = _kind(urn), reveal(old), reveal(new)
        if preview:
            return _marked(kind, _foreseen(kind, before, wanted), {**old, **new})
        return _marked(kind, await self._effects_of(kind).update(before, wanted), {**old, **new})

    async def delete(self, urn: str, id: str, outputs: Values) -> None:
        """Delete the resource."""
        await self._effects_of(_kind(urn)).delete(reveal(outputs))

    def _effects_of(self, kind: ResourceType) -> Effects:
        return self._effects[kind.token]

    async def _refuse_taken(self, kind: ResourceType, urn: str, new: Values) -> None:
        """In a preview: something that exists and isn't this resource's own can't be created."""
        local = kind.token in self._local
        if not (local or self._cluster.known) or urn in self._permits.adopting or has_unknown(new):
            return
        resource_id = identity.resource_id(kind.token, new)
        if self._owned.get(urn) == resource_id:
            return
        effects = self._effects_of(kind)
        if await self._cluster.look(lambda observed: effects.taken(new, observed)):
            raise exists_already(f"the {kind.token.rpartition(':')[2].lower()} {resource_id}")


def _chosen(wanted: Values) -> Values:
    """Of the inputs of an import, those that choose among what a resource has: a broker has more configs than those."""
    return {name: value for name, value in wanted.items() if name in ("config", *QUOTA_NAMES) and value is not UNKNOWN}


def _kind(urn: str) -> ResourceType:
    token = type_of(urn)
    kind = KINDS.get(token)
    if kind is None:
        raise WrongUsage(f"there is no resource type {token}", f"Asgard has {', '.join(KINDS)}.")
    return kind


def _connection(values: Values) -> Connection | None:
    """The connection of a provider configuration; None while a part of it is unknown or no address is given.

    Pulumi hands the map of client properties over as JSON text in some languages; the text of a properties file works
    too.
    """
    servers, properties = values.get("bootstrapServers"), values.get("clientProperties") or {}
    if not servers or has_unknown(servers) or has_unknown(properties):
        return None
    if isinstance(properties, str):
        if properties.lstrip().startswith("{"):
            try:
                properties = json.loads(properties)
            except ValueError as error:
                raise WrongUsage(f"clientProperties is not JSON: {error}") from error
        else:
            properties = parse_properties(properties)
    if not isinstance(properties, dict):
        raise WrongUsage("clientProperties is not a map of Kafka client properties")
    return Connection(servers, {key: checks.text_of(value) for key, value in properties.items()})


def _same_place(kind: ResourceType, old: Values, new: Values) -> bool:
    """Whether old and new would conflict, so that the old one is deleted first."""
    if has_unknown(new):
        return kind.token.startswith("asgard:local:")
    return identity.resource_id(kind.token, old) == identity.resource_id(kind.token, new)


def _foreseen(kind: ResourceType, old: Values, new: Values) -> Values:
    """The outputs after an update, as far as a preview can tell."""
    if kind.token == CLUSTER and not has_unknown(new):
        return allocate(new, old)
    kept = {field.name: old[field.name] for field in kind.fields if field.output and field.name in old}
    if kind.token == ALLOCATION and old.get("certificate") == "due":
        # What nodes get is known once it is created: the preview shows what that changes in them.
        kept |= {"certificates": UNKNOWN, "certificate": "valid"}
    if kind.token == BROKER:
        kept |= {"running": True, **({"certificate": "valid"} if "certificate" in kept else {})}
    return {**new, **kept}


def _change(pair: tuple[object, object], replaces: bool) -> str:
    old, new = pair
    return f"{'add' if old is None else 'delete' if new is None else 'update'}{'-replace' if replaces else ''}"


def _marked(kind: ResourceType, values: Values, like: Values) -> Values:
    """Properties of a resource, secret if its kind says so or if the incoming value (`like`) was secret."""
    values = normal(values)
    if not kind.secrets and not has_secret(like):
        return values
    found = {}
    for name, value in values.items():
        given = like.get(name)
        hidden = has_secret(given)
        if hidden and reveal(given) == value:
            found[name] = given
        else:
            found[name] = Secret(value) if hidden or name in kind.secrets else value
    return found


def _ignored(path: str, ignore: Collection[str]) -> bool:
    return any(path == ignored or path.startswith((f"{ignored}.", f"{ignored}[")) for ignored in ignore)
