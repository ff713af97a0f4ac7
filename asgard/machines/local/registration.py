"""Will this node ever register with its controllers? Judged from its own log. Pure.

A broker that is not a controller copies the metadata log from its beginning. If the first leader of a new cluster is
replaced before its first records are committed, which happens on a busy machine, the broker must drop them and read
those of the next leader. Kafka (seen with 4.3.1) then forgets the voters in the dropped records, and does not read the
new ones, since they have the same offsets. Without voters the broker has no address for a controller: once its
connection to one is gone, each attempt to register times out, until the broker exits. A restart reads the log again,
with the voters in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_VOTERS = re.compile(r"Latest set of voters is .* at offset (-?\d+) ")
_TRUNCATED = re.compile(r"Truncated to offset (\d+) from Fetch response")
_UNABLE = "Unable to register the broker"
_TRIES = 3
"""Failed attempts before the node is given up: the first may just have come too early."""


def forgot_voters(log: Iterable[str]) -> bool:
    """Whether the node dropped all voters that it knew, has read no others, and has failed to register since.

    `log` is its server.log since its last start. A controller has its first voters from its formatting (offset -1), and
    drops only what it read after them.
    """
    known: list[int] = []
    forgot, tries = False, 0
    for line in log:
        if found := _VOTERS.search(line):
            known, forgot, tries = [*known, int(found[1])], False, 0
        elif (found := _TRUNCATED.search(line)) and known:
            known = [offset for offset in known if offset < int(found[1])]
            forgot, tries = not known, 0
        elif _UNABLE in line:
            tries += 1
    return forgot and tries >= _TRIES


def never_registered(log: Iterable[str]) -> bool:
    """Whether a node that exited had failed to register."""
    return any(_UNABLE in line for line in log)
