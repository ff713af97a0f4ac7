"""Nodes that will never register are known by their log; the lines are those of a broker to which it happened."""

from __future__ import annotations

import pytest

from asgard.machines.local.registration import forgot_voters, never_registered

VOTERS = (
    "2026-11-28T01:29:52.345Z INFO [RaftManager id=4] Latest set of voters is VoterSet(voters={1=VoterNode(voterKey="
    "ReplicaKey(id=1, directoryId=eKANvR-dW4HVmU6xhbTKSw), listeners=Endpoints(endpoints={ListenerName(CONTROLLER)="
    "127.0.0.1/<unresolved>:26266}))}) at offset 2 (KRaftControlRecordStateMachine)"
)
FORMATTED = VOTERS.replace("at offset 2", "at offset -1")
TRUNCATED = (
    "2026-11-28T01:29:53.394Z INFO [RaftManager id=4] Truncated to offset 0 from Fetch response from leader 2 "
    "(KafkaRaftClient)"
)
LATER = TRUNCATED.replace("offset 0", "offset 9")
UNABLE = (
    "2026-11-28T01:29:55.616Z INFO [BrokerLifecycleManager id=4] Unable to register the broker because the RPC got "
    "timed out before it could be sent. (BrokerLifecycleManager)"
)
OTHER = "2026-11-28T01:29:53.881Z INFO Loaded 0 logs in 23ms (LogManager)"


@pytest.mark.parametrize(
    ("log", "forgot"),
    [
        ([], False),
        ([VOTERS, TRUNCATED, OTHER, UNABLE, UNABLE, UNABLE], True),
        ([VOTERS, UNABLE, TRUNCATED, UNABLE, UNABLE], False),  # it may still get through
        ([VOTERS, UNABLE, UNABLE, UNABLE], False),  # slow controllers, known voters
        ([UNABLE, UNABLE, UNABLE], False),  # no controller has answered yet
        ([TRUNCATED, UNABLE, UNABLE, UNABLE], False),  # nothing was known that could be lost
        ([VOTERS, LATER, UNABLE, UNABLE, UNABLE], False),  # what was dropped came after the voters
        ([FORMATTED, VOTERS, TRUNCATED, UNABLE, UNABLE, UNABLE], False),  # a controller still knows its first voters
        ([VOTERS, TRUNCATED, VOTERS, UNABLE, UNABLE, UNABLE], False),  # read again
        ([VOTERS, TRUNCATED, UNABLE, UNABLE, VOTERS, TRUNCATED, UNABLE, UNABLE, UNABLE], True),
    ],
)
def test_a_broker_that_forgot_the_voters_is_recognised(log: list[str], forgot: bool) -> None:
    assert forgot_voters(log) is forgot


def test_a_broker_that_ended_tried_to_register_in_vain() -> None:
    assert never_registered([OTHER, UNABLE])
    assert not never_registered([OTHER, "2026-11-28T01:29:53.881Z ERROR Address already in use (KafkaServer)"])
