"""Claims: which stack owns a thing in a cluster. The first stack that claims a name has it; a second one is refused.

A thing is (kind, name), as in ("topic", "orders.created"). A call makes all of its claims or none.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from asgard.core.errors import Refused
from asgard.journal.store import tables
from asgard.journal.store.database import Database

Thing = tuple[str, str]
"""Kind and name."""

_c = tables.claims.c
_SHOWN = 5


def claim(journal: Database, cluster_id: str, stack: str, things: Collection[Thing]) -> int:
    """Claim all these things for a stack; how many are new. Existing claims stay.

    Raises Refused, with owners, if another stack has any of them; then nothing was claimed.
    """
    if not things:
        return 0
    with journal.read() as connection:
        missing = _missing(connection, cluster_id, stack, things)
    if not missing:
        return 0  # the usual case: nothing is written, so nothing waits
    try:
        return _insert(journal, cluster_id, stack, things)
    except IntegrityError:
        # Another stack claimed one of them between the read and the write; read again.
        return _insert(journal, cluster_id, stack, things)


def check(journal: Database, cluster_id: str, stack: str, things: Collection[Thing]) -> None:
    """Raise Refused, with owners, if another stack has any of these things. Claims nothing."""
    with journal.read() as connection:
        _missing(connection, cluster_id, stack, things)


def _insert(journal: Database, cluster_id: str, stack: str, things: Collection[Thing]) -> int:
    with journal.write() as connection:
        missing = _missing(connection, cluster_id, stack, things)
        at = journal.now(connection)
        rows = [{"cluster_id": cluster_id, "kind": k, "name": n, "stack": stack, "at": at} for k, n in missing]
        if rows:
            connection.execute(sa.insert(tables.claims), rows)
        return len(rows)


def _missing(connection: Connection, cluster_id: str, stack: str, things: Collection[Thing]) -> list[Thing]:
    owned = _owners(connection, cluster_id)
    wanted = list(dict.fromkeys(things))
    taken = [(kind, name, owned[kind, name]) for kind, name in wanted if owned.get((kind, name), stack) != stack]
    if taken:
        shown = ", ".join(f"{kind} {name} (stack {owner})" for kind, name, owner in taken[:_SHOWN])
        more = f" and {len(taken) - _SHOWN} more" if len(taken) > _SHOWN else ""
        raise Refused(
            f"stack {stack} can't own what another stack on this cluster owns: {shown}{more}",
            "Remove it from one of the two stack files; name a topic under external_topics to use it without owning it.",
        )
    return [thing for thing in wanted if thing not in owned]


def release(journal: Database, cluster_id: str, stack: str, things: Collection[Thing] | None = None) -> int:
    """Give up a stack's claims on these things, or on all; how many there were. Other stacks' claims stay."""
    mine = sa.delete(tables.claims).where(_c.cluster_id == cluster_id, _c.stack == stack)
    with journal.write() as connection:
        if things is None:
            return connection.execute(mine).rowcount
        before = len(_owners(connection, cluster_id))
        params = [{"k": kind, "n": name} for kind, name in dict.fromkeys(things)]
        if params:
            connection.execute(mine.where(_c.kind == sa.bindparam("k"), _c.name == sa.bindparam("n")), params)
        return before - len(_owners(connection, cluster_id))


def owners(journal: Database, cluster_id: str) -> dict[Thing, str]:
    """Every claimed thing of a cluster with its stack."""
    with journal.read() as connection:
        return _owners(connection, cluster_id)


def _owners(connection: Connection, cluster_id: str) -> dict[Thing, str]:
    rows = connection.execute(sa.select(_c.kind, _c.name, _c.stack).where(_c.cluster_id == cluster_id))
    return {(kind, name): stack for kind, name, stack in rows}
