"""Who may look at a few records of a topic, by the section `samples` of `bifrost.yaml`: its own team, or all teams whose users may read it.

Nothing is shown without that section. Data engineers and auditors see that a topic exists, but not its contents.
"""

from __future__ import annotations

from asgard.bifrost import catalog
from asgard.bifrost.authorise import What
from asgard.bifrost.gate import Bifrost, NotFound, demand
from asgard.bifrost.store import rows
from asgard.bifrost.teams import Actor, Samples
from asgard.core.errors import Refused


def what_of(gate: Bifrost, environment: str, name: str) -> What:
    """A topic as authorisation sees it. Raises NotFound."""
    with gate.store.read() as connection:
        found = rows.topics(connection, environment, names=[name])
        held = rows.placed_grants(connection, environment=environment) if found else []
    if not found:
        raise NotFound(f"there is no topic {name} in {environment}")
    rule = gate.directory.samples
    reads = rule is not None and rule.to == "readers"
    readers = {g.team for _, g in held if reads and g.field == "consume" and g.team and g.covers(name)}
    return What(found[0][1].team, readers=tuple(sorted(readers)))


def rule_for(gate: Bifrost, who: Actor, name: str, environment: str | None = None) -> Samples:
    """How records of a topic are shown to this person. Raises NotFound, Denied, and Refused if they are not shown at all."""
    where = gate.environment(environment).name
    demand(who, "topic.sample", what_of(gate, where, name), f"topic {name} in {where}")
    rule = gate.directory.samples
    if rule is None:
        raise Refused("records are not shown here", "A section `samples:` in bifrost.yaml allows it.")
    tags = rule.sensitive & set(catalog.topic(gate, who, name, where).tags)
    if tags and rule.masks is None:
        raise Refused(
            f"{name} has the tag {min(tags)}, and there are no masks for it",
            "`samples: {masks: FILE}` in bifrost.yaml says what is hashed and what is redacted.",
        )
    return rule
