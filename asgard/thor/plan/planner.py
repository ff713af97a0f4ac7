"""The planners, one function each: a snapshot and limits in, a plan out. The same input gives the same plan."""

from __future__ import annotations

from collections.abc import Collection

from asgard.core.errors import WrongUsage
from asgard.kafka.model import ClusterSnapshot
from asgard.thor.limits import Limits
from asgard.thor.plan import evacuate
from asgard.thor.plan.board import Board
from asgard.thor.plan.finish import finish
from asgard.thor.plan.model import Plan

DEFAULTS = Limits()


def heal(snapshot: ClusterSnapshot, limits: Limits = DEFAULTS) -> Plan:
    """Replace every replica on a broker that is not up, or on an offline log directory."""
    board = Board(snapshot, limits)
    return finish(board, "heal", bound=evacuate.heal(board), urgent=True)


def drain(snapshot: ClusterSnapshot, brokers: Collection[int], limits: Limits = DEFAULTS) -> Plan:
    """Empty the brokers. Raises WrongUsage for one that the snapshot does not know."""
    _known(snapshot, brokers)
    board = Board(snapshot, limits, brokers)
    bound = evacuate.drain(board)
    return finish(board, "drain", _named(brokers), bound=bound)


def _known(snapshot: ClusterSnapshot, brokers: Collection[int]) -> None:
    known = {b.id for b in snapshot.brokers}
    unknown = sorted(set(brokers) - known)
    if unknown:
        listed = ", ".join(map(str, sorted(known)[:20])) + (", …" if len(known) > 20 else "")
        raise WrongUsage(f"broker {unknown[0]} is not in the snapshot", f"Its brokers are {listed}.")
    if not brokers:
        raise WrongUsage("no broker is named", "Name one or more broker ids.")


def _named(brokers: Collection[int]) -> tuple[str, ...]:
    return tuple(str(b) for b in sorted(set(brokers)))
