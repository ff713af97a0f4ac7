"""A stack's outputs: the address of its cluster, its users' client files, its state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgard.core import paths
from asgard.core.errors import WrongUsage
from asgard.kafka.connection import render_properties
from asgard.kafka.stores import certificates
from asgard.odin.engine.state import State, StateStore, parse
from asgard.odin.engine.steps import PROVIDER_PREFIX, STACK_TYPE
from asgard.odin.lifecycle import session
from asgard.odin.lifecycle.credentials import client_properties
from asgard.odin.resources import local
from asgard.odin.resources.kinds import CLUSTER
from asgard.odin.spec.model import StackSpec

if TYPE_CHECKING:
    from asgard.journal.operations import Leftovers


def outputs(stack: str) -> dict[str, Any]:
    """Bootstrap servers, cluster id and the administrator's client file; no secret."""
    state = StateStore(session.directory(stack)).load()
    values: dict[str, Any] = {}
    for record in state.live.values():
        if record["type"] == STACK_TYPE:
            values = {key: value for key, value in (record.get("outputs") or {}).items() if not isinstance(value, dict)}
    if session.client_file(stack).exists():
        values["clientPropertiesFile"] = str(session.client_file(stack))
    return values


def write_client_properties(stack: str, spec: StackSpec | None, user: str, out: Path) -> None:
    """Write the client properties of a user of the stack, readable by the file's owner only (0600)."""
    with session.reading(stack, spec) as opened:
        state = opened.store.load()
        connection = opened.connection(state)
    if user in state.meta.get("certificate_users", ()):
        paths.write_atomic(out, render_properties(_by_certificate(stack, state, user)))
        return
    properties = client_properties(stack, state, user, connection)
    if connection is not None and connection.tls and (ca := certificates(properties).ca) is not None:
        # The CA itself, so that the file works on another machine.
        properties = {key: value for key, value in properties.items() if not key.startswith("ssl.truststore.")}
        properties |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": ca}
    paths.write_atomic(out, render_properties(properties))


def _by_certificate(stack: str, state: State, user: str) -> dict[str, str]:
    """The client properties of a user who logs in by certificate, with a new certificate and key."""
    cluster = session.plain_outputs(state, CLUSTER)
    if "certificateServers" not in cluster:
        raise WrongUsage(
            f"stack {stack} has no listener for certificates",
            "`asgard odin up` opens it with security.tls; on an external cluster its owner makes the certificate.",
        )
    authority = local.authority(stack)
    issued = authority.user(user)
    return {
        "bootstrap.servers": cluster["certificateServers"],
        "security.protocol": "SSL",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": authority.trusted(),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": issued.certificate,
        "ssl.keystore.key": issued.key,
    }


def export_state(stack: str) -> dict[str, Any]:
    """The state as `pulumi stack import` reads it."""
    return StateStore(session.directory(stack)).load().export()


def import_state(stack: str, source: Path, leftovers: Leftovers) -> int:
    """Replace the state of record with an export; how many resources it holds. Raises Busy while the stack is being
    changed."""
    try:
        document = json.loads(source.read_text())
    except OSError as error:
        raise WrongUsage(f"can't read {source}: {error.strerror}") from error
    except ValueError as error:
        raise WrongUsage(f"{source} is not JSON: {error}") from error
    state = parse(document, str(source))
    with session.changing(stack, doing=f"odin state import {stack}", leftovers=leftovers) as held:
        state.serial = held.store.load().serial
        state.meta = {}
        held.store.save(state)
    return len(state.live)


def resources(stack: str) -> list[dict[str, Any]]:
    """The resources of the state, without the stack itself and providers."""
    state = StateStore(session.directory(stack)).load()
    return [
        {
            "type": record["type"],
            "name": record["urn"].split("::", 3)[3],
            "id": record.get("id"),
            "protected": bool(record.get("protect")),
        }
        for record in state.live.values()
        if record["type"] != STACK_TYPE and not record["type"].startswith(PROVIDER_PREFIX)
    ]
