"""The journal's database: opened, created, checked for its version, and its failures said in sentences.

SQLite in WAL mode under ASGARD_HOME (directory 0700, file 0600) unless `ASGARD_JOURNAL` holds another SQLAlchemy URL. What
is special to SQLite stands here, in how connections are made; the statements elsewhere are portable.

Time comes from the database's side, so that all who share a journal read one clock: the server's `CURRENT_TIMESTAMP` (the
start of the transaction, so never too late); for SQLite, whose users all run on one host, that host's clock.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, ProgrammingError

from asgard.core import paths
from asgard.core.errors import AsgardError, Busy, Failed, Refused, Unreachable, WrongUsage
from asgard.journal.store import tables

BUSY_TIMEOUT_S = 10.0
CACHE_KIB = 256


class Database:
    """An open journal. `clock` is SQLite's time (tests hand in their own); safe to use from several threads."""

    def __init__(self, engine: Engine, where: str, clock: Callable[[], float] = time.time) -> None:
        self.engine = engine
        self.where = where
        self._clock = clock

    @property
    def on_this_host(self) -> bool:
        """True where the journal's time is this host's own clock."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the journal."""
        with sentences(self.where), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write; committed (and on disk) when the block ends, rolled back when it raises."""
        with sentences(self.where), self.engine.execution_options(asgard_write=True).begin() as connection:
            yield connection

    def now(self, connection: Connection) -> float:
        """Seconds since 1970 by the journal's one clock."""
        if self.on_this_host:
            return self._clock()
        answer: datetime = connection.execute(sa.select(sa.func.current_timestamp())).scalar_one()
        return answer.timestamp()

    def time(self) -> float:
        """The same, outside a transaction."""
        with self.read() as connection:
            return self.now(connection)

    def host_clock(self) -> float:
        """This host's clock: the journal's own where `on_this_host`."""
        return self._clock()

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_journal(
    url: str | None = None, *, clock: Callable[[], float] = time.time, busy_timeout_s: float = BUSY_TIMEOUT_S
) -> Database:
    """Open the journal, making it where there is none.

    `url` is a SQLAlchemy URL, else `ASGARD_JOURNAL`, else SQLite at ASGARD_HOME/journal.db. Raises Unreachable, Failed
    (disk full), Busy (locked for `busy_timeout_s`), and Refused for a journal of another version.
    """
    text = url or os.environ.get("ASGARD_JOURNAL") or ""
    try:
        parsed = make_url(text) if text else URL.create("sqlite", database=str(paths.home() / "journal.db"))
        engine = _engine(parsed, busy_timeout_s)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise WrongUsage(
            f"ASGARD_JOURNAL is not a database URL that can be used here: {error}",
            "Write it as in postgresql+psycopg://user@host/asgard, and install that driver; without it the journal is a file.",
        ) from error
    where = parsed.database or "" if engine.dialect.name == "sqlite" else parsed.render_as_string(hide_password=True)
    if engine.dialect.name == "sqlite":
        _make_file(Path(where), parsed, busy_timeout_s)
    database = Database(engine, where, clock)
    try:
        _check_version(database)
    except AsgardError:
        database.close()
        raise
    return database


def _engine(url: URL, busy_timeout_s: float) -> Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    # The driver's own way of beginning transactions is switched off: it would read first and then fail to write
    # (SQLITE_BUSY at once, without waiting) where somebody else wrote in between.
    engine = sa.create_engine(url, connect_args={"timeout": busy_timeout_s, "isolation_level": None})

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        # FULL: what was committed before a change to a cluster is on disk also after a power cut.
        connection.execute("PRAGMA synchronous=FULL")
        # SQLite would keep up to 2 MB a connection; the system keeps the file's pages anyway.
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("asgard_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _make_file(path: Path, url: URL, busy_timeout_s: float) -> None:
    """Make a SQLite journal whole and then put it in place, so that nobody ever opens a half-made one."""
    try:
        if path.exists():
            return
        paths.private_dir(path.parent)
        with TemporaryDirectory(dir=path.parent, prefix=".journal.") as scratch:
            new = Path(scratch) / "new.db"
            new.touch(mode=0o600)
            with sentences(str(path)):
                _fill_file(_engine(url.set(database=str(new)), busy_timeout_s))
            # Where another process was quicker, this one is thrown away.
            with suppress(FileExistsError):
                os.link(new, path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _explain(str(path), "the disk is full") from error
        raise _explain(str(path), error.strerror or str(error)) from error


def _fill_file(engine: Engine) -> None:
    try:
        with closing(engine.raw_connection()) as raw:
            raw.cursor().execute("PRAGMA journal_mode=WAL")
        with engine.execution_options(asgard_write=True).begin() as connection:
            _create(connection)
    finally:
        engine.dispose()


def _create(connection: Connection) -> None:
    tables.metadata.create_all(connection)
    connection.execute(sa.insert(tables.meta).values(name="schema", value=str(tables.SCHEMA_VERSION)))


def _version(database: Database) -> int | None:
    """The journal's schema version; None where it has no tables of ours."""
    with database.read() as connection:
        if not sa.inspect(connection).has_table(tables.meta.name):
            return None
        value = connection.execute(sa.select(tables.meta.c.value).where(tables.meta.c.name == "schema")).scalar()
        return int(value) if value and value.isdigit() else None


def _check_version(database: Database) -> None:
    version = _version(database)
    if version is None and not database.on_this_host:
        try:
            with database.write() as connection:
                _create(connection)
        except (IntegrityError, ProgrammingError):
            pass  # another process creates the same tables
        version = _version(database)
    if version == tables.SCHEMA_VERSION:
        return
    if version is None:
        raise Refused(
            f"{database.where} is a database, but no journal of Asgard",
            "Move it away, or let ASGARD_HOME or ASGARD_JOURNAL name another place.",
        )
    age = "a newer" if version > tables.SCHEMA_VERSION else "an older"
    raise Refused(
        f"the journal {database.where} was written by {age} Asgard (version {version}; this one reads {tables.SCHEMA_VERSION})",
        f"Use {age} Asgard with it, or move the journal away: events, claims and open operations in it are then not seen.",
    )


def insert(connection: Connection, table: sa.Table, **values: object) -> int:
    """Insert a row into a table that counts its ids, and give the id."""
    key = connection.execute(sa.insert(table).values(**values)).inserted_primary_key
    assert key is not None
    return int(key[0])


@contextmanager
def sentences(where: str) -> Iterator[None]:
    """Say what went wrong with the journal at `where`; what is no failure of the database passes through."""
    try:
        yield
    except (IntegrityError, ProgrammingError):
        raise
    except (DBAPIError, sqlite3.Error) as error:
        # What is done past SQLAlchemy (a pragma on the raw connection) raises the driver's own.
        reason = error.orig if isinstance(error, DBAPIError) else error
        raise _explain(where, str(reason).strip().partition("\n")[0]) from error


def _explain(where: str, reason: str) -> AsgardError:
    if "locked" in reason or "busy" in reason:
        return Busy(
            f"the journal {where} is busy: another process has been writing to it for a long while",
            "Try again; if it stays so, look for a stopped asgard process (`fuser` on the file names it).",
        )
    if "full" in reason or "disk I/O error" in reason:
        return Failed(f"the journal {where} can't be written: {reason}", "Make room on that disk and run it again.")
    if "not a database" in reason or "malformed" in reason:
        return Failed(
            f"the journal {where} is damaged: {reason}",
            "Move it away and run again: stacks keep their own state; events, claims and open operations are lost.",
        )
    return Unreachable(
        f"the journal {where} can't be used: {reason}",
        "Make the file and its directory writable for you, or let ASGARD_HOME or ASGARD_JOURNAL name another place.",
    )
