"""The journal's tables. Portable types only: times are seconds since 1970 (UTC) as floats, documents are JSON as text."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

from asgard.core.database import Id, meta_table

SCHEMA_VERSION = 1

metadata = MetaData()

meta = meta_table(metadata, "asgard_meta")

events = Table(
    "asgard_events",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("service", String(32), nullable=False),
    Column("kind", String(128), nullable=False),
    Column("subject", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("correlation", String(128)),
    Column("data", Text, nullable=False),
    Index("asgard_events_at", "at"),
    Index("asgard_events_kind", "kind", "id"),
    sqlite_autoincrement=True,  # an id is never reused, even after a prune
)

# A lease's row stays when the lease is released (`pid` is then null): its fence continues from there.
leases = Table(
    "asgard_leases",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("fence", BigInteger, nullable=False),
    Column("host", Text),
    Column("boot", Text),
    Column("pid", BigInteger),
    Column("started", Double),
    Column("actor", Text),
    Column("doing", Text),
    Column("priority", Integer),
    Column("since", Double),
    Column("until", Double),
    Column("takeover_at", Double),
)

waits = Table(
    "asgard_waits",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("lease", String(255), nullable=False, index=True),
    Column("host", Text, nullable=False),
    Column("boot", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("started", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("doing", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("since", Double, nullable=False),
    Column("until", Double, nullable=False),
)

operations = Table(
    "asgard_operations",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("kind", String(128), nullable=False),
    Column("subject", Text, nullable=False),
    Column("undo", Text, nullable=False),
    Column("lease", String(255), nullable=False, index=True),
    Column("fence", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("began_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("outcome", Text),
    sqlite_autoincrement=True,
)

claims = Table(
    "asgard_claims",
    metadata,
    Column("cluster_id", String(64), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("name", String(512), nullable=False),
    Column("stack", String(255), nullable=False),
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("cluster_id", "kind", "name"),
)
