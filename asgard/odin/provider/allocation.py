"""The identity of a cluster on AWS: created once, kept in the state as secrets, extended when nodes are added. Makes no
calls."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from asgard.core import paths
from asgard.kafka.connection import FIRST_USER, scram_properties
from asgard.odin.resources.local import random_uuid
from asgard.odin.resources.observe import Observed
from asgard.odin.resources.values import Values

CERTIFICATE_DAYS = 825
"""Lifetime of a node's certificate: the maximum that common TLS clients accept from a server."""


class Allocations:
    """The effects of `asgard:aws:Allocation`."""

    def taken(self, new: Values, observed: Observed) -> bool:
        """Never: it exists only in the state."""
        return False

    async def create(self, urn: str, new: Values) -> Values:
        """Generate ids, passwords and keys."""
        return await asyncio.to_thread(allocate, new, {})

    async def update(self, old: Values, new: Values) -> Values:
        """The same for new nodes; removed nodes lose their certificate."""
        return await asyncio.to_thread(allocate, new, old)

    async def delete(self, old: Values) -> None:
        """Nothing to do."""


def allocate(wanted: Values, before: Values) -> Values:
    """The outputs. Existing values (`before`) stay for nodes that keep their name, until a certificate is due."""
    admin = before.get("adminPassword") or secrets.token_urlsafe(24)
    directories = {
        node: before.get("directoryIds", {}).get(node) or random_uuid(secrets.token_bytes)
        for node in wanted["controllers"]
    }
    ca, key, certificates = _certificates(wanted, before)
    renew_from, expires = _life([ca, *certificates.values()])
    properties = scram_properties(FIRST_USER, admin, tls=True)
    properties |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": ca}
    # Without hosts it is an MSK cluster, and Amazon chooses its id.
    chosen = {"clusterId": before.get("clusterId") or random_uuid(secrets.token_bytes)} if wanted["hosts"] else {}
    return {
        **wanted,
        **chosen,
        "directoryIds": directories,
        "adminPassword": admin,
        "controllerPassword": before.get("controllerPassword") or secrets.token_urlsafe(24),
        "certificates": certificates,
        "renewFrom": renew_from,
        "expires": expires,
        "certificate": "valid",
        "userPasswords": {
            user: before.get("userPasswords", {}).get(user) or secrets.token_urlsafe(24)
            for user in wanted.get("users") or ()
        },
        "caKey": key,
        "caCertificate": ca,
        "clientProperties": properties,
    }


def _certificates(wanted: Values, before: Values) -> tuple[str, str, dict[str, str]]:
    """The CA's certificate and key, and key and certificate of each node."""
    from asgard.machines.local.certificates import Authority

    with TemporaryDirectory(prefix="asgard-ca-") as directory:
        authority = Authority(Path(directory))
        if before.get("caKey"):
            paths.write_atomic(authority.key_file, before["caKey"])
            paths.write_atomic(authority.certificate_file, before["caCertificate"])
        ca = authority.trusted()
        kept = {
            node: pem
            for node, pem in before.get("certificates", {}).items()
            if before.get("hosts", {}).get(node) == wanted["hosts"].get(node) and not _due(pem)
        }
        made = {
            node: kept.get(node) or authority.node(host, [host], days=CERTIFICATE_DAYS).store
            for node, host in wanted["hosts"].items()
        }
        return ca, authority.key_file.read_text(), made


def _due(pem: str) -> bool:
    from asgard.machines.local.certificates import life_of, renew_from

    return datetime.now(UTC) >= renew_from(*life_of(pem.encode()))


def _life(pems: Iterable[str]) -> tuple[str, str]:
    """When the first of these certificates becomes due, and when the first expires (RFC 3339, UTC)."""
    from asgard.machines.local.certificates import life_of, renew_from

    lives = [life_of(pem.encode()) for pem in pems]
    due = min(renew_from(begin, end) for begin, end in lives)
    return due.isoformat(timespec="seconds"), min(end for _, end in lives).isoformat(timespec="seconds")
