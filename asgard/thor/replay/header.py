"""The replay header: which copy brought a record, and from where. One header per copy of a record.

The name is `asgard.replay`; the value is text, `1/ID/CLUSTER/TOPIC/PARTITION/OFFSET`: the version, the id of the copy, and where
the record was before. Together the headers are the record's route, so a copy that would bring it back is detected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from asgard.kafka.data import Read

HEADER = "asgard.replay"
ROOM = 400
"""More bytes than the header adds to a record: a topic's name has at most 249."""
_VERSION = "1"


class Hop(NamedTuple):
    """One copy of a record: by which, and where it was before."""

    id: str
    cluster: str
    topic: str
    partition: int
    offset: int


def maker(id: str, cluster: str) -> Callable[[Read], tuple[str, bytes]]:
    """Returns a function for the header of each record that a copy takes from a cluster."""
    leads: dict[tuple[str, int], bytes] = {}

    def make(record: Read) -> tuple[str, bytes]:
        topic, partition, offset = record[0], record[1], record[2]
        lead = leads.get((topic, partition))
        if lead is None:
            lead = leads[topic, partition] = f"{_VERSION}/{id}/{cluster}/{topic}/{partition}/".encode()
        return HEADER, b"%b%d" % (lead, offset)

    return make


def hops(headers: Iterable[tuple[str, bytes | None]]) -> list[Hop]:
    """The route of a record, oldest copy first; other headers are skipped."""
    found = []
    for name, value in headers:
        if name == HEADER:
            parts = (value or b"").decode("utf-8", "replace").split("/")
            if len(parts) == 6 and parts[0] == _VERSION and parts[4].isdecimal() and parts[5].isdecimal():
                found.append(Hop(parts[1], parts[2], parts[3], int(parts[4]), int(parts[5])))
    return found


def visits(headers: Iterable[tuple[str, bytes | None]], cluster: str, topic: str) -> int:
    """How often a record has been copied out of this topic."""
    return sum(hop.cluster == cluster and hop.topic == topic for hop in hops(headers))
