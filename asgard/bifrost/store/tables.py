"""Bifrost's tables. Times are seconds since 1970 (UTC), documents JSON as text; no secret is ever in here."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import BigInteger, Column, Double, Index, Integer, MetaData, PrimaryKeyConstraint, String, Table, Text
from sqlalchemy import UniqueConstraint as Unique

from asgard.core.database import STORE_VARIABLE, Database, Id, Schema, meta_table, open_database

VERSION = 1
metadata = MetaData()
meta = meta_table(metadata, "bifrost_meta")

requests = Table(
    "bifrost_requests",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("number", BigInteger, nullable=False, index=True),
    Column("team", String(64), nullable=False),
    Column("requester", String(64), nullable=False),
    Column("environment", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("subject", Text, nullable=False),
    Column("token", String(255)),
    Column("ask", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("judgement", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("approved_by", Text, nullable=False),
    Column("reason", Text),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", Double),
    Column("before", Text),
    Column("partitions", BigInteger, nullable=False),
    Column("storage", BigInteger, nullable=False),
    Column("throughput", Double, nullable=False),
    Column("users", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Unique("team", "token", name="bifrost_requests_token"),
    Index("bifrost_requests_state", "state", "environment"),
    Index("bifrost_requests_team", "team", "number"),
)

transitions = Table(
    "bifrost_transitions",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("request", String(32), nullable=False, index=True),
    Column("at", Double, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("before", String(16)),
    Column("after", String(16), nullable=False),
    Column("reason", Text),
    Column("journalled", Integer, nullable=False, index=True),
    sqlite_autoincrement=True,
)

# Topics and users: what teams have (origin `bifrost`), and what is in the stack file itself (origin `stack`).
resources = Table(
    "bifrost_resources",
    metadata,
    Column("environment", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    Column("origin", String(16), nullable=False),
    Column("team", String(64)),
    Column("spec", Text, nullable=False),
    Column("request", String(32)),
    Column("partitions", BigInteger, nullable=False),
    Column("storage", BigInteger, nullable=False),
    Column("throughput", Double, nullable=False),
    Column("users", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("environment", "kind", "name"),
    Index("bifrost_resources_team", "team", "environment"),
)

# Names that open requests will create: a second request for one of them is refused as taken.
names = Table(
    "bifrost_names",
    metadata,
    Column("environment", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    Column("team", String(64), nullable=False),
    Column("request", String(32), nullable=False, index=True),
    PrimaryKeyConstraint("environment", "kind", "name"),
)

# `field` is produce, consume or groups; `seen` says when Kafka last showed the ACL.
grants = Table(
    "bifrost_grants",
    metadata,
    Column("environment", String(64), nullable=False),
    Column("user", String(255), nullable=False),
    Column("field", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    Column("id", String(32), nullable=False, unique=True),
    Column("team", String(64)),
    Column("owner", String(64)),
    Column("request", String(32)),
    Column("requester", String(64)),
    Column("policy", String(32), nullable=False),
    Column("origin", String(16), nullable=False),
    Column("granted_at", Double, nullable=False),
    Column("expires_at", Double, index=True),
    Column("reminded", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("used_at", Double),
    Column("seen_at", Double),
    PrimaryKeyConstraint("environment", "user", "field", "name"),
    Index("bifrost_grants_team", "team"),
    Index("bifrost_grants_owner", "owner"),
)

# One row for each password that Odin created: handed over once. `state`: ready, opening, handed, retiring, gone.
credentials = Table(
    "bifrost_credentials",
    metadata,
    Column("environment", String(64), nullable=False),
    Column("principal", String(255), nullable=False),
    Column("user", String(255), nullable=False),
    Column("team", String(64)),
    Column("state", String(16), nullable=False),
    Column("made_at", Double, nullable=False),
    Column("handed_at", Double),
    Column("handed_to", String(64)),
    Column("how", String(16)),
    Column("retire_at", Double),
    PrimaryKeyConstraint("environment", "principal"),
)

notices = Table(
    "bifrost_notices",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("key", String(255), nullable=False, unique=True),
    Column("team", String(64), nullable=False, index=True),
    Column("kind", String(32), nullable=False),
    Column("channel", String(16), nullable=False),
    Column("place", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Double, nullable=False),
    Column("error", Text),
    Column("created_at", Double, nullable=False),
    sqlite_autoincrement=True,
)

# API tokens: only a hash is kept. A token acts as its person, within its scope.
tokens = Table(
    "bifrost_tokens",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("person", String(64), nullable=False, index=True),
    Column("scope", String(16), nullable=False),
    Column("about", Text),
    Column("hash", String(64), nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("made_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("used_at", Double),
    Column("revoked_at", Double),
    Column("revoked_by", String(64)),
)

SCHEMA = Schema(
    noun="store of Bifrost",
    metadata=metadata,
    meta=meta,
    version=VERSION,
    variable=STORE_VARIABLE,
    file="bifrost.db",
    lost="requests, grants and budgets",
)


def open_store(
    url: str | None = None, *, clock: Callable[[], float] = time.time, busy_timeout_s: float = 30.0
) -> Database:
    """Open the store, creating it if there is none. Errors are those of `core.database.open_database`."""
    return open_database(SCHEMA, url, clock=clock, busy_timeout_s=busy_timeout_s)
