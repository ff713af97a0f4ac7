"""The second guard of a copy's rate: a client quota in Kafka itself, for as long as the copy runs.

The quota applies to the copy's own client id, so it slows down no one else. Kafka enforces quotas per broker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from asgard.core import events
from asgard.core.errors import AsgardError
from asgard.journal import operations
from asgard.journal.leases import Lease
from asgard.kafka.model import QuotaEntity
from asgard.kafka.ports import ControlPlane

KIND = "asgard.copy-quota/v1"
_NAMES = ("producer_byte_rate", "consumer_byte_rate")
_CALL_S = 10.0


@contextmanager
def guard(control: ControlPlane, lease: Lease, client_id: str, bytes_per_s: float | None) -> Iterator[None]:
    """Limit this client id's reads and writes in this cluster; sets nothing without a limit or without the permission."""
    if bytes_per_s is None:
        yield
        return
    undo = {"client_id": client_id}
    operations.settle(lease.journal, {KIND: lambda o, _: lift(control, o.undo)}, under=lease.name, held=[lease])
    operation = operations.begin(lease.journal, KIND, f"quota of client id {client_id}", undo, lease)
    lease.check(_CALL_S)
    answer = control.alter_quotas({QuotaEntity(client_id=client_id): dict.fromkeys(_NAMES, bytes_per_s)})
    refused = next((error for error in answer.values() if error is not None), None)
    if refused is not None:
        events.note(f"can't set a quota as a second limit on the rate: {refused.what}")
    try:
        yield
    finally:
        try:
            operations.finish(lease.journal, operation, lease, lift(control, undo))
        except AsgardError as error:
            events.warn(f"the quota of client id {client_id} stays for now: {error.what}; `asgard recover` lifts it")


def lift(control: ControlPlane, undo: Mapping[str, Any]) -> str:
    """Remove the quota. Returns what was done."""
    entity = QuotaEntity(client_id=undo["client_id"])
    if control.quotas().get(entity):
        for error in control.alter_quotas({entity: dict.fromkeys(_NAMES)}).values():
            if error is not None:
                raise error
    return f"the quota of client id {undo['client_id']} is lifted"
