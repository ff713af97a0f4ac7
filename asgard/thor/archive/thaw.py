"""Files that S3 has moved to cold storage (Glacier, Deep Archive): find them and request copies.

A restored copy stays for `DAYS`; until it exists, S3 refuses to read the object. A directory has no cold files, nor does
Glacier Instant Retrieval, which the bucket of a stack on AWS uses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from asgard.core import events
from asgard.core.errors import Busy, Refused
from asgard.core.units import format_size
from asgard.thor.archive.storage import Entry, Storage

DAYS = 7
"""How long a restored copy stays: an interrupted restore can continue within a week."""
AT_ONCE = 8
_PATIENCE = (
    "S3 takes 3 to 5 hours for Glacier and up to 12 for Deep Archive. Run the same command again then: it goes on."
)


@runtime_checkable
class Cold(Protocol):
    """A storage that has cold files."""

    def cold(self, prefix: str) -> Iterable[Entry]:
        """Files below a prefix in a cold class, restored or not."""
        ...

    def restored(self, name: str) -> bool | None:
        """Whether a cold file has a readable copy; None: one is on its way."""
        ...

    def thaw(self, name: str, days: int) -> None:
        """Request a copy. If one is already on its way, that is not an error."""
        ...


@dataclass(frozen=True)
class Frozen:
    """Cold files that can't be read now. `asked`: those whose copies were requested."""

    storage: Storage
    files: tuple[Entry, ...] = ()
    asked: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.files)

    def __str__(self) -> str:
        count, size = len(self.files), format_size(sum(f.bytes for f in self.files))
        waiting = f", {len(self.asked)} of them on their way" if self.asked else ""
        return f"{count} file{'s' if count > 1 else ''} of {self.storage.url} ({size}) {'are' if count > 1 else 'is'} in cold storage{waiting}"


def frozen(storage: Storage, prefixes: Iterable[str], names: Collection[str] | None = None) -> Frozen:
    """What can't be read below these prefixes; only of `names`, if given."""
    if not isinstance(storage, Cold):
        return Frozen(storage)
    cold = [e for prefix in prefixes for e in storage.cold(prefix) if names is None or e.name in names]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        states = dict(zip((e.name for e in cold), pool.map(storage.restored, (e.name for e in cold)), strict=True))
    left = tuple(e for e in cold if states[e.name] is not True)
    return Frozen(storage, left, frozenset(e.name for e in left if states[e.name] is None))


def ask(found: Frozen, *, allowed: bool) -> None:
    """Ask S3 to restore frozen files, and stop. Raises Refused if that is not allowed, else Busy: it takes hours."""
    if not found:
        return
    if not allowed:
        first = ", ".join(e.name for e in found.files[:3]) + (", …" if len(found.files) > 3 else "")
        raise Refused(
            f"{found}: {first}", "Add --thaw: S3 then makes copies for a week, which costs money and takes hours."
        )
    assert isinstance(found.storage, Cold)
    wanted = [e.name for e in found.files if e.name not in found.asked]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(found.storage.thaw, wanted, [DAYS] * len(wanted)):
            pass
    if wanted:
        events.note(f"asked S3 for {len(wanted)} files; the copies stay for {DAYS} days")
    raise Busy(
        f"{found}"
        if not wanted
        else f"{len(found.files)} files of {found.storage.url} are on their way out of cold storage",
        _PATIENCE,
    )
