"""Heimdall's tables: SQLite (heimdall.db) or, for a team, PostgreSQL by ASGARD_STORE. Times are seconds since 1970 (UTC)."""

from __future__ import annotations

import sqlalchemy as sa

from asgard.core.database import STORE_VARIABLE, Database, Id, Schema, meta_table, open_database

SCHEMA_VERSION = 1
SAMPLE, MINUTE, HOUR, DAY = 10, 60, 3600, 86400
LEVELS = (SAMPLE, MINUTE, HOUR, DAY)
"""Seconds that a row covers."""

metadata = sa.MetaData()
meta = meta_table(metadata, "heimdall_meta")

clusters = sa.Table(
    "heimdall_clusters",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=True),
    sa.Column("cluster_id", sa.String(64), nullable=False, unique=True),
)

subjects = sa.Table(
    "heimdall_subjects",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=True),
    sa.Column("cluster", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("name", sa.String(512), nullable=False),
    sa.UniqueConstraint("cluster", "kind", "name", name="heimdall_subjects_once"),
)
"""Topics and groups: rows of samples name them by id."""

samples = sa.Table(
    "heimdall_samples",
    metadata,
    sa.Column("cluster", sa.BigInteger, nullable=False),
    sa.Column("level", sa.Integer, nullable=False),
    sa.Column("start", sa.BigInteger, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("cluster", "level", "start"),
)
"""A sample (level 10) or a rollup of samples. The key prevents filling a slot twice."""

hours = sa.Table(
    "heimdall_hours",
    metadata,
    sa.Column("cluster", sa.BigInteger, nullable=False),
    sa.Column("start", sa.BigInteger, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("cluster", "start"),
)
"""Records by topic of an hour of record time, counted by Kafka's time index once the hour is over."""

SCHEMA = Schema(
    noun="store",
    metadata=metadata,
    meta=meta,
    version=SCHEMA_VERSION,
    variable=STORE_VARIABLE,
    file="heimdall.db",
    lost="what Heimdall measured",
    durable=False,  # a power cut may cost the last samples, never the file
    cache_kib=4096,
)


def open_store(url: str | None = None) -> Database:
    """Open the store, creating it if it does not exist; errors are those of `core.database.open_database`."""
    return open_database(SCHEMA, url)
