"""What master and workers tell each other, over Locust's own protocol (MessagePack over ZeroMQ), beside Locust's messages.

                 master                              worker
                    <--- client_ready (Locust) ---
    PLAN   scenario, run, cluster id --->                     makes its clients' plan; nothing is sent yet
           spawn (Locust) --->                                users start, connect, join their groups
                    <--- READY                                all of them can start; or REFUSED with the reason
    GO     start time --->                                    the load
                    <--- PARTS                                once a second: what was seen since
                    <--- SENT                                 its producers have all their answers
    DRAIN  --->                                               consumers read on to the end, then stop
                    <--- HISTORY                              from another machine: its history, in pieces
                    <--- DONE                                 last PARTS went before
           quit (Locust) --->

STOP ends the sending early. None of them carries a credential: a worker connects with what its own command line named, and
refuses a plan for another cluster than that.
"""

from __future__ import annotations

PLAN, GO, STOP, DRAIN = "loki-plan", "loki-go", "loki-stop", "loki-drain"
READY, REFUSED, PARTS, SENT, HISTORY, DONE = (
    "loki-ready",
    "loki-refused",
    "loki-parts",
    "loki-sent",
    "loki-history",
    "loki-done",
)
PIECE_BYTES = 1024 * 1024
