"""The tables of the audit's state. Times are seconds or µs since 1970 (UTC), runs are 16 bytes, chunks 1 KiB compressed."""

from __future__ import annotations

import sqlalchemy as sa

from asgard.core.database import STORE_VARIABLE, Schema, meta_table

metadata = sa.MetaData()
meta = meta_table(metadata, "heimdall_audit_meta")

audits = sa.Table(
    "heimdall_audits",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("cluster_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("closed_until_s", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("cluster_id", "name"),
)

progress = sa.Table(
    "heimdall_audit_progress",
    metadata,
    sa.Column("audit", sa.BigInteger, primary_key=True),
    sa.Column("topic", sa.String(255), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("topic_id", sa.String(64), nullable=False),
    sa.Column("offset", sa.BigInteger, nullable=False),
    sa.Column("newest_us", sa.BigInteger, nullable=False),
    sa.Column("since_us", sa.BigInteger, nullable=False),
    sa.Column("skipped", sa.BigInteger, nullable=False),
)

windows = sa.Table(
    "heimdall_audit_windows",
    metadata,
    sa.Column("audit", sa.BigInteger, primary_key=True),
    sa.Column("start_s", sa.BigInteger, primary_key=True),
    sa.Column("tier", sa.Integer, primary_key=True),
    sa.Column("topic", sa.String(255), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("told", sa.Boolean, nullable=False),
    sa.Column("records", sa.BigInteger, nullable=False),
    sa.Column("unstamped", sa.BigInteger, nullable=False),
    sa.Column("duplicates", sa.BigInteger, nullable=False),
    sa.Column("lost", sa.BigInteger),
    sa.Column("gaps", sa.BigInteger),
    sa.Column("unmatched", sa.BigInteger),
    sa.Column("late", sa.BigInteger, nullable=False),
    sa.Column("latency", sa.Text, nullable=False),
    sa.Column("examples", sa.Text, nullable=False),
)
"""`told`: the trouble of a closed window is in the journal."""

ids = sa.Table(
    "heimdall_audit_ids",
    metadata,
    sa.Column("audit", sa.BigInteger, primary_key=True),
    sa.Column("start_s", sa.BigInteger, primary_key=True),
    sa.Column("tier", sa.Integer, primary_key=True),
    sa.Column("topic", sa.String(255), primary_key=True),
    sa.Column("run", sa.String(32), primary_key=True),
    sa.Column("producer", sa.BigInteger, primary_key=True),
    sa.Column("chunk", sa.BigInteger, primary_key=True),
    sa.Column("bits", sa.LargeBinary, nullable=False),
)
"""All records of open windows, and the lost ones of closed windows."""

reached = sa.Table(
    "heimdall_audit_reached",
    metadata,
    sa.Column("audit", sa.BigInteger, primary_key=True),
    sa.Column("topic", sa.String(255), primary_key=True),
    sa.Column("run", sa.String(32), primary_key=True),
    sa.Column("producer", sa.BigInteger, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("start_s", sa.BigInteger, nullable=False),
)
"""`start_s`: start of the closed window that reached it."""

SCHEMA = Schema(
    noun="audit store",
    metadata=metadata,
    meta=meta,
    version=1,
    variable=STORE_VARIABLE,
    file="audit.db",
    lost="the audits' progress and counts",
    cache_kib=8192,
)
