"""Passwords of a stack's users: created once, kept in the state as secrets, handed out only as files."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from asgard.core.errors import AsgardError, WrongUsage
from asgard.kafka.connection import Connection, scram_properties
from asgard.odin.engine.state import State
from asgard.odin.lifecycle.passphrase import passphrase
from asgard.odin.resources.kinds import USER
from asgard.odin.spec.model import StackSpec

if TYPE_CHECKING:
    from asgard.odin.engine.graph import Record
    from asgard.odin.engine.secrets import Vault


_TRUST = ("ssl.truststore.", "ssl.endpoint.")


def vault_of(stack: str, state: State) -> Vault:
    """Opens the secrets of a stack's state."""
    from asgard.odin.engine.secrets import Vault

    return Vault(state.salt, lambda: passphrase(stack, create=state.salt is None))


def passwords_of(spec: StackSpec, state: State, seen: State) -> dict[str, str | None]:
    """The password of each user of the stack: the recorded one, also for a user that is gone (not in `seen`, the state
    after a refresh); a new one for a new user; None for one that was imported and exists."""
    recorded = {record["inputs"]["name"]: record for record in _user_records(state)}
    vault = vault_of(spec.name, state)
    found: dict[str, str | None] = {}
    for user in spec.users:
        record = recorded.get(user.name)
        known = None if record is None else _password(vault, record)
        imported = known is None and record is not None and record["urn"] in seen.live
        found[user.name] = known if known is not None or imported else secrets.token_urlsafe(24)
    return found


def client_properties(stack: str, state: State, user: str, cluster: Connection | None) -> dict[str, str]:
    """The Kafka client properties of a user of the stack, with the TLS settings of `cluster`'s. Raises WrongUsage if
    the stack did not create its password."""
    tls = cluster is not None and cluster.tls
    trust = {} if cluster is None else {k: v for k, v in cluster.properties.items() if k.startswith(_TRUST)}
    for record in _user_records(state):
        if record["inputs"]["name"] == user and (password := _password(vault_of(stack, state), record)):
            return scram_properties(user, password, tls=tls, mechanism=record["inputs"]["mechanism"]) | trust
    known = ", ".join(record["inputs"]["name"] for record in _user_records(state)) or "none"
    raise WrongUsage(f"stack {stack} holds no password of a user {user!r} (users: {known})")


def check_credentials(stack: str, state: State, cluster: Connection) -> dict[str, AsgardError | None]:
    """Log in with each recorded password: the reason for each that fails."""
    from asgard.kafka.admin import check_login

    vault = vault_of(stack, state)
    found: dict[str, AsgardError | None] = {}
    for record in _user_records(state):
        inputs = record["inputs"]
        if (password := _password(vault, record)) is None:
            continue
        properties = {
            **{key: value for key, value in cluster.properties.items() if key.startswith("ssl.")},
            **scram_properties(inputs["name"], password, tls=cluster.tls, mechanism=inputs["mechanism"]),
        }
        found[inputs["name"]] = check_login(Connection(cluster.bootstrap_servers, properties))
    return found


def _user_records(state: State) -> list[Record]:
    begun = [record for kind, record in state.pending.values() if kind == "creating"]
    return [record for record in [*begun, *state.live.values()] if record["type"] == USER]


def _password(vault: Vault, record: Record) -> str | None:
    from asgard.odin.resources.values import reveal

    value = record["inputs"].get("password")
    return None if value is None else str(reveal(vault.decode(record["urn"], value)))
