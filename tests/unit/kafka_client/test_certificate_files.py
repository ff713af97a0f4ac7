"""Certificates that client properties name: PEM, PKCS12 and JKS stores (made by Java's keytool), for both client libraries."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from asgard.core.errors import WrongUsage
from asgard.kafka.connection import Connection
from asgard.kafka.stores import Certificates, certificates

SERVERS = "127.0.0.1:9093"
STORES = Path(__file__).parents[2] / "data" / "stores"
CA = (STORES / "ca.pem").read_text().replace("\r\n", "\n")


def trust(name: str, **more: str) -> dict[str, str]:
    return {"security.protocol": "SSL", "ssl.truststore.location": str(STORES / name), **more}


def key(name: str, **more: str) -> dict[str, str]:
    return {"security.protocol": "SSL", "ssl.keystore.location": str(STORES / name), **more}


PASSWORD = {"ssl.truststore.password": "secret1"}
OPENS = {"ssl.keystore.password": "secret1"}


@pytest.mark.parametrize(
    "properties",
    [
        trust("ca.pem"),
        trust("ca.pem", **{"ssl.truststore.type": "pem"}),
        {"security.protocol": "SSL", "ssl.truststore.type": "PEM", "ssl.truststore.certificates": CA},
        trust("trust.jks"),
        trust("trust.jks", **PASSWORD),
        trust("trust.jks", **PASSWORD, **{"ssl.truststore.type": "JKS"}),
        trust("trust.jks", **PASSWORD, **{"ssl.truststore.type": "PKCS12"}),
        trust("trust.p12", **PASSWORD),
        trust("trust.p12", **PASSWORD, **{"ssl.truststore.type": "PKCS12"}),
        trust("trust.p12", **PASSWORD, **{"ssl.truststore.type": "JKS"}),
    ],
)
def test_the_wanted_ca_reaches_both_libraries(properties: dict[str, str]) -> None:
    connection = Connection(SERVERS, properties)
    assert connection.for_librdkafka()["ssl.ca.pem"] == CA
    context = connection.for_kafka_python()["ssl_context"]
    assert isinstance(context, ssl.SSLContext) and context.check_hostname and context.verify_mode == ssl.CERT_REQUIRED
    assert context.cert_store_stats()["x509"] == 1


@pytest.mark.parametrize(
    "properties",
    [
        key("key.p12", **OPENS),
        key("key.jks", **OPENS, **{"ssl.key.password": "secret2"}),
        key("key.pem", **{"ssl.key.password": "secret2", "ssl.keystore.type": "PEM"}),
    ],
)
def test_a_private_key_reaches_both_libraries(properties: dict[str, str]) -> None:
    found = certificates(properties)
    assert found.chain is not None and found.chain.count("BEGIN CERTIFICATE") == 1
    assert found.key is not None and found.key.startswith("-----BEGIN PRIVATE KEY-----")
    inline = {
        "security.protocol": "SSL",
        "ssl.keystore.certificate.chain": found.chain,
        "ssl.keystore.key": found.key,
    }
    assert certificates(inline) == found
    conf = Connection(SERVERS, properties).for_librdkafka()
    assert (conf["ssl.certificate.pem"], conf["ssl.key.pem"]) == (found.chain, found.key)
    Connection(SERVERS, properties).for_kafka_python()  # the context takes a key only together with its own certificate


def test_without_a_store_this_machines_cas_count() -> None:
    assert certificates({}) == Certificates()
    conf = Connection(SERVERS, {"security.protocol": "SSL"}).for_librdkafka()
    assert not [name for name in conf if name.startswith("ssl.")]
    context = Connection(SERVERS, {"security.protocol": "SSL"}).ssl_context()
    assert context.verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        (trust("gone.pem"), r"ssl\.truststore\.location names .*gone\.pem, which does not exist"),
        (key("gone.pem"), r"ssl\.keystore\.location names .*gone\.pem, which does not exist"),
        (trust("trust.jks", **{"ssl.truststore.password": "wrong"}), "the store's password is wrong"),
        (trust("trust.p12", **{"ssl.truststore.password": "wrong"}), "the password is wrong"),
        (trust("trust.p12"), "has a password but none is given"),
        (trust("ca.pem", **{"ssl.truststore.type": "JKS"}), "is not a JKS store"),
        (trust("trust.jks", **{"ssl.truststore.type": "PEM"}), "is not a PEM store"),
        (trust("../../conftest.py"), "is not a store that Asgard can read"),
        (trust("trust.jks", **{"ssl.truststore.type": "BCFKS"}), "Asgard reads PEM, PKCS12, JKS"),
        (key("key.jks", **OPENS), "ssl.key.password"),
        (key("key.jks"), "needs a password for its key"),
        (key("key.pem", **{"ssl.key.password": "wrong"}), "the password is wrong"),
        (key("ca.pem"), "holds no private key in PEM"),
        (key("trust.jks", **OPENS), "holds no private key"),
        (
            {"security.protocol": "SSL", "ssl.truststore.certificates": "CA"},
            "ssl.truststore.certificates holds no certificate",
        ),
        ({"security.protocol": "SSL", "ssl.keystore.key": "K"}, "must both be set"),
        ({"security.protocol": "SSL", "ssl.engine.factory.class": "a.B"}, "names Java code"),
        ({"security.protocol": "TLS"}, "security.protocol is TLS; allowed are"),
    ],
)
def test_what_cant_be_read_is_refused_by_name(properties: dict[str, str], words: str) -> None:
    connection = Connection(SERVERS, properties)
    for build in (connection.for_kafka_python, connection.for_librdkafka):
        with pytest.raises(WrongUsage, match=words):
            build()
