"""A broker being drained takes no new replicas: its log directories are cordoned first (KIP-1066, Kafka 4.3).

This goes through the broker itself, so a down broker can't be cordoned or uncordoned: that waits for the next run that
sees it up.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from asgard.cluster.held import HeldCluster
from asgard.cluster.moves import record
from asgard.cluster.moves.ledger import Ledger
from asgard.core.errors import AsgardError
from asgard.journal import operations
from asgard.kafka import temporary
from asgard.kafka.temporary import Key, Setting

ALL = "*"
_METADATA_VERSION = 30
"""4.3-IV0, the first metadata version that knows cordoned log directories."""
_SEEN_WITHIN_S = 10.0


def key(broker: int) -> Key:
    """The config that cordons a broker."""
    return ("broker", str(broker), record.CORDON)


def put(held: HeldCluster, ledger: Ledger, brokers: Iterable[int]) -> Iterator[str]:
    """Cordon the brokers, recorded on disk first, and report the result for each; if it is not possible, the drain goes
    on without."""
    wanted = sorted(brokers)
    if wanted and held.control.features().get("metadata.version", 0) < _METADATA_VERSION:
        yield "Kafka before 4.3 can't cordon brokers: new topics may still get replicas on the drained ones"
        return
    there = temporary.read(held.control, [key(b) for b in wanted])
    for broker in wanted:
        if key(broker) not in there:
            yield f"broker {broker} is down, so it can't be cordoned"
        elif there[key(broker)] != ALL:
            ledger.cordon([Setting(key(broker), (ALL,), there[key(broker)])])
            try:
                temporary.write(held.control, {key(broker): ALL})
            except AsgardError as error:
                yield f"broker {broker} is not cordoned, new topics may still get replicas there: {error.what}"
            else:
                yield _wait_for(held, broker)


def _wait_for(held: HeldCluster, broker: int) -> str:
    give_up = time.monotonic() + _SEEN_WITHIN_S
    while not all(d.cordoned for d in held.control.log_dirs([broker]).get(broker, ())):
        if time.monotonic() > give_up:
            return f"broker {broker} was cordoned but does not confirm it: new topics may still get replicas there"
        time.sleep(0.1)
    return f"broker {broker} is cordoned: it gets no new replicas"


def undo(held: HeldCluster, brokers: Iterable[int]) -> Iterator[str]:
    """Take back the cordons that drains kept; a cordon that no drain of this journal set stays, and that is
    reported."""
    kept = {
        s.key: s
        for o in operations.history(held.journal, last=1000)
        if o.kind == record.FORMAT and o.lease == held.lease.name
        for s in record.parse(o.undo).kept
    }
    there = temporary.read(held.control, [key(b) for b in brokers])
    for broker in brokers:
        where = key(broker)
        if where not in there:
            yield f"broker {broker} is down: if it is cordoned, it stays so"
        elif there[where] != ALL:
            continue
        elif where in kept:
            temporary.write(held.control, {where: kept[where].before})
            yield f"broker {broker} is no longer cordoned"
        else:
            yield f"broker {broker} was cordoned by another tool and stays cordoned"
