"""The levels of TLS on the way of a live cluster: each understands its neighbours, and certificates that are due are known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from asgard.machines.local import certificates
from asgard.machines.local.certificates import Authority
from asgard.machines.local.spec import (
    TLS_LEVELS,
    Credentials,
    InitialController,
    NodeSpec,
    TlsLevel,
    credentials_of,
    server_properties,
)

VOTERS = (InitialController(1, 1101, "a", 1201), InitialController(2, 1102, "b", 1202))
CREDENTIALS = Credentials.random()


def node(level: TlsLevel, number: int = 1) -> NodeSpec:
    return NodeSpec(
        number,
        "cluster",
        ("broker", "controller"),
        VOTERS,
        1000 + number,
        1100 + number,
        tls=level,
        tls_port=2000 + number,
        mtls_port=2100 + number,
        tls_controller_port=1200 + number,
    )


def properties(level: TlsLevel, number: int = 1) -> dict[str, str]:
    return server_properties(node(level, number), [Path("/d")], CREDENTIALS, Path("/k.pem"), Path("/ca.pem"))


def protocols(found: dict[str, str]) -> dict[str, str]:
    return dict(pair.split(":") for pair in found["listener.security.protocol.map"].split(","))


def listens(found: dict[str, str]) -> dict[str, str]:
    return dict(part.split("://") for part in found["listeners"].split(","))


@pytest.mark.parametrize(("one", "other"), [*pairwise(TLS_LEVELS), *(pair[::-1] for pair in pairwise(TLS_LEVELS))])
def test_a_node_finds_what_it_needs_at_a_neighbour_one_level_away(one: TlsLevel, other: TlsLevel) -> None:
    mine, there = properties(one, 1), properties(other, 2)
    between = mine["inter.broker.listener.name"]
    assert between in listens(there) and protocols(mine)[between] == protocols(there)[between]
    controllers = mine["controller.listener.names"].split(",")[0]
    assert controllers in listens(there) and protocols(mine)[controllers] == protocols(there)[controllers]
    assert listens(there)[controllers] in mine["controller.quorum.bootstrap.servers"].split(",")


@pytest.mark.parametrize("level", TLS_LEVELS)
def test_every_level_keeps_the_credentials_and_has_a_login_for_each_listener(level: TlsLevel) -> None:
    found = properties(level)
    assert credentials_of(found) == CREDENTIALS
    for name, protocol in protocols(found).items():
        mechanism = "plain" if name.startswith("CONTROLLER") else "scram-sha-512"
        key = f"listener.name.{name.lower()}.{mechanism}.sasl.jaas.config"
        assert (key in found) == protocol.startswith("SASL")
    assert ("ssl.keystore.location" in found) == (level != "off")


def test_only_tls_means_only_tls() -> None:
    found = properties("only")
    assert set(protocols(found).values()) == {"SASL_SSL", "SSL"}
    assert found["listener.name.mtls.ssl.client.auth"] == "required"


def test_a_description_without_tls_is_read_and_written_as_ever() -> None:
    plain = NodeSpec(1, "c", ("broker",), VOTERS[:1], 9092)
    text = plain.to_json()
    assert NodeSpec.from_json(text, "node.json") == plain
    before = '{"format": "asgard.node/v1", "id": 1, "cluster_id": "c", "roles": ["broker"], "voters": [{"id": 1, "port": 2, "directory_id": "d"}], "client_port": 9092}'
    assert NodeSpec.from_json(before, "node.json").tls == "off"
    with pytest.raises(ValueError, match="a port for each listener"):
        NodeSpec(1, "c", ("broker",), VOTERS[:1], 9092, tls="only")


def test_a_certificate_is_due_in_its_last_third(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "orders" / "tls")
    file = tmp_path / "tls.pem"
    assert certificates.due(file)
    file.write_text(authority.node("node-1", ["127.0.0.1"], days=90).store)
    now = datetime.now(UTC)
    assert [certificates.due(file, now + timedelta(days=day)) for day in (0, 59, 61, 100)] == [False, False, True, True]


def test_the_ca_is_made_once_and_renewed_with_the_same_key(tmp_path: Path) -> None:
    from cryptography import x509

    authority = Authority(tmp_path / "orders" / "tls")
    first = authority.trusted()
    assert authority.trusted() == first
    assert (authority.directory / "ca.key").stat().st_mode & 0o777 == 0o600
    leaf = x509.load_pem_x509_certificate(authority.user("alice").certificate.encode())
    authority.certificate_file.unlink()
    renewed = x509.load_pem_x509_certificate(authority.trusted().encode())
    leaf.verify_directly_issued_by(renewed)
    assert leaf.subject.rfc4514_string() == "CN=alice"
