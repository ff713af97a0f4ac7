"""How to reach a cluster: bootstrap servers and Kafka client properties, as both client libraries want them.

The properties are those of Kafka's own client files (`security.protocol`, `sasl.mechanism`, `sasl.jaas.config`, `ssl.truststore…`),
so a file that Kafka's tools read works here too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from asgard.core.errors import WrongUsage

FIRST_USER = "odin_svc0"
"""The administrator that a local cluster is formatted with; `root`, so to speak. Don't make the name prettier.

Kafka up to 4.3 forgets every SCRAM user, this one too, when it starts without a metadata snapshot and the first user that it
meets has been deleted meanwhile (ScramDelta.apply drops the whole map as soon as it is empty, and fills a lost one). It meets
them in the order of a Java HashMap, where this name comes first: the low 15 bits of its hash, as the map spreads it, are 0.
"""

_JAAS_OPTION = re.compile(r'(\w+)\s*=\s*"((?:[^"\\]|\\.)*)"')
_PEM_FIELDS = {"ssl.truststore.location": "ca", "ssl.keystore.location": "cert"}


@dataclass(frozen=True)
class Connection:
    """`bootstrap_servers` is `host:port[,host:port]`; `properties` are Kafka client properties."""

    bootstrap_servers: str
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def username(self) -> str | None:
        """The SASL user, where there is one."""
        return self._jaas().get("username")

    def _jaas(self) -> dict[str, str]:
        options = dict(_JAAS_OPTION.findall(self.properties.get("sasl.jaas.config", "")))
        return {k: re.sub(r"\\(.)", r"\1", v) for k, v in options.items()}

    def _certificates(self) -> dict[str, str]:
        for key, value in self.properties.items():
            if key.startswith("ssl.") and key.endswith(".type") and value.upper() != "PEM":
                raise WrongUsage(
                    f"{key} is {value}; Asgard's clients read PEM only",
                    "Convert the store to PEM files and set the type to PEM.",
                )
        named = {key: self.properties[key] for key in _PEM_FIELDS if key in self.properties}
        for key, path in named.items():
            if not Path(path).is_file():
                raise WrongUsage(
                    f"{key} names {path}, and there is no such file", "Mend the path in the client properties."
                )
        return {_PEM_FIELDS[key]: path for key, path in named.items()}

    def for_librdkafka(self) -> dict[str, str]:
        """The configuration of a confluent-kafka client."""
        conf = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.properties.get("security.protocol", "PLAINTEXT"),
        }
        if "sasl.mechanism" in self.properties:
            jaas = self._jaas()
            conf |= {
                "sasl.mechanism": self.properties["sasl.mechanism"],
                "sasl.username": jaas.get("username", ""),
                "sasl.password": jaas.get("password", ""),
            }
        certificates = self._certificates()
        if "ca" in certificates:
            conf["ssl.ca.location"] = certificates["ca"]
        if "cert" in certificates:
            conf |= {"ssl.certificate.location": certificates["cert"], "ssl.key.location": certificates["cert"]}
        if "ssl.key.password" in self.properties:
            conf["ssl.key.password"] = self.properties["ssl.key.password"]
        if self.properties.get("ssl.endpoint.identification.algorithm", "https") == "":
            conf["ssl.endpoint.identification.algorithm"] = "none"
        return conf

    def for_kafka_python(self) -> dict[str, object]:
        """The keyword arguments of a kafka-python client."""
        conf: dict[str, object] = {
            "bootstrap_servers": [s.strip() for s in self.bootstrap_servers.split(",")],
            "security_protocol": self.properties.get("security.protocol", "PLAINTEXT"),
        }
        if "sasl.mechanism" in self.properties:
            jaas = self._jaas()
            conf |= {
                "sasl_mechanism": self.properties["sasl.mechanism"],
                "sasl_plain_username": jaas.get("username", ""),
                "sasl_plain_password": jaas.get("password", ""),
            }
        certificates = self._certificates()
        if "ca" in certificates:
            conf["ssl_cafile"] = certificates["ca"]
        if "cert" in certificates:
            conf |= {"ssl_certfile": certificates["cert"], "ssl_keyfile": certificates["cert"]}
        if "ssl.key.password" in self.properties:
            conf["ssl_password"] = self.properties["ssl.key.password"]
        if self.properties.get("ssl.endpoint.identification.algorithm", "https") == "":
            conf["ssl_check_hostname"] = False
        return conf


def scram_properties(
    user: str, password: str, *, tls: bool = False, mechanism: str = "SCRAM-SHA-512"
) -> dict[str, str]:
    """The client properties of a SCRAM user, as they stand in a client file."""
    escaped_user, escaped_password = (re.sub(r'(["\\])', r"\\\1", part) for part in (user, password))
    return {
        "security.protocol": "SASL_SSL" if tls else "SASL_PLAINTEXT",
        "sasl.mechanism": mechanism,
        "sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="{escaped_user}" password="{escaped_password}";',
    }


def read_properties(path: Path) -> dict[str, str]:
    """The properties of a Java properties file."""
    try:
        return parse_properties(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WrongUsage(f"can't read the client properties {path}: {error.strerror}") from error


def parse_properties(text: str) -> dict[str, str]:
    """The text of a Java properties file: `key=value` lines, `#` comments, `\\` continues a line."""
    properties = {}
    for raw in re.sub(r"\\\r?\n\s*", "", text).splitlines():
        line = raw.strip()
        if not line or line[0] in "#!":
            continue
        key, separator, value = line.partition("=")
        if not separator:
            key, _, value = line.partition(":")
        properties[key.strip()] = re.sub(r"\\([\\:=#!])", r"\1", value.strip())
    return properties


def render_properties(properties: Mapping[str, str]) -> str:
    """The text of a properties file that `read_properties` and Java read alike."""
    return "".join(f"{key}={value.replace(chr(92), chr(92) * 2)}\n" for key, value in properties.items())
