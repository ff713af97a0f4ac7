"""Leader elections on a cluster held for them; unclean ones are recorded in the journal with what they cost."""

from __future__ import annotations

from collections.abc import Callable, Collection

from asgard.cluster import leaders
from asgard.cluster.leaders import Danger, Elected
from asgard.compose import holding
from asgard.core.errors import Refused
from asgard.kafka.target import Target

HAND_OVER_S = 30.0


def preferred(target: Target, names: Collection[str], *, confirm: str | None = None) -> Elected:
    """Elect the preferred leaders of these partitions, or of all that lack theirs."""
    from asgard.journal.leases import Priority

    wanted = [leaders.parse(name) for name in names]
    with holding.to_change(target, priority=Priority.BALANCE, doing="thor elect", confirm=confirm) as held:
        topics = held.control.topics({topic for topic, _ in wanted} if wanted else None)
        if wanted:
            return leaders.preferred(held.control, leaders.find(topics, wanted))
        return leaders.preferred(held.control, leaders.away([p for t in topics.values() for p in t.partitions]))


def unclean(
    target: Target,
    names: Collection[str],
    *,
    allow_data_loss: bool,
    agree: Callable[[list[Danger]], None],
    confirm: str | None = None,
) -> Elected:
    """Elect out-of-sync leaders. Raises Refused, saying what would be lost, unless `allow_data_loss`."""
    from asgard.journal import events
    from asgard.journal.leases import Priority

    wanted = [leaders.parse(name) for name in names]
    with holding.to_change(
        target,
        priority=Priority.HEAL,
        doing="thor elect --unclean",
        confirm=confirm,
        healing=True,
        wait_s=HAND_OVER_S,
    ) as held:
        found = leaders.dangers(held.control, wanted)
        if not allow_data_loss:
            raise Refused(
                "; ".join(d.lost for d in found), f"Better {found[0].instead}. To lose them: --allow-data-loss."
            )
        agree(found)
        elected = leaders.unclean(held.control, wanted)
        for danger in (d for d in found if d.partition in elected.led):
            data = {"cluster_id": held.cluster_id, "lost": danger.lost, "safe": list(danger.safe)}
            events.record(held.journal, "thor.leader.elected", danger.partition, {**data, "unclean": True})
        return elected
