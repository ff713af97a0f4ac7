"""What identifies a resource: its id, built from its content, and parsed back for imports."""

from __future__ import annotations

import re

from asgard.core.errors import WrongUsage
from asgard.kafka.model import Acl, QuotaEntity
from asgard.odin.resources.kinds import (
    ACL,
    ALLOCATION,
    BROKER,
    CLUSTER,
    CONFIG,
    OPERATIONS,
    QUOTA,
    READY,
    RESOURCE_TYPES,
    TOPIC,
    USER,
)
from asgard.odin.resources.values import Values

_ACL_ID = re.compile(
    rf"({'|'.join(RESOURCE_TYPES)}):(.+):(LITERAL|PREFIXED):([A-Za-z]+:.+):({'|'.join(OPERATIONS)}):(ALLOW|DENY):(.+)"
)
_ANYBODY = "<default>"


def acl_of(values: Values) -> Acl:
    """The ACL that the properties describe."""
    return Acl(
        resource_type=values["resourceType"],
        resource_name=values["resourceName"],
        pattern_type=values["patternType"],
        principal=values["principal"],
        operation=values["operation"],
        permission=values["permission"],
        host=values["host"],
    )


def acl_values(acl: Acl) -> Values:
    """The properties of an ACL."""
    return {
        "principal": acl.principal,
        "resourceType": acl.resource_type,
        "resourceName": acl.resource_name,
        "patternType": acl.pattern_type,
        "operation": acl.operation,
        "permission": acl.permission,
        "host": acl.host,
    }


def entity_of(values: Values) -> QuotaEntity:
    """The entity of a quota."""
    return QuotaEntity(user=values.get("user"), client_id=values.get("clientId"), ip=values.get("ip"))


def resource_id(token: str, values: Values) -> str:
    """The id of a resource with these properties."""
    if token in (TOPIC, USER, CLUSTER, ALLOCATION):
        return str(values["name"])
    if token == ACL:
        acl = acl_of(values)
        return ":".join(
            (
                acl.resource_type,
                acl.resource_name,
                acl.pattern_type,
                acl.principal,
                acl.operation,
                acl.permission,
                acl.host,
            )
        )
    if token == QUOTA:
        entity = entity_of(values)
        parts = (("user", entity.user), ("client-id", entity.client_id), ("ip", entity.ip))
        return ",".join(f"{name}={value or _ANYBODY}" for name, value in parts if value is not None)
    if token == CONFIG:
        return f"broker {values['broker']}" if values["broker"] else "all brokers"
    if token == BROKER:
        return f"{values['cluster']}/{values['nodeId']}"
    if token == READY:
        return str(values["clusterId"])
    raise WrongUsage(f"there is no resource type {token}")


def from_id(token: str, text: str) -> Values:
    """The properties in an id, for an import. Raises WrongUsage if it can't be such an id."""
    if token in (TOPIC, USER):
        return {"name": text}
    if token == ACL and (match := _ACL_ID.fullmatch(text)):
        names = ("resourceType", "resourceName", "patternType", "principal", "operation", "permission", "host")
        return dict(zip(names, match.groups(), strict=True))
    if token == QUOTA:
        if text.startswith("ip=") and text != "ip=":
            return {"ip": "" if text == f"ip={_ANYBODY}" else text[3:]}
        match = re.fullmatch(r"(?:user=(.+?))?(?:,|^|$)(?:client-id=(.+))?", text)
        if match and text:
            found = {"user": match[1], "clientId": match[2]}
            return {name: "" if value == _ANYBODY else value for name, value in found.items() if value is not None}
    if token == CONFIG and (match := re.fullmatch(r"all brokers|broker (\d+)", text)):
        return {"broker": match[1] or ""}
    raise WrongUsage(f"{text!r} is not an id by which a {token} can be imported", "docs/pulumi.md says how ids look.")
