"""Who may do how much: SCRAM users, ACLs and client quotas."""

from __future__ import annotations

from collections.abc import Sequence

from asgard.core.errors import Refused
from asgard.kafka.model import ScramCredential, ScramMechanism
from asgard.odin.provider.cluster import ClusterClient
from asgard.odin.provider.permits import Permits, exists_already
from asgard.odin.resources import identity
from asgard.odin.resources.kinds import QUOTA_NAMES
from asgard.odin.resources.observe import Observed
from asgard.odin.resources.values import Values


class Users:
    """The effects of `asgard:kafka:User`."""

    def __init__(self, cluster: ClusterClient, permits: Permits) -> None:
        self._cluster = cluster
        self._permits = permits

    def taken(self, new: Values, observed: Observed) -> bool:
        """Whether a user of that name already has a credential."""
        return new["name"] in observed.users(fresh=False) and new["name"] in observed.users()

    async def create(self, urn: str, new: Values) -> Values:
        """Write the credential; an existing user is refused, or adopted if a killed run created it."""
        self._needs_password(new)
        if await self._cluster.look(lambda observed: self.taken(new, observed)):
            mechanisms = await self._cluster.look(lambda observed: observed.users()[new["name"]])
            if urn not in self._permits.adopting or not set(mechanisms) <= set(_mechanisms(new)):
                raise exists_already(f"the user {new['name']}")
        await self._write(new)
        return new

    async def update(self, old: Values, new: Values) -> Values:
        """Write the new credentials, then remove those of other mechanisms. Removal alone needs no password."""
        wanted = _mechanisms(new)
        if old.get("password") != new.get("password") or not set(wanted) <= set(_mechanisms(old)):
            self._needs_password(new)
            await self._write(new)
        await self._remove(old, [mechanism for mechanism in _mechanisms(old) if mechanism not in wanted])
        return new

    async def delete(self, old: Values) -> None:
        """Delete the credentials of the recorded mechanisms."""
        await self._remove(old, _mechanisms(old))

    async def _remove(self, old: Values, mechanisms: Sequence[str]) -> None:
        if not mechanisms:
            return
        there = (await self._cluster.look(lambda observed: observed.users())).get(old["name"], ())
        for mechanism in mechanisms:
            if mechanism in there:
                await self._cluster.delete_user(old["name"], mechanism)

    def _needs_password(self, new: Values) -> None:
        if "password" not in new:
            raise Refused(
                f"the user {new['name']} has no password here: it was imported, and Kafka does not reveal passwords",
                "Remove it from the stack and add it again to give it a new one.",
            )

    async def _write(self, new: Values) -> None:
        for mechanism in _mechanisms(new):
            await self._cluster.upsert_user(ScramCredential(new["name"], new["password"], mechanism))


def _mechanisms(values: Values) -> list[ScramMechanism]:
    """All mechanisms of a user, its first one first."""
    return [values["mechanism"], *values.get("otherMechanisms", ())]


class Acls:
    """The effects of `asgard:kafka:Acl`: an ACL exists or not; nothing in it can be updated."""

    def __init__(self, cluster: ClusterClient, permits: Permits) -> None:
        self._cluster = cluster
        self._permits = permits

    def taken(self, new: Values, observed: Observed) -> bool:
        """Whether exactly this ACL exists already."""
        acl = identity.acl_of(new)
        return acl in observed.acls(fresh=False) and acl in observed.acls()

    async def create(self, urn: str, new: Values) -> Values:
        """Create the ACL; an identical one is refused, or adopted if a killed run created it."""
        if await self._cluster.look(lambda observed: self.taken(new, observed)):
            if urn not in self._permits.adopting:
                raise exists_already(f"the ACL {identity.resource_id('asgard:kafka:Acl', new)}")
            return new
        await self._cluster.create_acl(identity.acl_of(new))
        return new

    async def update(self, old: Values, new: Values) -> Values:
        """Never called: a change of any property means another ACL."""
        return new

    async def delete(self, old: Values) -> None:
        """Delete the ACL; no error if it is already gone."""
        await self._cluster.delete_acl(identity.acl_of(old))


class Quotas:
    """The effects of `asgard:kafka:Quota`."""

    def __init__(self, cluster: ClusterClient, permits: Permits) -> None:
        self._cluster = cluster
        self._permits = permits

    def taken(self, new: Values, observed: Observed) -> bool:
        """Whether that entity already has quotas."""
        entity = identity.entity_of(new)
        return bool(observed.quotas(fresh=False).get(entity)) and bool(observed.quotas().get(entity))

    async def create(self, urn: str, new: Values) -> Values:
        """Set the quotas; an entity that has some is refused, or adopted if a killed run set the same."""
        entity, wanted = identity.entity_of(new), quota_values(new)
        if await self._cluster.look(lambda observed: self.taken(new, observed)):
            there = await self._cluster.look(lambda observed: observed.quotas()[entity])
            if urn not in self._permits.adopting or there != wanted:
                raise exists_already(f"a quota of {identity.resource_id('asgard:kafka:Quota', new)}")
            return new
        await self._cluster.alter_quota(entity, wanted)
        return new

    async def update(self, old: Values, new: Values) -> Values:
        """Set what differs, remove what is no longer wanted."""
        entity, before, wanted = identity.entity_of(new), quota_values(old), quota_values(new)
        there = await self._cluster.look(lambda observed: observed.quotas().get(entity, {}))
        change: dict[str, float | None] = {name: value for name, value in wanted.items() if there.get(name) != value}
        change |= {name: None for name in before if name not in wanted and name in there}
        await self._cluster.alter_quota(entity, change)
        return new

    async def delete(self, old: Values) -> None:
        """Remove the quotas that were set."""
        entity = identity.entity_of(old)
        there = await self._cluster.look(lambda observed: observed.quotas().get(entity, {}))
        await self._cluster.alter_quota(entity, {name: None for name in quota_values(old) if name in there})


def quota_values(values: Values) -> dict[str, float]:
    """The quotas by Kafka's names."""
    return {kafka: float(values[name]) for name, kafka in QUOTA_NAMES.items() if values.get(name) is not None}
