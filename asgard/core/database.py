"""An Asgard database: opens it, creates it, checks its version, and explains its failures in a sentence.

The journal, Heimdall's store and Bifrost's store each declare a `Schema` and open it here. Each is a SQLite file in WAL
mode under ASGARD_HOME (directory 0700, file 0600) unless its environment variable holds a SQLAlchemy URL. Several
schemas may share one PostgreSQL database: their tables have different prefixes. Only the creation of connections is
specific to SQLite; statements elsewhere are portable.

Time comes from the database's side, so that all its users read one clock: the server's `CURRENT_TIMESTAMP` (the start
of the transaction, so never too late); for SQLite, whose users all run on one host, that host's clock.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, ProgrammingError

from asgard.core import paths
from asgard.core.errors import AsgardError, Busy, Failed, Refused, Unreachable, WrongUsage

BUSY_TIMEOUT_S = 10.0
STORE_VARIABLE = "ASGARD_STORE"
"""Names the database of Heimdall's and Bifrost's stores."""

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""The type of autoincrement ids: SQLite increments only its own INTEGER type, others need 64 bits spelled out."""


def meta_table(metadata: sa.MetaData, name: str) -> sa.Table:
    """The table with a schema's version (row `schema`) and other single values."""
    return sa.Table(
        name, metadata, sa.Column("name", sa.String(64), primary_key=True), sa.Column("value", sa.Text, nullable=False)
    )


@dataclass(frozen=True)
class Schema:
    """What a database holds. `noun` is its name in sentences (`journal`), `lost` what is missing without it.

    `variable` is the environment variable for another location, `file` the file's name under ASGARD_HOME. `durable`: a
    commit survives a power cut; without it only a crash of the process (faster; the file stays consistent in any case).
    """

    noun: str
    metadata: sa.MetaData
    meta: sa.Table
    version: int
    variable: str
    file: str
    lost: str
    durable: bool = True
    cache_kib: int = 256


class Database:
    """An open database. `clock` is SQLite's time (tests pass their own); safe to use from several threads."""

    def __init__(self, schema: Schema, engine: Engine, where: str, clock: Callable[[], float] = time.time) -> None:
        self.schema = schema
        self.engine = engine
        self.where = where
        self._clock = clock

    @property
    def on_this_host(self) -> bool:
        """True if the database's time is this host's own clock."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one consistent state of the database."""
        with sentences(self.schema, self.where), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write; committed (and on disk) when the block ends, rolled back when it raises."""
        engine = self.engine.execution_options(asgard_write=True)
        with sentences(self.schema, self.where), engine.begin() as connection:
            yield connection

    def now(self, connection: Connection) -> float:
        """Seconds since 1970 by the database's one clock."""
        if self.on_this_host:
            return self._clock()
        answer: datetime = connection.execute(sa.select(sa.func.current_timestamp())).scalar_one()
        return answer.timestamp()

    def time(self) -> float:
        """The same, outside a transaction."""
        with self.read() as connection:
            return self.now(connection)

    def host_clock(self) -> float:
        """This host's clock: the database's own where `on_this_host`."""
        return self._clock()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_database(
    schema: Schema,
    url: str | None = None,
    *,
    clock: Callable[[], float] = time.time,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
) -> Database:
    """Open a database, creating it if it does not exist.

    `url` is a SQLAlchemy URL, else the schema's environment variable, else its SQLite file under ASGARD_HOME. Raises
    Unreachable, Failed (disk full), Busy (locked for `busy_timeout_s`), and Refused for a database of another version.
    """
    text = url or os.environ.get(schema.variable) or ""
    try:
        parsed = _url(text) if text else URL.create("sqlite", database=str(paths.home() / schema.file))
        engine = _engine(schema, parsed, busy_timeout_s)
    except ModuleNotFoundError as error:
        raise WrongUsage(
            f"{schema.variable} is not a database URL that can be used here: {error}",
            "For PostgreSQL install the extra `postgres` (pip install 'asgard-kafka[postgres]').",
        ) from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise WrongUsage(
            f"{schema.variable} is not a database URL that can be used here: {error}",
            f"Write it as in postgresql://user@host/asgard; without it the {schema.noun} is a file.",
        ) from error
    where = parsed.database or "" if engine.dialect.name == "sqlite" else parsed.render_as_string(hide_password=True)
    if engine.dialect.name == "sqlite":
        _make_file(schema, Path(where), parsed, busy_timeout_s)
    database = Database(schema, engine, where, clock)
    try:
        _check_version(database)
    except AsgardError:
        database.close()
        raise
    return database


def _url(text: str) -> URL:
    parsed = make_url(text)
    # The plain names select SQLAlchemy's oldest driver; Asgard's extra installs psycopg 3.
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername in ("postgresql", "postgres") else parsed


def _engine(schema: Schema, url: URL, busy_timeout_s: float) -> Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    # The driver's own way of starting transactions is switched off: it would read first and then fail to write
    # (SQLITE_BUSY at once, without waiting) if another connection wrote in between.
    engine = sa.create_engine(url, connect_args={"timeout": busy_timeout_s, "isolation_level": None})

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA synchronous={'FULL' if schema.durable else 'NORMAL'}")
        # SQLite would keep up to 2 MB per connection; the system caches the file's pages anyway.
        connection.execute(f"PRAGMA cache_size=-{schema.cache_kib}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("asgard_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _make_file(schema: Schema, path: Path, url: URL, busy_timeout_s: float) -> None:
    """Fill a new SQLite file and then move it into place, so that no process ever opens an incomplete one."""
    try:
        if path.exists():
            return
        paths.private_dir(path.parent)
        with TemporaryDirectory(dir=path.parent, prefix=f".{schema.noun}.") as scratch:
            new = Path(scratch) / "new.db"
            new.touch(mode=0o600)
            with sentences(schema, str(path)):
                _fill_file(schema, _engine(schema, url.set(database=str(new)), busy_timeout_s))
            # If another process was faster, this one is discarded.
            with suppress(FileExistsError):
                os.link(new, path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _explain(schema, str(path), "the disk is full") from error
        raise _explain(schema, str(path), error.strerror or str(error)) from error


def _fill_file(schema: Schema, engine: Engine) -> None:
    try:
        with closing(engine.raw_connection()) as raw:
            raw.cursor().execute("PRAGMA journal_mode=WAL")
        with engine.execution_options(asgard_write=True).begin() as connection:
            _create(schema, connection)
    finally:
        engine.dispose()


def _create(schema: Schema, connection: Connection) -> None:
    schema.metadata.create_all(connection)
    connection.execute(sa.insert(schema.meta).values(name="schema", value=str(schema.version)))


def _version(database: Database) -> int | None:
    """The schema version; None if the database has no tables of this schema."""
    meta = database.schema.meta
    with database.read() as connection:
        if not sa.inspect(connection).has_table(meta.name):
            return None
        value = connection.execute(sa.select(meta.c.value).where(meta.c.name == "schema")).scalar()
        return int(value) if value and value.isdigit() else None


def _check_version(database: Database) -> None:
    schema = database.schema
    version = _version(database)
    if version is None and (not database.on_this_host or _is_ours(database)):
        try:
            with database.write() as connection:
                _create(schema, connection)
        except (IntegrityError, ProgrammingError):
            pass  # another process is creating the same tables
        version = _version(database)
    if version == schema.version:
        return
    if version is None:
        raise Refused(
            f"{database.where} is a database, but not an Asgard {schema.noun}",
            f"Move it away, or set ASGARD_HOME or {schema.variable} to another place.",
        )
    age = "a newer" if version > schema.version else "an older"
    raise Refused(
        f"the {schema.noun} {database.where} was written by {age} Asgard "
        f"(version {version}; this one reads {schema.version})",
        f"Use {age} Asgard with it, or move the {schema.noun} away: {schema.lost} in it are then not seen.",
    )


def _is_ours(database: Database) -> bool:
    """Whether a SQLite file holds another Asgard schema (one ASGARD_STORE for several stores), and so accepts this one
    too."""
    with database.read() as connection:
        names = sa.inspect(connection).get_table_names()
    return any(name.endswith("_meta") and name.startswith(("asgard_", "heimdall_", "bifrost_")) for name in names)


def insert(connection: Connection, table: sa.Table, **values: object) -> int:
    """Insert a row into a table with autoincrement ids, and return the id."""
    key = connection.execute(sa.insert(table).values(**values)).inserted_primary_key
    assert key is not None
    return int(key[0])


@contextmanager
def sentences(schema: Schema, where: str) -> Iterator[None]:
    """Explain what went wrong with the database at `where`; other exceptions pass through."""
    try:
        yield
    except (IntegrityError, ProgrammingError):
        raise
    except (DBAPIError, sqlite3.Error) as error:
        # Operations that bypass SQLAlchemy (a pragma on the raw connection) raise the driver's own errors.
        reason = error.orig if isinstance(error, DBAPIError) else error
        raise _explain(schema, where, str(reason).strip().partition("\n")[0]) from error


def _explain(schema: Schema, where: str, reason: str) -> AsgardError:
    what = f"the {schema.noun} {where}"
    if "://" in where:
        return Unreachable(f"{what} can't be used: {reason}", f"Is the server up, and is {schema.variable} right?")
    if "locked" in reason or "busy" in reason:
        return Busy(
            f"{what} is busy: another process has been writing to it for a long while",
            "Try again; if that does not help, look for a stopped asgard process (`fuser` on the file names it).",
        )
    if "full" in reason or "disk I/O error" in reason:
        return Failed(f"{what} can't be written: {reason}", "Make room on that disk and run it again.")
    if "not a database" in reason or "malformed" in reason:
        return Failed(
            f"{what} is damaged: {reason}",
            f"Move it away and run again: stacks keep their own state; {schema.lost} are lost.",
        )
    return Unreachable(
        f"{what} can't be used: {reason}",
        f"Make the file and its directory writable for you, or set ASGARD_HOME or {schema.variable} to another place.",
    )
