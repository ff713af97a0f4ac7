"""What a local Kafka node is, as data, and the server.properties that follow from it. Pure.

A node listens on 127.0.0.1 only. With SASL, clients and brokers log in with SCRAM-SHA-512 and the controllers' listener
takes PLAIN with a separate user, because SCRAM credentials live in the metadata log, whose leader the controllers must
elect first. Passwords are in server.properties only.

With TLS a node has further listeners beside those without (`listeners`); a live cluster goes from one level of
`TlsLevel` to the next, node by node, and neighbouring levels are compatible.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from asgard.core.errors import Failed, WrongUsage
from asgard.kafka.connection import FIRST_USER, scram_properties, trust_properties
from asgard.kafka.distribution.jars import DEFAULT_VERSION

Role = Literal["broker", "controller"]
Sasl = Literal["scram-sha-512", "none"]
TlsLevel = Literal["off", "offered", "preferred", "only"]
"""`offered`: clients may use TLS; `preferred`: the nodes use it among themselves too; `only`: nothing listens without it."""
TLS_LEVELS: tuple[TlsLevel, ...] = ("off", "offered", "preferred", "only")

HOST = "127.0.0.1"
DEFAULT_HEAP_BYTES = 256 * 1024 * 1024
_FORMAT = "asgard.node/v1"
_JAAS_PASSWORD = re.compile(r'username="((?:[^"\\]|\\.)*)" password="((?:[^"\\]|\\.)*)"')
_CONTROLLER_JAAS = re.compile(r"listener\.name\.controller(_tls)?\.plain\.sasl\.jaas\.config")
_CLIENT_JAAS = re.compile(r"listener\.name\.(client|tls)\.scram-sha-512\.sasl\.jaas\.config")


@dataclass(frozen=True)
class InitialController:
    """A controller of the first quorum: node id, port of its controller listener, directory id (Kafka's base64 UUID), and the
    port of its controller listener with TLS."""

    id: int
    port: int
    directory_id: str
    tls_port: int | None = None


@dataclass(frozen=True)
class Credentials:
    """The two users that exist before the first start: the administrator and the controllers' own."""

    admin_user: str
    admin_password: str = field(repr=False)
    controller_user: str = "controller"
    controller_password: str = field(default="", repr=False)

    @classmethod
    def random(cls, admin_user: str = FIRST_USER) -> Credentials:
        """New passwords."""
        return cls(admin_user, secrets.token_urlsafe(24), "controller", secrets.token_urlsafe(24))

    def client_properties(self, ca: Path | None = None) -> dict[str, str]:
        """The content of the administrator's client file; with TLS if a CA is given."""
        plain = scram_properties(self.admin_user, self.admin_password, tls=ca is not None)
        return plain if ca is None else plain | trust_properties(ca)


@dataclass(frozen=True)
class NodeSpec:
    """A node, without secrets. `voters` is the first quorum, the same on every node of a cluster;
    `internal_replication` the replication factor of Kafka's own topics; `joins` is set on a recreated node that joins a
    running quorum. `log_dirs`: how many log directories it has; the cluster's metadata is in the first."""

    id: int
    cluster_id: str
    roles: tuple[Role, ...]
    voters: tuple[InitialController, ...]
    client_port: int | None = None
    controller_port: int | None = None
    rack: str | None = None
    version: str = DEFAULT_VERSION
    heap_bytes: int = DEFAULT_HEAP_BYTES
    sasl: Sasl = "scram-sha-512"
    authorizer: bool = True
    internal_replication: int = 1
    static_config: Mapping[str, str] = field(default_factory=dict)
    joins: bool = False
    log_dirs: int = 1
    tls: TlsLevel = "off"
    tls_port: int | None = None
    mtls_port: int | None = None
    tls_controller_port: int | None = None

    def __post_init__(self) -> None:
        if self.is_broker != (self.client_port is not None) or self.is_controller != (self.controller_port is not None):
            raise ValueError(f"node {self.id}: a broker has a client port, a controller has a controller port")
        if self.authorizer and self.sasl == "none":
            raise ValueError(f"node {self.id}: an authorizer without SASL would know every client as ANONYMOUS")
        if self.tls != "off":
            ports = {self.tls_port, self.mtls_port} if self.is_broker else set()
            if self.sasl == "none" or None in ports | ({self.tls_controller_port} if self.is_controller else set()):
                raise ValueError(f"node {self.id}: TLS needs SASL and a port for each listener")

    @property
    def is_broker(self) -> bool:
        """Whether it serves clients."""
        return "broker" in self.roles

    @property
    def is_controller(self) -> bool:
        """Whether it belongs to the metadata quorum."""
        return "controller" in self.roles

    @property
    def port(self) -> int | None:
        """The client port that Asgard itself uses."""
        return self.tls_port if self.tls_first else self.client_port

    @property
    def tls_first(self) -> bool:
        """Whether nodes and Asgard's own clients use the listeners with TLS."""
        return self.tls in ("preferred", "only")

    @property
    def first_voter(self) -> bool:
        """Whether it is formatted as one of the first quorum."""
        return self.is_controller and not self.joins

    def to_json(self) -> str:
        """The text of node.json."""
        return (
            json.dumps({"format": _FORMAT, **asdict(self), "static_config": dict(self.static_config)}, indent=2) + "\n"
        )

    @classmethod
    def from_json(cls, text: str, where: str) -> NodeSpec:
        """Read node.json. Raises `Failed` if it isn't one."""
        try:
            document = json.loads(text)
            if document.pop("format") != _FORMAT:
                raise ValueError("another format")
            voters = tuple(InitialController(**voter) for voter in document.pop("voters"))
            return cls(roles=tuple(document.pop("roles")), voters=voters, **document)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Failed(f"{where} is not the description of a node: {error}", "Was it edited by hand?") from error


def random_uuid() -> str:
    """A cluster or directory id in Kafka's own form: 16 random bytes in 22 characters, none of them a leading dash."""
    while True:
        text = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        if not text.startswith("-"):
            return text


_NAMES: dict[TlsLevel, tuple[str, ...]] = {
    "off": ("CLIENT", "CONTROLLER"),
    "offered": ("CLIENT", "TLS", "MTLS", "CONTROLLER", "CONTROLLER_TLS"),
    "preferred": ("CLIENT", "TLS", "MTLS", "CONTROLLER_TLS", "CONTROLLER"),
    "only": ("TLS", "MTLS", "CONTROLLER_TLS"),
}
"""Listeners by level. Nodes talk to controllers at the first of the controllers' own."""


def _listeners(spec: NodeSpec) -> dict[str, int]:
    """The listeners that the node opens, with their ports."""
    ports = {
        "CLIENT": spec.client_port,
        "TLS": spec.tls_port if spec.is_broker else None,
        "MTLS": spec.mtls_port if spec.is_broker else None,
        "CONTROLLER": spec.controller_port,
        "CONTROLLER_TLS": spec.tls_controller_port if spec.is_controller else None,
    }
    return {name: port for name in _NAMES[spec.tls] if (port := ports[name]) is not None}


def _addresses(listeners: Mapping[str, int]) -> str:
    return ",".join(f"{name}://{HOST}:{port}" for name, port in listeners.items())


def _protocol(spec: NodeSpec, listener: str) -> str:
    if listener == "MTLS":
        return "SSL"
    return ("PLAINTEXT" if spec.sasl == "none" else "SASL_PLAINTEXT") if "TLS" not in listener else "SASL_SSL"


def voter_port(spec: NodeSpec, voter: InitialController) -> int:
    """The port that the node reaches a controller at."""
    return voter.tls_port if spec.tls_first and voter.tls_port is not None else voter.port


def voter_addresses(spec: NodeSpec) -> str:
    """The first quorum, as the node reaches it."""
    return ",".join(f"{HOST}:{voter_port(spec, v)}" for v in spec.voters)


def _tls(key_store: Path | None, trust_store: Path | None) -> dict[str, str]:
    """One certificate for all listeners; MTLS takes the user's name from the client's certificate."""
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(key_store),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(trust_store),
        "listener.name.mtls.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]+)$/$1/,DEFAULT",
    }


def server_properties(
    spec: NodeSpec,
    log_dirs: Sequence[Path],
    credentials: Credentials | None,
    key_store: Path | None = None,
    trust_store: Path | None = None,
) -> dict[str, str]:
    """All of a node's configuration. `log_dirs` are absolute (KAFKA-20901). Raises `WrongUsage` if `static_config` sets
    what the node's own description decides."""
    secured = spec.sasl != "none"
    if secured and credentials is None:
        raise ValueError(f"node {spec.id} requires SASL but has no credentials")
    replicas = str(spec.internal_replication)
    listeners = _listeners(spec)
    controllers = [name for name in listeners if name.startswith("CONTROLLER")]
    own = {
        "process.roles": ",".join(spec.roles),
        "node.id": str(spec.id),
        "listeners": _addresses(listeners),
        "listener.security.protocol.map": ",".join(f"{name}:{_protocol(spec, name)}" for name in _NAMES[spec.tls]),
        "controller.listener.names": ",".join(name for name in _NAMES[spec.tls] if name.startswith("CONTROLLER")),
        "controller.quorum.bootstrap.servers": voter_addresses(spec),
        "log.dirs": ",".join(map(str, log_dirs)),
    }
    if spec.is_broker:
        own |= {
            "inter.broker.listener.name": "TLS" if spec.tls_first else "CLIENT",
            "advertised.listeners": _addresses({n: p for n, p in listeners.items() if n not in controllers}),
        }
        if spec.rack is not None:
            own["broker.rack"] = spec.rack
    if spec.joins and spec.is_controller:
        own["controller.quorum.auto.join.enable"] = "true"
    if credentials is not None and secured:
        own |= _security(spec, credentials)
    if spec.tls != "off":
        own |= _tls(key_store, trust_store)
    clash = sorted(set(own) & set(spec.static_config))
    if clash:
        raise WrongUsage(f"node {spec.id}: Asgard itself sets {', '.join(clash)}", "Remove it from kafka.config.")
    return own | _for_a_small_machine(replicas, spec.internal_replication) | dict(spec.static_config)


def _for_a_small_machine(replicas: str, count: int) -> dict[str, str]:
    """Defaults that differ from Kafka's; each can be overridden."""
    defaults = {
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "group.initial.rebalance.delay.ms": "0",
        # A broker that can't register within Kafka's 60 s exits; a machine that starts many at once may need longer.
        "initial.broker.registration.timeout.ms": "180000",
        # Kafka's 128 MiB are allocated at startup, half of the default heap here.
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
        "transaction.state.log.min.isr": str(min(2, count)),
        "share.coordinator.state.topic.min.isr": str(min(2, count)),
    }
    for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
        defaults |= {f"{topic}.num.partitions": "12", f"{topic}.replication.factor": replicas}
    return defaults


def _security(spec: NodeSpec, credentials: Credentials) -> dict[str, str]:
    user, password = _quoted(credentials.controller_user), _quoted(credentials.controller_password)
    plain = (
        "org.apache.kafka.common.security.plain.PlainLoginModule required "
        f'username="{user}" password="{password}" user_{user}="{password}";'
    )
    scram = (
        "org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="{_quoted(credentials.admin_user)}" password="{_quoted(credentials.admin_password)}";'
    )
    # A combined node's broker part needs both; on a pure broker or controller the other only keeps the name.
    properties = {
        "sasl.mechanism.controller.protocol": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
    }
    for name in _NAMES[spec.tls]:
        prefix = f"listener.name.{name.lower()}"
        if name.startswith("CONTROLLER"):
            properties |= {f"{prefix}.sasl.enabled.mechanisms": "PLAIN", f"{prefix}.plain.sasl.jaas.config": plain}
        elif name != "MTLS":
            properties |= {
                f"{prefix}.sasl.enabled.mechanisms": "SCRAM-SHA-512",
                f"{prefix}.scram-sha-512.sasl.jaas.config": scram,
            }
    if spec.authorizer:
        properties |= {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{credentials.admin_user};User:{credentials.controller_user}",
            "allow.everyone.if.no.acl.found": "false",
        }
    return properties


def credentials_of(properties: Mapping[str, str]) -> Credentials | None:
    """The credentials in a node's server.properties."""
    admin, controller = (
        next((_JAAS_PASSWORD.search(text) for key, text in properties.items() if wanted.fullmatch(key)), None)
        for wanted in (_CLIENT_JAAS, _CONTROLLER_JAAS)
    )
    if admin is None or controller is None:
        return None
    return Credentials(*(re.sub(r"\\(.)", r"\1", text) for text in (*admin.groups(), *controller.groups())))


def _quoted(text: str) -> str:
    return re.sub(r'(["\\])', r"\\\1", text)
