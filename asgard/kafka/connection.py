"""How to reach a cluster: bootstrap servers and Kafka client properties, in the form that each client library takes.

The properties are those of Kafka's own client files (`security.protocol`, `sasl.mechanism`, `sasl.jaas.config`,
`ssl.truststore…`), so a file for Kafka's tools works here too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgard.core.errors import WrongUsage
from asgard.kafka.properties import jaas_options, parse_properties, read_properties, render_properties

if TYPE_CHECKING:
    import ssl

    from asgard.kafka.stores import Certificates

__all__ = [
    "FIRST_USER",
    "Connection",
    "parse_properties",
    "read_properties",
    "render_properties",
    "scram_properties",
    "trust_properties",
]

FIRST_USER = "odin_svc0"
"""The administrator that a local cluster is formatted with; `root`, so to speak. Don't make the name prettier.

Kafka up to 4.3 forgets every SCRAM user, this one too, if it starts without a metadata snapshot and the first user that
it finds has been deleted meanwhile (ScramDelta.apply drops the whole map as soon as it is empty, and fills a lost one).
It iterates in the order of a Java HashMap, where this name comes first: the low 15 bits of its hash, as the map spreads
it, are 0.
"""

_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
IAM = "AWS_MSK_IAM"
"""Login with AWS identities (Amazon MSK): the name in Java's client files. On the wire it is OAUTHBEARER."""
REGION = "asgard.aws.region"
"""Client property: the region that IAM logins are signed for; else AWS_REGION or AWS_DEFAULT_REGION."""


@dataclass(frozen=True)
class Connection:
    """`bootstrap_servers` is `host:port[,host:port]`; `properties` are Kafka client properties."""

    bootstrap_servers: str
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def username(self) -> str | None:
        """The SASL user, if there is one."""
        return jaas_options(self.properties["sasl.jaas.config"]).get("username") if self._sasl_config else None

    @property
    def protocol(self) -> str:
        """`security.protocol`. Raises WrongUsage if Kafka does not know it."""
        given = self.properties.get("security.protocol", "PLAINTEXT").upper()
        if given not in _PROTOCOLS:
            raise WrongUsage(f"security.protocol is {given}; allowed are {', '.join(_PROTOCOLS)}")
        return given

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.protocol.endswith("SSL")

    @property
    def _sasl_config(self) -> str | None:
        return self.properties.get("sasl.jaas.config")

    def _login(self) -> tuple[str, str, str] | None:
        """Mechanism, user and password; None without SASL. Raises WrongUsage if Java would log in with something else."""
        if not self.protocol.startswith("SASL"):
            return None
        mechanism = self.properties.get("sasl.mechanism", "GSSAPI").upper()
        if mechanism not in _MECHANISMS:
            raise WrongUsage(f"sasl.mechanism is {mechanism}; Asgard logs in with {', '.join((*_MECHANISMS, IAM))}")
        if not self._sasl_config:
            raise WrongUsage(
                "sasl.jaas.config is missing from the client properties, and SASL needs a user and a password"
            )
        options = jaas_options(self._sasl_config)
        user, password = options.get("username"), options.get("password")
        if not user or password is None:
            missing = "password" if user else "username"
            raise WrongUsage(f"sasl.jaas.config has no {missing}, and {mechanism} needs one")
        return mechanism, user, password

    @property
    def _any_host(self) -> bool:
        return self.properties.get("ssl.endpoint.identification.algorithm", "https") == ""

    def _certificates(self) -> Certificates:
        from asgard.kafka.stores import certificates

        if "ssl.engine.factory.class" in self.properties:
            raise WrongUsage(
                "ssl.engine.factory.class names Java code, which Asgard can't run: name PEM, PKCS12 or JKS stores"
            )
        return certificates(self.properties)

    @property
    def by_iam(self) -> bool:
        """Whether the login uses AWS identities."""
        mechanism = self.properties.get("sasl.mechanism", "").upper()
        return self.protocol == "SASL_SSL" and mechanism == IAM

    def for_librdkafka(self) -> dict[str, Any]:
        """The configuration of a confluent-kafka client."""
        conf: dict[str, Any] = {"bootstrap.servers": self.bootstrap_servers, "security.protocol": self.protocol}
        if self.by_iam:
            from asgard.kafka.iam import librdkafka_token

            conf |= {"sasl.mechanism": "OAUTHBEARER", "oauth_cb": librdkafka_token(self.properties.get(REGION))}
        elif login := self._login():
            conf |= dict(zip(("sasl.mechanism", "sasl.username", "sasl.password"), login, strict=True))
        if not self.tls:
            return conf
        found = self._certificates()
        if found.ca is not None:
            conf["ssl.ca.pem"] = found.ca
        if found.chain is not None and found.key is not None:
            conf |= {"ssl.certificate.pem": found.chain, "ssl.key.pem": found.key}
        if self._any_host:
            conf["ssl.endpoint.identification.algorithm"] = "none"
        return conf

    def for_kafka_python(self) -> dict[str, object]:
        """The keyword arguments of a kafka-python client."""
        conf: dict[str, object] = {
            "bootstrap_servers": [s.strip() for s in self.bootstrap_servers.split(",")],
            "security_protocol": self.protocol,
        }
        if self.by_iam:
            from asgard.kafka.iam import TokenProvider

            conf |= {
                "sasl_mechanism": "OAUTHBEARER",
                "sasl_oauth_token_provider": TokenProvider(self.properties.get(REGION)),
            }
        elif login := self._login():
            conf |= dict(zip(("sasl_mechanism", "sasl_plain_username", "sasl_plain_password"), login, strict=True))
        if self.tls:
            conf["ssl_context"] = self.ssl_context()
        return conf

    def ssl_context(self) -> ssl.SSLContext:
        """Python's TLS settings for these properties; without a trust store, what this machine trusts."""
        import ssl

        found = self._certificates()
        context = ssl.create_default_context(cadata=found.ca)
        context.check_hostname = not self._any_host
        if found.chain is not None and found.key is not None:
            _load_identity(context, found.chain, found.key)
        return context


def _load_identity(context: ssl.SSLContext, chain: str, key: str) -> None:
    """Python reads a key only from a file: one that no other user can open, deleted right away."""
    import tempfile

    with tempfile.NamedTemporaryFile("w", prefix="asgard-", suffix=".pem") as file:
        file.write(key + chain)
        file.flush()
        context.load_cert_chain(file.name)


def scram_properties(
    user: str, password: str, *, tls: bool = False, mechanism: str = "SCRAM-SHA-512"
) -> dict[str, str]:
    """The client properties of a SCRAM user, as they are in a client file."""
    escaped_user, escaped_password = (re.sub(r'(["\\])', r"\\\1", part) for part in (user, password))
    return {
        "security.protocol": "SASL_SSL" if tls else "SASL_PLAINTEXT",
        "sasl.mechanism": mechanism,
        "sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="{escaped_user}" password="{escaped_password}";',
    }


def trust_properties(ca: Path) -> dict[str, str]:
    """The client properties that name a CA in PEM."""
    return {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(ca)}
