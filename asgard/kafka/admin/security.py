"""Users, ACLs and client quotas, in bulk. An ACL is identified by its content: it is deleted by exact match only."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from typing import Any

from kafka.protocol.admin import (
    AlterClientQuotasRequest,
    AlterUserScramCredentialsRequest,
    CreateAclsRequest,
    DeleteAclsRequest,
    DescribeAclsRequest,
    DescribeClientQuotasRequest,
    DescribeUserScramCredentialsRequest,
)

from asgard.core.errors import AsgardError
from asgard.kafka.admin import errors
from asgard.kafka.admin.wire import Wire
from asgard.kafka.model import Acl, QuotaEntity, QuotaValues, ScramCredential

ITEMS_A_REQUEST = 1000
_ANY = 1
_MECHANISMS = {1: "SCRAM-SHA-256", 2: "SCRAM-SHA-512"}
_RESOURCES = {2: "TOPIC", 3: "GROUP", 4: "CLUSTER", 5: "TRANSACTIONAL_ID", 6: "DELEGATION_TOKEN", 7: "USER"}
_PATTERNS = {3: "LITERAL", 4: "PREFIXED"}
_PERMISSIONS = {2: "DENY", 3: "ALLOW"}
_OPERATIONS = {
    2: "ALL",
    3: "READ",
    4: "WRITE",
    5: "CREATE",
    6: "DELETE",
    7: "ALTER",
    8: "DESCRIBE",
    9: "CLUSTER_ACTION",
    10: "DESCRIBE_CONFIGS",
    11: "ALTER_CONFIGS",
    12: "IDEMPOTENT_WRITE",
    13: "CREATE_TOKENS",
    14: "DESCRIBE_TOKENS",
    15: "TWO_PHASE_COMMIT",
}
_NUMBER = {
    kind: {name: number for number, name in names.items()}
    for kind, names in {
        "resource": _RESOURCES,
        "pattern": _PATTERNS,
        "permission": _PERMISSIONS,
        "operation": _OPERATIONS,
        "mechanism": _MECHANISMS,
    }.items()
}
_CLUSTER_ALTER = "ALTER on the cluster"


class SecurityCalls:
    """The part of the control plane about permissions and quotas."""

    _wire: Wire

    def users(self, broker: int | None = None) -> dict[str, tuple[str, ...]]:
        """User to its SCRAM mechanisms; as that broker knows them, if one is named."""
        # An empty list means all, as null does; but for null, a user who may not ask gets no answer at all (Kafka 4.3).
        answer = self._wire.ask(DescribeUserScramCredentialsRequest(users=[]), broker)
        doing, needs = "list the users", "DESCRIBE on the cluster"
        self._wire.check(answer.error_code, answer.error_message, doing, needs)
        return {
            user.user: tuple(sorted(_MECHANISMS.get(c.mechanism, "?") for c in user.credential_infos))
            for user in sorted(answer.results, key=lambda u: str(u.user))
            if not user.error_code
        }

    def upsert_users(self, credentials: Collection[ScramCredential]) -> dict[str, AsgardError | None]:
        """Write credentials; by user. The password is salted here (RFC 5802) and never sent."""
        request = AlterUserScramCredentialsRequest
        rows: dict[tuple[str, str], Any] = {}
        for credential in credentials:
            salt = os.urandom(24)
            digest = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}[credential.mechanism]
            rows[credential.user, credential.mechanism] = request.ScramCredentialUpsertion(
                name=credential.user,
                mechanism=_NUMBER["mechanism"][credential.mechanism],
                iterations=credential.iterations,
                salt=salt,
                salted_password=hashlib.pbkdf2_hmac(digest, credential.password.encode(), salt, credential.iterations),
            )
        return self._alter_users(rows, "upsertions", "write the credentials of user")

    def delete_users(self, users: Mapping[str, Collection[str]]) -> dict[str, AsgardError | None]:
        """User to the mechanisms to delete. A missing credential is refused, by user."""
        row = AlterUserScramCredentialsRequest.ScramCredentialDeletion
        rows = {(u, m): row(name=u, mechanism=_NUMBER["mechanism"][m]) for u, ms in users.items() for m in ms}
        return self._alter_users(rows, "deletions", "delete the credentials of user")

    def _alter_users(self, rows: dict[tuple[str, str], Any], field: str, doing: str) -> dict[str, AsgardError | None]:
        result: dict[str, AsgardError | None] = {}
        answers: dict[str, AsgardError | None] = {}

        def once(batch: list[tuple[str, str]], again: bool) -> dict[tuple[str, str], int]:
            fields = {"deletions": [], "upsertions": [], field: [rows[key] for key in batch]}
            answer, lost = self._wire.ask_write(AlterUserScramCredentialsRequest(**fields))
            codes = {}
            for user in answer.results:
                code = 0 if user.error_code == errors.RESOURCE_NOT_FOUND and (again or lost) else user.error_code
                answers[user.user] = self._wire.outcome(
                    code, user.error_message, f"{doing} {user.user}", _CLUSTER_ALTER
                )
                codes[user.user] = code
            return {key: codes.get(key[0], 0) for key in batch}

        for mechanism in _MECHANISMS.values():  # Kafka accepts each user only once per request
            answers.clear()
            self._wire.settle([key for key in rows if key[1] == mechanism], once, ITEMS_A_REQUEST)
            result |= {user: result.get(user) or error for user, error in answers.items()}
        return result

    def acls(self, broker: int | None = None) -> set[Acl]:
        """All ACLs; none if the cluster has no authorizer. As that broker knows them, if one is named."""
        answer = self._wire.ask(
            DescribeAclsRequest(
                resource_type_filter=_ANY,
                resource_name_filter=None,
                pattern_type_filter=_ANY,
                principal_filter=None,
                host_filter=None,
                operation=_ANY,
                permission_type=_ANY,
            ),
            broker,
        )
        if answer.error_code == errors.SECURITY_DISABLED:
            return set()
        doing, needs = "list the ACLs", "DESCRIBE on the cluster"
        self._wire.check(answer.error_code, answer.error_message, doing, needs)
        return {
            Acl(
                _RESOURCES.get(resource.resource_type, "UNKNOWN"),
                resource.resource_name,
                _PATTERNS.get(resource.pattern_type, "UNKNOWN"),
                acl.principal,
                _OPERATIONS.get(acl.operation, "UNKNOWN"),
                _PERMISSIONS.get(acl.permission_type, "UNKNOWN"),
                acl.host,
            )
            for resource in answer.resources
            for acl in resource.acls
        }

    def create_acls(self, acls: Collection[Acl]) -> dict[Acl, AsgardError | None]:
        """Create ACLs; one that exists is not an error."""
        result: dict[Acl, AsgardError | None] = {}

        def once(batch: list[Acl], again: bool) -> dict[Acl, int]:
            rows = [
                CreateAclsRequest.AclCreation(
                    resource_type=_NUMBER["resource"][acl.resource_type],
                    resource_name=acl.resource_name,
                    resource_pattern_type=_NUMBER["pattern"][acl.pattern_type],
                    principal=acl.principal,
                    host=acl.host,
                    operation=_NUMBER["operation"][acl.operation],
                    permission_type=_NUMBER["permission"][acl.permission],
                )
                for acl in batch
            ]
            answer = self._wire.ask(CreateAclsRequest(creations=rows))
            return self._acl_results(result, batch, answer.results, "create")

        self._wire.settle(list(dict.fromkeys(acls)), once, ITEMS_A_REQUEST)
        return result

    def delete_acls(self, acls: Collection[Acl]) -> dict[Acl, AsgardError | None]:
        """Delete exactly these ACLs; a missing one is not an error."""
        result: dict[Acl, AsgardError | None] = {}

        def once(batch: list[Acl], again: bool) -> dict[Acl, int]:
            rows = [
                DeleteAclsRequest.DeleteAclsFilter(
                    resource_type_filter=_NUMBER["resource"][acl.resource_type],
                    resource_name_filter=acl.resource_name,
                    pattern_type_filter=_NUMBER["pattern"][acl.pattern_type],
                    principal_filter=acl.principal,
                    host_filter=acl.host,
                    operation=_NUMBER["operation"][acl.operation],
                    permission_type=_NUMBER["permission"][acl.permission],
                )
                for acl in batch
            ]
            answer = self._wire.ask(DeleteAclsRequest(filters=rows))
            return self._acl_results(result, batch, answer.filter_results, "delete")

        self._wire.settle(list(dict.fromkeys(acls)), once, ITEMS_A_REQUEST)
        return result

    def _acl_results(
        self, result: dict[Acl, AsgardError | None], batch: list[Acl], rows: list[Any], verb: str
    ) -> dict[Acl, int]:
        codes = {}
        for acl, row in zip(batch, rows, strict=True):
            matches = getattr(row, "matching_acls", None) or ()
            code, message = next(((r.error_code, r.error_message) for r in (row, *matches) if r.error_code), (0, None))
            codes[acl] = code
            doing = f"{verb} the ACL {acl_text(acl)}"
            result[acl] = self._wire.outcome(code, message, doing, _CLUSTER_ALTER)
        return codes

    def quotas(self) -> dict[QuotaEntity, QuotaValues]:
        """All quotas: of users, client ids and IP addresses."""
        answer = self._wire.ask(DescribeClientQuotasRequest(components=[], strict=False))
        doing, needs = "list the client quotas", "DESCRIBE_CONFIGS on the cluster"
        self._wire.check(answer.error_code, answer.error_message, doing, needs)
        found = {}
        for entry in answer.entries or ():
            entity = _entity(entry)
            if entity is not None:
                found[entity] = {value.key: value.value for value in entry.values}
        return found

    def alter_quotas(
        self, changes: Mapping[QuotaEntity, Mapping[str, float | None]]
    ) -> dict[QuotaEntity, AsgardError | None]:
        """A value of None removes that quota."""
        result: dict[QuotaEntity, AsgardError | None] = {}
        entry = AlterClientQuotasRequest.EntryData

        def once(batch: list[QuotaEntity], again: bool) -> dict[QuotaEntity, int]:
            rows = [
                entry(
                    entity=[
                        entry.EntityData(entity_type=kind, entity_name=name or None)
                        for kind, name in (("user", e.user), ("client-id", e.client_id), ("ip", e.ip))
                        if name is not None
                    ],
                    ops=[entry.OpData(key=k, value=v or 0.0, remove=v is None) for k, v in changes[e].items()],
                )
                for e in batch
            ]
            answer = self._wire.ask(AlterClientQuotasRequest(entries=rows, validate_only=False))
            codes = {}
            for row in answer.entries:
                entity = _entity(row)
                if entity is None:
                    continue
                codes[entity] = row.error_code
                doing, needs = f"change the quota of {quota_text(entity)}", "ALTER_CONFIGS on the cluster"
                result[entity] = self._wire.outcome(row.error_code, row.error_message, doing, needs)
            return codes

        self._wire.settle(list(changes), once, ITEMS_A_REQUEST)
        return result


def _entity(entry: Any) -> QuotaEntity | None:
    parts = {e.entity_type: e.entity_name or "" for e in entry.entity}
    if not parts or parts.keys() - {"user", "client-id", "ip"}:
        return None
    return QuotaEntity(parts.get("user"), parts.get("client-id"), parts.get("ip"))


def acl_text(acl: Acl) -> str:
    """`User:orders ALLOW WRITE on TOPIC orders. (PREFIXED) from *`."""
    return (
        f"{acl.principal} {acl.permission} {acl.operation} on {acl.resource_type} {acl.resource_name} "
        f"({acl.pattern_type}) from {acl.host}"
    )


def quota_text(entity: QuotaEntity) -> str:
    """`user orders, client id any`: `any` is the default entity."""
    parts = []
    if entity.user is not None:
        parts.append(f"user {entity.user or 'any'}")
    if entity.client_id is not None:
        parts.append(f"client id {entity.client_id or 'any'}")
    if entity.ip is not None:
        parts.append(f"IP address {entity.ip or 'any'}")
    return ", ".join(parts)
