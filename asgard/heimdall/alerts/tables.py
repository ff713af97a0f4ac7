"""The tables of alerts: the state of each, what is to be sent, and volumes of disks for their trend. Times are seconds since 1970 (UTC)."""

from __future__ import annotations

import sqlalchemy as sa

from asgard.core.database import STORE_VARIABLE, Database, Id, Schema, meta_table, open_database

metadata = sa.MetaData()
meta = meta_table(metadata, "heimdall_alert_meta")

states = sa.Table(
    "heimdall_alerts",
    metadata,
    sa.Column("cluster_id", sa.String(64), primary_key=True),
    sa.Column("rule", sa.String(255), primary_key=True),
    sa.Column("subject", sa.String(512), primary_key=True),
    sa.Column("phase", sa.String(16), nullable=False),
    sa.Column("since", sa.Double, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("labels", sa.Text, nullable=False),
    sa.Column("raised_at", sa.Double),
    sa.Column("well_since", sa.Double),
    sa.Column("extent", sa.Text, nullable=False),
)

notifications = sa.Table(
    "heimdall_notifications",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=True),
    sa.Column("cluster_id", sa.String(64), nullable=False, index=True),
    sa.Column("key", sa.String(1024), nullable=False, unique=True),
    sa.Column("receiver", sa.String(255), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", sa.Double, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("created_at", sa.Double, nullable=False),
    sqlite_autoincrement=True,
)

volumes = sa.Table(
    "heimdall_volumes",
    metadata,
    sa.Column("cluster_id", sa.String(64), primary_key=True),
    sa.Column("disk", sa.String(255), primary_key=True),
    sa.Column("slot", sa.BigInteger, primary_key=True),
    sa.Column("used_bytes", sa.BigInteger, nullable=False),
    sa.Column("capacity_bytes", sa.BigInteger, nullable=False),
)
"""One row for each log directory and ten minutes."""

SCHEMA = Schema(
    noun="store of alerts",
    metadata=metadata,
    meta=meta,
    version=2,
    variable=STORE_VARIABLE,
    file="alerts.db",
    lost="which alerts are raised and what is still to be sent",
)


def open_alerts(url: str | None = None) -> Database:
    """Open it, creating it if it does not exist; errors are those of `core.database.open_database`."""
    return open_database(SCHEMA, url)
