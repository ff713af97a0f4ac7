"""An execution's temporary changes to the cluster: on disk first, then in the cluster, and off the disk last.

Only one ledger at a time is open for a cluster. A new one takes over what older ones left: moves still in flight with
their throttle, and cordons; in the end, the values from before the first of them are put back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from asgard.cluster.held import HeldCluster
from asgard.cluster.moves import marks
from asgard.cluster.moves import record as records
from asgard.cluster.moves.foreign import refuse_throttles
from asgard.cluster.moves.record import DirFlight, Flight, MovesRecord
from asgard.journal import operations
from asgard.kafka import temporary
from asgard.kafka.model import Partition
from asgard.kafka.temporary import Key, PutBack, Setting
from asgard.kafka.throttle import RATES, REPLICAS

DONE = "done"


def taken_over(what: str) -> str:
    """How an operation ends whose moves and settings were taken over."""
    return f"taken over by {what}"


def left_open(held: HeldCluster) -> list[operations.Operation]:
    """Operations of this cluster whose moves and settings can be taken over, the oldest first.

    The command that started them no longer holds the lease, or is this process itself.
    """
    found = operations.unfinished(held.journal, under=held.lease.name)
    return [u.operation for u in found if u.operation.kind in records.KINDS]


class Ledger:
    """See the module. `record` is what is on disk; `foreign` what another tool has changed meanwhile.

    `left` are the moves that older ledgers recorded, `taken_over` those still in flight. Moves between brokers and those
    between log directories are throttled apart: work on one kind leaves the other as it was taken over.
    """

    def __init__(self, held: HeldCluster, what: str, plan: str, moving: Iterable[Partition], up: Iterable[int]) -> None:
        """Take over what older ones left. Raises LeaseLost."""
        self._hold = held
        self._up = frozenset(up)
        older = left_open(held)
        before = records.merged(records.parse(o.undo) for o in older)
        self.left = before.flights
        self.taken_over = records.in_flight(before.flights, moving)
        self.took_over_from = tuple(o.undo.get("what", o.subject) for o in older)
        self.dirs = before.dirs
        """Replicas that older ledgers had sent to other log directories."""
        self.record = MovesRecord(what, plan, self.taken_over, before.settings, dirs=before.dirs)
        self.foreign: list[Setting] = []
        self._operation = operations.begin(held.journal, records.FORMAT, what, self.record.document(), held.lease)
        for operation in older:
            # A crash before this leaves both open: putting their values back twice does no harm.
            operations.finish(held.journal, operation, held.lease, taken_over(what))

    @property
    def flights(self) -> tuple[Flight, ...]:
        """Moves in flight."""
        return self.record.flights

    @property
    def rate(self) -> float | None:
        """The throttle set by this ledger or those it took over; bytes per second and broker."""
        return next((float(s.ours[-1]) for s in self.record.settings if s.key[2] in RATES), None)

    @property
    def dirs_rate(self) -> float | None:
        """The same for moves between log directories."""
        return next((float(s.ours[-1]) for s in self.record.settings if s.key == marks.DIRS_RATE_KEY), None)

    def up(self, brokers: Iterable[int]) -> None:
        """Which brokers can be asked for their own configs."""
        self._up = frozenset(brokers)

    def throttle(self, flights: Iterable[Flight], rate_bytes_per_s: float | None) -> None:
        """These move between brokers, or are about to: adapt the throttle to them. Raises what the control plane
        raises."""
        flights = tuple(flights)
        mine = {s.key: s for s in self.record.settings if s.key[2] in (*RATES, *REPLICAS)}
        if not (flights or mine or self.record.flights):
            return
        keys = dict.fromkeys([*mine, *(marks.keys(flights) if flights else ())])
        there = temporary.read(self._hold.control, keys)
        before = {key: mine[key].before if key in mine else there.get(key) for key in keys}
        if any(there.get(key) is not None and key not in mine for key in marks.RATE_KEYS):
            # Checked at the start too; another tool may have begun at the same moment.
            refuse_throttles(self._hold.control, (), mine.values())
        self._set(replace(self.record, flights=flights), mine, there, marks.wanted(flights, rate_bytes_per_s, before))

    def throttle_dirs(self, dirs: Iterable[DirFlight], rate_bytes_per_s: float | None) -> None:
        """The same for moves between log directories, whose rate is a separate one."""
        dirs = tuple(dirs)
        key = marks.DIRS_RATE_KEY
        mine = {s.key: s for s in self.record.settings if s.key == key}
        if not (dirs or mine or self.record.dirs):
            return
        there = temporary.read(self._hold.control, [key])
        wanted = {} if rate_bytes_per_s is None or not dirs else {key: str(max(1, round(rate_bytes_per_s)))}
        self._set(replace(self.record, dirs=dirs), mine, there, wanted)

    def _set(
        self,
        record: MovesRecord,
        mine: Mapping[Key, Setting],
        there: Mapping[Key, str | None],
        wanted: Mapping[Key, str],
    ) -> None:
        """Change the settings `mine` to the wanted ones, and record it; the others stay."""
        others = tuple(s for s in record.settings if s.key not in mine)
        changing, settled, writes = self._change(mine, there, wanted)
        self._write(replace(record, settings=(*others, *changing)))
        temporary.write(self._hold.control, writes)
        # Restored and replaced values are removed from disk with the next change.
        self.record = replace(self.record, settings=(*others, *settled))

    def _change(
        self, mine: Mapping[Key, Setting], there: Mapping[Key, str | None], wanted: Mapping[Key, str]
    ) -> tuple[list[Setting], list[Setting], dict[Key, str | None]]:
        """The settings while they are changed, those after it, and what to write."""
        changing: list[Setting] = []
        settled: list[Setting] = []
        writes: dict[Key, str | None] = {}
        for key in there:
            old, now, value = mine.get(key), there[key], wanted.get(key)
            if old is not None and now not in (*old.ours, old.before):
                self.foreign.append(old)
                continue
            before = old.before if old is not None else now
            if value is None:
                if old is not None:
                    changing.append(old)
                    if now != before:
                        writes[key] = before
                continue
            own = (now,) if old is not None and now is not None and now in old.ours and now != value else ()
            changing.append(Setting(key, (*own, value), before))
            settled.append(Setting(key, (value,), before))
            if now != value:
                writes[key] = value
        return changing, settled, writes

    def cordon(self, settings: Iterable[Setting]) -> None:
        """Record that brokers are about to be cordoned."""
        self._write(replace(self.record, settings=(*self.record.settings, *settings)))

    def keep_cordons(self) -> None:
        """The cordons stay in the cluster: they are no longer temporary."""
        cordons = self.record.cordons
        rest = tuple(s for s in self.record.settings if s not in cordons)
        self._write(replace(self.record, settings=rest, kept=cordons))

    def lift_cordons(self, keep: Iterable[Key] = ()) -> PutBack:
        """Lift all cordons but those of `keep`; the cordon of a down broker stays recorded."""
        lifted = [s for s in self.record.cordons if s.key not in set(keep)]
        back = temporary.put_back(self._hold.control, lifted, self._up)
        rest = tuple(s for s in self.record.settings if s not in lifted)
        self._write(replace(self.record, settings=(*rest, *back.left)))
        return back

    def close(self, outcome: str) -> bool:
        """Close it if nothing of it is left in the cluster; else it stays open, for the next command. True if it was
        closed."""
        self._write(self.record)
        if self.record.flights or self.record.settings or self.record.dirs:
            return False
        operations.finish(self._hold.journal, self._operation, self._hold.lease, outcome)
        return True

    def _write(self, record: MovesRecord) -> None:
        operations.amend(self._hold.journal, self._operation, record.document(), self._hold.lease)
        self.record = record
