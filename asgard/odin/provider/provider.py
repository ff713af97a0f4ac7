"""Odin's resources as a Pulumi provider: translates Pulumi's questions, decides what a change means, calls the effects.

One object serves the embedded engine (in process), the Pulumi CLI (`pulumi-resource-asgard`) and anybody's own program.
`check` and `diff` ask no cluster; `read`, `create`, `update` and `delete` do. Refusals are `AsgardError`s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Protocol

from asgard.core.errors import Refused, WrongUsage
from asgard.kafka.connection import Connection, parse_properties
from asgard.kafka.ports import ControlPlane
from asgard.odin.provider import sdk
from asgard.odin.provider.access import Acls, Quotas, Users
from asgard.odin.provider.allocation import Allocations
from asgard.odin.provider.cluster import Cluster, open_control_plane
from asgard.odin.provider.configs import Configs
from asgard.odin.provider.local import Nodes, Plans, Readiness
from asgard.odin.provider.permits import Permits, exists_already
from asgard.odin.provider.topics import Topics
from asgard.odin.provider.values import plain_map, wrapped_map
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
    READY,
    TOPIC,
    UNKNOWN,
    USER,
    Kind,
    Values,
)
from asgard.odin.resources.local import allocate
from asgard.odin.resources.observe import Observed, difference, observe


class Effects(Protocol):
    """What a family of resources does to the world. Properties are plain; the id is made from them."""

    def taken(self, new: Values, observed: Observed) -> bool: ...

    async def create(self, urn: str, new: Values) -> Values: ...

    async def update(self, old: Values, new: Values) -> Values: ...

    async def delete(self, old: Values) -> None: ...


class AsgardProvider(sdk.Provider):
    """The provider.

    `allow_data_loss` and `adopting` are explained in `Permits`. `connect` opens a control plane; `writes` are the
    leases and the journal that changes are made under (None: a program of somebody's own).
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
        self._use(Cluster(None, connect=self._connect))

    def _use(self, cluster: Cluster) -> None:
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
    async def get_schema(self, request: sdk.GetSchemaRequest) -> sdk.GetSchemaResponse:
        """The package schema."""
        from asgard.odin.provider.schema import schema_text

        return sdk.GetSchemaResponse(schema_text())

    async def check_config(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        """Whether the provider's own configuration can be used."""
        failures = []
        try:
            _connection(plain_map(request.new_inputs))
        except WrongUsage as error:
            failures.append(sdk.CheckFailure("clientProperties", str(error)))
        return sdk.CheckResponse(inputs=request.new_inputs, failures=failures)

    async def diff_config(self, request: sdk.DiffRequest) -> sdk.DiffResponse:
        """Another address is no reason to replace anything: the guard is the cluster id."""
        names = ("bootstrapServers", "clientProperties", "clusterId")
        old, new = plain_map(request.old_state), plain_map(request.new_inputs)
        changed = [name for name in names if old.get(name) != new.get(name)]
        return sdk.DiffResponse(changes=bool(changed), diffs=changed)

    async def configure(self, request: sdk.ConfigureRequest) -> sdk.ConfigureResponse:
        """Take the cluster's address; nothing is connected yet."""
        values = plain_map(request.args)
        guard = values.get("clusterId")
        await self._cluster.close()
        guard = guard if isinstance(guard, str) else None
        self._use(Cluster(_connection(values), guard, connect=self._connect, writes=self._writes))
        return sdk.ConfigureResponse(
            accept_secrets=True, supports_preview=True, accept_resources=False, accept_outputs=False
        )

    async def cancel(self) -> None:
        """The engine gives up: nothing is under way here that would have to be undone."""

    async def close(self) -> None:
        """End the connection."""
        await self._cluster.close()

    # resources
    async def check(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        """Inputs with defaults, or all that is wrong with them."""
        kind = _kind(request.type)
        given = {name: value for name, value in request.new_inputs.items() if not name.startswith("__")}
        values, wrong = checks.check(kind.token, plain_map(given))
        return sdk.CheckResponse(
            inputs=wrapped_map(kind, values, given),
            failures=[sdk.CheckFailure(name, f"{name} {reason}") for name, reason in wrong],
        )

    async def diff(self, request: sdk.DiffRequest) -> sdk.DiffResponse:
        """What differs between the recorded state and the inputs, and what that means. Raises Refused for what may not be."""
        kind = _kind(request.type)
        old, new = plain_map(request.old_state), plain_map(request.new_inputs)
        self._owned[request.urn] = request.resource_id
        found = difference(kind.token, old, new)
        found = {path: pair for path, pair in found.items() if not _ignored(path, request.ignore_changes)}
        names = {path: re.split(r"[.\[]", path)[0] for path in found}
        replacing = {field.name for field in kind.inputs if field.replaces}
        replaces = sorted({name for name in names.values() if name in replacing})
        if found and not replaces and (wrong := checks.transitions(kind, old, new)):
            raise Refused("; ".join(f"{request.name}: {name} {reason}" for name, reason in wrong))
        return sdk.DiffResponse(
            changes=bool(found),
            replaces=replaces,
            diffs=sorted(set(names.values())),
            delete_before_replace=bool(replaces) and _same_place(kind, old, new),
            detailed_diff={path: _property_diff(pair, names[path] in replaces) for path, pair in found.items()},
        )

    async def create(self, request: sdk.CreateRequest) -> sdk.CreateResponse:
        """Create the resource. In a preview, say what will be and refuse a name that is taken."""
        kind = _kind(request.type)
        new = plain_map(request.properties)
        if request.preview:
            await self._refuse_taken(kind, request.urn, new)
            unknown = {field.name: UNKNOWN for field in kind.fields if field.output}
            return sdk.CreateResponse(properties=wrapped_map(kind, {**new, **unknown}, request.properties))
        outputs = await self._effects_of(kind).create(request.urn, new)
        resource_id = identity.resource_id(kind.token, outputs)
        return sdk.CreateResponse(resource_id, wrapped_map(kind, outputs, request.properties))

    async def read(self, request: sdk.ReadRequest) -> sdk.ReadResponse:
        """The resource as it is now; an empty id where it is gone. Without properties it is an import by id."""
        kind = _kind(request.type)
        recorded = plain_map(request.properties)
        importing = not recorded
        if importing:
            recorded = identity.from_id(kind.token, request.resource_id)
        current = await self._cluster.look(lambda observed: observe(kind.token, recorded, observed))
        if current is None:
            return sdk.ReadResponse(resource_id="")
        inputs = set(request.inputs) or ({field.name for field in kind.inputs} if importing else set())
        like = {**request.inputs, **request.properties}
        return sdk.ReadResponse(
            request.resource_id,
            wrapped_map(kind, current, like),
            wrapped_map(kind, {name: value for name, value in current.items() if name in inputs}, like),
        )

    async def update(self, request: sdk.UpdateRequest) -> sdk.UpdateResponse:
        """Change the resource in place."""
        kind = _kind(request.type)
        old, new = plain_map(request.olds), plain_map(request.news)
        like = {**request.olds, **request.news}
        if request.preview:
            return sdk.UpdateResponse(wrapped_map(kind, _foreseen(kind, old, new), like))
        return sdk.UpdateResponse(wrapped_map(kind, await self._effects_of(kind).update(old, new), like))

    async def delete(self, request: sdk.DeleteRequest) -> None:
        """Delete the resource."""
        kind = _kind(request.type)
        await self._effects_of(kind).delete(plain_map(request.properties))

    def _effects_of(self, kind: Kind) -> Effects:
        return self._effects[kind.token]

    async def _refuse_taken(self, kind: Kind, urn: str, new: Values) -> None:
        """In a preview: a thing that is there and isn't this resource's own can't be created."""
        local = kind.token in self._local
        if not (local or self._cluster.known) or urn in self._permits.adopting or _unknown(new):
            return
        resource_id = identity.resource_id(kind.token, new)
        if self._owned.get(urn) == resource_id:
            return
        effects = self._effects_of(kind)
        if await self._cluster.look(lambda observed: effects.taken(new, observed)):
            raise exists_already(f"the {kind.token.rpartition(':')[2].lower()} {resource_id}")


def _kind(token: str) -> Kind:
    kind = KINDS.get(token)
    if kind is None:
        raise WrongUsage(f"there is no resource type {token}", f"Asgard has {', '.join(KINDS)}.")
    return kind


def _unknown(value: object) -> bool:
    """Whether anything in it is unknown yet."""
    if isinstance(value, dict):
        return any(_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(_unknown(item) for item in value)
    return value is UNKNOWN


def _connection(values: Values) -> Connection | None:
    """The connection of a provider configuration; None while a part of it is unknown or no address is given.

    Pulumi hands the map of client properties over as JSON text in some languages; the text of a properties file is good too.
    """
    servers, properties = values.get("bootstrapServers"), values.get("clientProperties") or {}
    if not servers or _unknown(servers) or _unknown(properties):
        return None
    if isinstance(properties, str):
        if properties.lstrip().startswith("{"):
            try:
                properties = json.loads(properties)
            except ValueError as error:
                raise WrongUsage(f"clientProperties is no JSON: {error}") from error
        else:
            properties = parse_properties(properties)
    if not isinstance(properties, dict):
        raise WrongUsage("clientProperties is not a map of Kafka client properties")
    return Connection(servers, {key: checks.text_of(value) for key, value in properties.items()})


def _same_place(kind: Kind, old: Values, new: Values) -> bool:
    """Whether old and new would be in each other's way, so that the old one goes first."""
    if _unknown(new):
        return kind.token.startswith("asgard:local:")
    return identity.resource_id(kind.token, old) == identity.resource_id(kind.token, new)


def _foreseen(kind: Kind, old: Values, new: Values) -> Values:
    """The outputs after an update, as far as a preview can tell."""
    if kind.token == CLUSTER and not _unknown(new):
        return allocate(new, old)
    kept = {field.name: old[field.name] for field in kind.fields if field.output and field.name in old}
    if kind.token == ALLOCATION and old.get("certificate") == "due":
        # What nodes get is known once it is made: the preview shows what that changes of them.
        kept |= {"certificates": UNKNOWN, "certificate": "valid"}
    if kind.token == BROKER:
        kept |= {"running": True, **({"certificate": "valid"} if "certificate" in kept else {})}
    return {**new, **kept}


def _property_diff(pair: tuple[object, object], replaces: bool) -> sdk.PropertyDiff:
    old, new = pair
    name = "ADD" if old is None else "DELETE" if new is None else "UPDATE"
    return sdk.PropertyDiff(sdk.PropertyDiffKind[f"{name}_REPLACE" if replaces else name], input_diff=False)


def _ignored(path: str, ignore: list[str]) -> bool:
    return any(path == ignored or path.startswith((f"{ignored}.", f"{ignored}[")) for ignored in ignore)
